import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ServiceError } from '@grpc/grpc-js'
import { groupId, nodeId } from '@kvorum/model'
import type { RpcName } from '@kvorum/protocol'
import t, { type Test } from 'tap'
import { bytes, withServer, type Caller, type RequestOf } from './caller.js'
import { OTHER_MEMBER } from './fakeNode.js'
import { until } from './harness.js'

const LIST = 'kvorum.v1.Shard/List'
const SPLIT = 'kvorum.v1.Shard/Split'
const MOVE = 'kvorum.v1.Shard/Move'
const TRANSFER = 'kvorum.v1.Shard/Transfer'
const PLAN = 'kvorum.v1.Shard/Plan'
const DRAIN = 'kvorum.v1.Shard/Drain'

const refused = async <Name extends RpcName>(
  t: Test,
  caller: Caller,
  name: Name,
  request: RequestOf<Name>,
  code: number,
  details: string | RegExp,
): Promise<void> => {
  const error = (await caller.call(name, request).then(
    () => null,
    (error: unknown) => error,
  )) as ServiceError | null
  t.match(error, { code, details }, `${name} ${JSON.stringify(request, (_, value) => String(value))}`)
}

t.test('the shards, and what the members hold of them', t =>
  withServer(t, async (caller, { node }) => {
    node.meta.shards = {
      version: 4,
      shards: [
        { group: groupId(1), range: { start: bytes(''), end: bytes('m') }, epoch: 2, replicas: [] },
        { group: groupId(3), range: { start: bytes('m'), end: null }, epoch: 2, replicas: [] },
      ],
    }
    node.operations.set(3, { kind: 'split', at: bytes('t'), right: groupId(4) })
    const answer = await caller.call(LIST, {})
    t.match(answer, {
      map_version: 4,
      replicas: 0,
      shards: [
        { shard: 1, epoch: 2, leader_id: node.self, replica_ids: [node.self], logical_bytes: 1000, state: 0 },
        { shard: 3, state: 1, split_right: 4 },
      ],
      nodes: [
        { node_id: node.self, name: 'one', connected: true, draining: false, shards: 2, leads: 2 },
        { node_id: OTHER_MEMBER, name: 'two', shards: 0 },
      ],
    })
    const keys = answer.shards.map(({ start, end, split_at: at }) => [start, end, at].map(String))
    t.strictSame(keys, [
      ['', 'm', ''],
      ['m', '', 't'],
    ])
    t.equal(node.seen.at(-1)?.request.kind, 'barrier', 'fresh')
    const asked = node.seen.length
    await caller.call(LIST, { serializable: true })
    t.equal(node.seen.length, asked, 'nobody else is asked')
    node.refusal = 'noLeader'
    await refused(t, caller, LIST, {}, 14, 'etcdserver: no leader')
  }),
)

t.test('whoever leads a shard that is elsewhere is asked for, and not for ever', t =>
  withServer(t, async (caller, { node }) => {
    const led = async (): Promise<bigint[]> =>
      (await caller.call(LIST, {})).shards.map(({ leader_id: id }) => id)
    const asked = () => node.seen.filter(({ request }) => request.kind === 'follow')
    t.strictSame(await led(), [node.self])
    t.equal(asked().length, 0, 'it is here, and led')
    node.leader = 0n
    t.strictSame(await led(), [0n], 'nobody has answered')
    t.match(asked(), [{ request: { kind: 'follow', group: 1, after: 0 }, options: { timeoutMs: 2_000 } }])
    node.elsewhere = OTHER_MEMBER
    t.strictSame(await led(), [OTHER_MEMBER])
    t.equal(asked().length, 2)
    t.equal((await caller.call(LIST, { serializable: true })).shards.length, 1)
    t.equal(asked().length, 2, 'nobody else is asked')
  }),
)

t.test('the plan, with its reasons', t =>
  withServer(t, async (caller, { node }) => {
    t.match(await caller.call(PLAN, {}), { replicas: 0, automatic: false, steps: [] })
    const [from, to] = [node.self, OTHER_MEMBER]
    node.plan = {
      replicas: 3,
      automatic: true,
      steps: [
        { kind: 'move', group: groupId(1), from, to, reason: 'nodeDead' },
        { kind: 'move', group: groupId(2), from: null, to, reason: 'tooFewReplicas' },
        { kind: 'transfer', group: groupId(3), from, to, reason: 'leadersUneven' },
        { kind: 'split', group: groupId(4), at: bytes('k'), reason: 'requestsMany' },
      ],
    }
    t.match(await caller.call(PLAN, {}), {
      replicas: 3,
      automatic: true,
      steps: [
        { kind: 0, shard: 1, from_id: from, to_id: to, reason: 1 },
        { kind: 0, shard: 2, from_id: 0n, to_id: to, reason: 4 },
        { kind: 1, shard: 3, from_id: from, to_id: to, reason: 8 },
        { kind: 2, shard: 4, split_at: bytes('k'), reason: 10 },
      ],
    })
  }),
)

t.test('a hand-over is kept by the balancer', t =>
  withServer(t, async (caller, { node }) => {
    t.match(await caller.call(TRANSFER, { shard: 1, to_id: node.self }), { header: { member_id: node.self } })
    t.match(node.seen.at(-1)?.request, { kind: 'moveLeader', to: node.self, group: 1 })
    t.strictSame(node.meta.heldLeaders, [{ group: 1, node: node.self }], 'the balancer leaves it there')
  }),
)

t.test('a split, and what is no split', t =>
  withServer(t, async (caller, { node }) => {
    const inside = 'kvorum: the key must lie inside the shard, behind its first key'
    await refused(t, caller, SPLIT, {}, 3, inside)
    await refused(t, caller, SPLIT, { at: bytes('m'), shard: 7 }, 5, 'kvorum: no such shard')
    t.match(await caller.call(SPLIT, { at: bytes('m') }), { right: 2 })
    t.match(node.meta.operations, [{ kind: 'split', group: 1, right: 2, epoch: 2 }])
    const busy = 'kvorum: an operation on this shard is under way'
    await refused(t, caller, SPLIT, { at: bytes('t') }, 9, busy)
    const range = { start: bytes('m'), end: null }
    node.meta.operations = []
    node.meta.shards = {
      version: 2,
      shards: [
        { group: groupId(1), range: { start: bytes(''), end: bytes('m') }, epoch: 2, replicas: [] },
        { group: groupId(2), range, epoch: 2, replicas: [] },
      ],
    }
    await refused(t, caller, SPLIT, { at: bytes('m') }, 3, inside)
    await refused(t, caller, SPLIT, { at: bytes('z'), shard: 1 }, 3, inside)
    t.equal(node.meta.operations.length, 0, 'nothing is half done')
  }),
)

t.test('moves and hand-overs that cannot be', t =>
  withServer(t, async (caller, { node }) => {
    const { self } = node
    const id = self.toString(16)
    await refused(t, caller, MOVE, { shard: 9, from_id: self, to_id: 1n }, 5, 'kvorum: no such shard')
    const nowhere = 'kvorum: the shard cannot have its replicas there: member'
    const none = `${nowhere} b0b has no replica of shard 1`
    await refused(t, caller, MOVE, { shard: 1, from_id: OTHER_MEMBER, to_id: self }, 3, none)
    const already = `${nowhere} ${id} has a replica already of shard 1`
    await refused(t, caller, MOVE, { shard: 1, from_id: self, to_id: self }, 3, already)
    await refused(t, caller, TRANSFER, { shard: 9, to_id: self }, 5, 'kvorum: no such shard')
    await refused(t, caller, TRANSFER, { shard: 1, to_id: 5n }, 5, 'etcdserver: member not found')
    await refused(t, caller, TRANSFER, { shard: 1, to_id: OTHER_MEMBER }, 3, none)
    t.ok(node.seen.every(({ request }) => request.kind === 'barrier'))
    for (const [refusal, code, text] of [
      [
        'shardNotPlaced',
        9,
        'kvorum: every member has a replica of every shard: there is nowhere to move one to',
      ],
      ['memberNotFound', 5, 'etcdserver: member not found'],
      ['nodeFull', 9, 'kvorum: the member holds as many shards as it may'],
      ['nodeDraining', 9, 'kvorum: the member is being drained'],
      ['drainNowhere', 9, 'kvorum: the replicas of the member have nowhere to go: add a member first'],
      ['shardBusy', 9, 'kvorum: an operation on this shard is under way'],
      ['shardChanged', 9, 'kvorum: the shard has been changed meanwhile: look at it again'],
    ] as const) {
      node.metaRefusal = refusal
      if (refusal === 'drainNowhere') await refused(t, caller, DRAIN, { node_id: self }, code, text)
      else await refused(t, caller, MOVE, { shard: 1, from_id: self, to_id: OTHER_MEMBER }, code, text)
    }
  }),
)

t.test('a move names what it was decided by, and a drain can be taken back', t =>
  withServer(t, async (caller, { node }) => {
    const { self } = node
    node.meta.nodes = [self, OTHER_MEMBER].map(id => ({
      id,
      name: '',
      peerUrls: [],
      clientUrls: [],
      learner: false,
      serverVersion: '',
    }))
    node.meta.membership = {
      ...node.meta.membership,
      seats: node.meta.nodes.map(({ id }) => ({
        node: id,
        replica: 1,
        founder: true,
        incarnation: 0n,
      })) as never,
    }
    node.meta.placement = {
      replicas: 1,
      draining: [],
      former: [],
      shards: [{ group: groupId(1), nodes: [self], settled: true, settledAt: 0 }],
    }
    await caller.call(DRAIN, { node_id: OTHER_MEMBER })
    t.strictSame(node.meta.placement.draining, [OTHER_MEMBER])
    const leaving = 'kvorum: the member is being drained'
    await refused(t, caller, MOVE, { shard: 1, from_id: self, to_id: OTHER_MEMBER }, 9, leaving)
    await caller.call(DRAIN, { node_id: OTHER_MEMBER, undo: true })
    t.strictSame(node.meta.placement.draining, [])
    await caller.call(MOVE, { shard: 1, from_id: self, to_id: OTHER_MEMBER })
    t.match(node.meta.placement.shards, [{ nodes: [OTHER_MEMBER], settled: false }])
    node.meta.placement = {
      ...node.meta.placement,
      shards: [{ group: groupId(1), nodes: [nodeId(5n)], settled: true, settledAt: 0 }],
    }
    const changed = 'kvorum: the shard has been changed meanwhile: look at it again'
    await refused(t, caller, MOVE, { shard: 1, from_id: self, to_id: OTHER_MEMBER }, 9, changed)
  }),
)

t.test('the gateway, and the audit log', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'kvorum-shards-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const log = join(directory, 'audit')
  await withServer(
    t,
    async (_, server) => {
      const post = async (verb: string, body: object) => {
        const url = `${server.url}/kvorum/v1/shard/${verb}`
        return (await fetch(url, { method: 'POST', body: JSON.stringify(body) })).json() as Promise<object>
      }
      t.match(await post('list', {}), { map_version: '1', shards: [{ shard: '1', epoch: '1' }] })
      t.match(await post('split', { at: Buffer.from('m').toString('base64') }), { right: '2' })
      await post('transfer', { shard: '1', to_id: String(server.node.self) })
      await post('drain', { node_id: '11' })
      const read = (): string[] => readFileSync(log, 'utf8').trimEnd().split('\n')
      await until(() => read().length === 3, 'three lines')
      t.match(
        read().map(line => JSON.parse(line) as object),
        [
          { rpc: SPLIT, about: { at: 'm' }, code: 'OK' },
          { rpc: TRANSFER, about: { shard: '1', to_id: server.node.self.toString(16) }, code: 'OK' },
          { rpc: DRAIN, about: { node_id: 'b' }, code: 'NOT_FOUND' },
        ],
      )
    },
    [`--audit-log=${log}`],
  )
})
