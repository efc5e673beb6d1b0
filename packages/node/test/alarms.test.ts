import t, { type Test } from 'tap'
import {
  decodeReply,
  encodeShardCommand,
  groupId,
  leaseId,
  NO_LEASE,
  nodeId,
  pointRange,
  utf8,
  type AlarmKind,
  type ClientRequest,
  type ClientResult,
  type Op,
} from '@kvorum/model'
import { statusOf } from '@kvorum/node'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { ALL, get, put as putValue } from './requests.js'
import { revisionOf, threeShards, write as writeOver } from './threeShards.js'

const write = (op: Op): ClientRequest => ({
  kind: 'write',
  ranges: [op.kind === 'put' ? pointRange(op.key) : pointRange(utf8('k'))],
  command: encodeShardCommand({ kind: 'write', op }),
})
const put = (key: string, bytes = 100): ClientRequest => putValue(key, 'v'.repeat(bytes))
const putOp = (key: string): Op => ({
  kind: 'put',
  key: utf8(key),
  value: utf8('v'),
  lease: NO_LEASE,
  prevKv: false,
  ignoreValue: false,
  ignoreLease: false,
})
const remove = (key: string): ClientRequest =>
  write({ kind: 'delete', range: pointRange(utf8(key)), prevKv: false })
const read = get(pointRange(utf8('k')))

const alarm = (change: 'raise' | 'clear', member: number, kind: AlarmKind = 'noSpace'): ClientRequest => ({
  kind: 'alarm',
  change,
  member: nodeId(BigInt(member)),
  alarm: kind,
})

const codeOf = (result: ClientResult): string => (result.ok ? 'ok' : result.error.code)
const changed = (result: ClientResult): number => {
  if (!result.ok) throw new Error(result.error.code)
  const reply = decodeReply(result.value.body)
  return reply.kind === 'alarms' ? reply.alarms.length : -1
}
const alarmsOf = (node: MiniNode) => statusOf(node.state, () => 0).alarms

function leader(cluster: MiniCluster): MiniNode {
  cluster.until(() => cluster.leaderOf(0) !== undefined && cluster.leaderOf(0) === cluster.leaderOf(1))
  return cluster.leaderOf(1)!
}

/** Puts until the quota says no; through any node. */
function fill(t: Test, cluster: MiniCluster, node: MiniNode): number {
  for (let i = 0; i < 100; i++) {
    const code = codeOf(cluster.ask(node, put(`k${i}`)))
    if (code === 'ok') continue
    t.equal(code, 'noSpace')
    return i
  }
  throw new Error('it never got full')
}

t.test('a full cluster refuses puts everywhere until it has room and the alarm is taken back', async t => {
  const cluster = new MiniCluster({ maintenance: { quotaBytes: 3000 } })
  const first = leader(cluster)
  const follower = cluster.nodes.find(node => node !== first)!
  const written = fill(t, cluster, follower)
  t.equal(written, Math.floor(3000 / (256 + 102)))
  cluster.until(() => cluster.nodes.every(node => alarmsOf(node).length === 1))
  t.same(alarmsOf(follower), [{ member: first.id, alarm: 'noSpace' }], 'by the member that noticed')
  for (const node of cluster.nodes) {
    t.equal(codeOf(cluster.ask(node, put('x', 0))), 'noSpace', `a small put at ${node.id}`)
    t.equal(codeOf(cluster.ask(node, { kind: 'leaseGrant', id: leaseId(7n), ttl: 60 })), 'noSpace')
  }
  t.equal(alarmsOf(first).length, 1, 'one alarm, however many were refused')
  for (let i = 0; i < written; i++) t.equal(codeOf(cluster.ask(follower, remove(`k${i}`))), 'ok')
  const { revision } = statusOf(first.state, () => 0)
  const compact: ClientRequest = { kind: 'compact', revision, physical: true }
  t.equal(codeOf(cluster.ask(follower, compact)), 'ok')
  t.equal(codeOf(cluster.ask(follower, put('x'))), 'noSpace', 'room alone does not do it')
  first.up = false
  cluster.until(() => cluster.leaderOf(0) !== undefined && cluster.leaderOf(0) === cluster.leaderOf(1))
  t.equal(codeOf(cluster.ask(follower, put('x'))), 'noSpace', 'nor does another leader')
  t.equal(changed(cluster.ask(follower, alarm('clear', Number(first.id)))), 1)
  t.equal(codeOf(cluster.ask(follower, put('x'))), 'ok', 'at once')
  t.equal(changed(cluster.ask(follower, alarm('clear', Number(first.id)))), 0, 'nothing to take back')
})

t.test('the quota is one over all shards, for puts and for transactions over several', async t => {
  const quotaBytes = 30_000
  const cluster = threeShards({ maintenance: { quotaBytes, autoDisarmNoSpace: true } })
  const [node] = cluster.nodes
  const held = (): number => statusOf(node!.state, () => 0).logicalBytes
  const both: Op = { kind: 'txn', compares: [], success: [putOp('b'), putOp('k'), putOp('z')], failure: [] }
  let code = 'ok'
  for (let i = 0; code === 'ok' && i < 200; i++) {
    const key = ['a', 'i', 'q'][i % 3]!
    code = codeOf(cluster.ask(node!, i % 4 === 0 ? writeOver(both) : put(`${key}${i}`)))
    cluster.run(100)
  }
  t.equal(code, 'noSpace')
  const [least, most] = [0.95, 1.05].map(share => share * quotaBytes)
  t.ok(held() > least! && held() < most!, `${held()} of ${quotaBytes} bytes`)
  cluster.until(() => cluster.nodes.every(each => alarmsOf(each).length === 1))
  for (const key of ['a', 'i', 'q']) t.equal(codeOf(cluster.ask(node!, put(key, 0))), 'noSpace', key)
  t.equal(codeOf(cluster.ask(node!, writeOver(both))), 'noSpace')
  const all: Op = { kind: 'delete', range: ALL, prevKv: false }
  const deleted = cluster.ask(node!, writeOver(all))
  const compact: ClientRequest = { kind: 'compact', revision: revisionOf(deleted), physical: true }
  t.equal(codeOf(cluster.ask(node!, compact)), 'ok')
  const guards = () => [...node!.state.groups.values()].map(({ machine }) => machine.shard?.guard.noSpace)
  cluster.until(() => alarmsOf(node!).length === 0 && !guards().includes(true))
  for (const key of ['a', 'i', 'q'])
    t.equal(codeOf(cluster.ask(node!, put(key))), 'ok', 'there is room again')
})

t.test('an alarm that is set by hand holds when its answer comes, and is idempotent', async t => {
  const cluster = new MiniCluster({ nodes: 3, ranges: halves() })
  cluster.until(() => cluster.leaderOf(0) !== undefined)
  cluster.until(() => cluster.leaderOf(1) !== undefined && cluster.leaderOf(2) !== undefined)
  const node = cluster.nodes[1]!
  t.equal(changed(cluster.ask(node, alarm('raise', 3))), 1)
  t.equal(codeOf(cluster.ask(cluster.nodes[0]!, put('a'))), 'noSpace', 'the left shard')
  t.equal(codeOf(cluster.ask(cluster.nodes[2]!, put('z'))), 'noSpace', 'the right shard')
  t.equal(changed(cluster.ask(node, alarm('raise', 3))), 0)
  t.equal(changed(cluster.ask(node, alarm('clear', 2))), 0, 'of another member')
  t.equal(changed(cluster.ask(node, alarm('raise', 3, 'corrupt'))), 1)
  for (const request of [put('a'), read, remove('a')]) {
    t.equal(codeOf(cluster.ask(cluster.nodes[0]!, request)), 'corrupt', request.kind)
  }
  t.equal(codeOf(cluster.ask(node, { kind: 'leaseList' })), 'corrupt')
  t.equal(changed(cluster.ask(node, alarm('clear', 3, 'corrupt'))), 1)
  t.equal(codeOf(cluster.ask(node, read)), 'ok')
  t.equal(codeOf(cluster.ask(node, put('a'))), 'noSpace', 'the other alarm is still up')
  t.equal(changed(cluster.ask(node, alarm('clear', 3))), 1)
  t.equal(codeOf(cluster.ask(node, put('a'))), 'ok')
})

const halves = () => [
  { start: new Uint8Array(0), end: utf8('m') },
  { start: utf8('m'), end: null },
]

t.test('with --auto-disarm-nospace compaction is enough', async t => {
  const cluster = new MiniCluster({ maintenance: { quotaBytes: 3000, autoDisarmNoSpace: true } })
  const first = leader(cluster)
  for (let i = 0; codeOf(cluster.ask(first, put('k'))) === 'ok'; i++) t.ok(i < 100)
  cluster.until(() => alarmsOf(first).length === 1)
  const { revision } = statusOf(first.state, () => 0)
  t.equal(codeOf(cluster.ask(first, { kind: 'compact', revision, physical: false })), 'ok')
  cluster.until(() => alarmsOf(first).length === 0)
  cluster.until(() => first.state.groups.get(groupId(1))?.machine.shard?.guard.noSpace === false)
  t.equal(codeOf(cluster.ask(first, put('k'))), 'ok')
})

t.test('hashes are equal on all members, of the newest and of older revisions', async t => {
  const cluster = new MiniCluster()
  const first = leader(cluster)
  for (let i = 0; i < 300; i++) cluster.ask(first, put(`k${i % 40}`))
  cluster.ask(first, remove('k3'))
  cluster.ask(first, { kind: 'compact', revision: 100, physical: false })
  const { revision } = statusOf(first.state, () => 0)
  const settled = (node: MiniNode): boolean => {
    const shard = node.state.groups.get(groupId(1))!.machine.shard!
    return shard.reclaimed === 100 && shard.applied === first.state.groups.get(groupId(1))!.machine.applied
  }
  cluster.until(() => cluster.nodes.every(settled))
  const hashOf = (node: MiniNode, at: number) => {
    const result = cluster.ask(node, { kind: 'hashKv', revision: at })
    return result.ok ? decodeReply(result.value.body) : result.error.code
  }
  for (const at of [0, 100, 250]) {
    const [a, b, c] = cluster.nodes.map(node => hashOf(node, at))
    t.same(a, b)
    t.same(b, c)
    t.match(a, { kind: 'hashed', revision: at === 0 ? revision : at, compactRevision: 100 })
  }
  t.not(
    (hashOf(first, 250) as { hash: number }).hash,
    (hashOf(first, 0) as { hash: number }).hash,
    'revisions differ',
  )
  t.equal(hashOf(first, 99), 'compacted')
  t.equal(hashOf(first, revision + 1), 'futureRevision')
})
