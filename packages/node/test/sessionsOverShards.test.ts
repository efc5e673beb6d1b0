import t from 'tap'
import {
  encodeShardCommand,
  leaseId,
  LIMITS,
  utf8,
  type ClientRequest,
  type ClientResult,
  type Op,
  type PutOp,
  type SessionId,
} from '@kvorum/model'
import { encodeMetaCommand } from '@kvorum/placement'
import { rangesOf } from '#src/commands.js'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { ALL, get, pairs, reply } from './requests.js'

const THREE = [
  { start: utf8(''), end: utf8('h') },
  { start: utf8('h'), end: utf8('p') },
  { start: utf8('p'), end: null },
]
const GROUPS = [0, 1, 2, 3]
const LEASE = leaseId(7n)

const hasLeaders = (cluster: MiniCluster): boolean =>
  GROUPS.every(group => cluster.leaderOf(group) !== undefined)

interface Opened {
  readonly cluster: MiniCluster
  readonly session: SessionId
}

function opened(): Opened {
  const cluster = new MiniCluster({ ranges: THREE, oracle: true })
  cluster.until(() => hasLeaders(cluster))
  const [node] = cluster.nodes as [MiniNode]
  cluster.ask(node, { kind: 'leaseGrant', id: LEASE, ttl: 60 })
  const answer = reply(cluster.ask(node, { kind: 'sessionOpen', lease: LEASE }))
  if (answer.kind !== 'sessionOpened') throw new Error('no session')
  return { cluster, session: answer.id }
}

const putOp = (key: string, value: string, more: Partial<PutOp> = {}): PutOp => ({
  kind: 'put',
  key: utf8(key),
  value: utf8(value),
  lease: leaseId(0n),
  prevKv: true,
  ignoreValue: false,
  ignoreLease: false,
  ...more,
})
const puts = (keys: readonly string[], value: string): Op => ({
  kind: 'txn',
  compares: [],
  success: keys.map(key => putOp(key, value)),
  failure: [],
})

const tagged = (session: SessionId, sequence: number, op: Op, acknowledgedBelow = 1): ClientRequest => ({
  kind: 'write',
  ranges: rangesOf(op),
  command: encodeShardCommand(
    { kind: 'write', op },
    { authRevision: null, session: { session, sequence, acknowledgedBelow } },
  ),
})

const text = (result: ClientResult): string =>
  result.ok
    ? `${result.value.header.revision} ${Buffer.from(result.value.body).toString('hex')}`
    : `${result.error.code} ${result.error.outcome}`

const written = (cluster: MiniCluster): string[] => {
  const alive = cluster.nodes.find(({ up }) => up)!
  return pairs(cluster.ask(alive, get(ALL)))
}

const unlocked = (cluster: MiniCluster): boolean =>
  cluster.nodes
    .filter(({ up }) => up)
    .flatMap(({ state }) => [...state.groups.values()])
    .every(({ machine }) => {
      const { prepared, records } = machine.revisions.transactions
      return prepared.length + records.length === 0
    })

function split(cluster: MiniCluster, at: string): void {
  const command = encodeMetaCommand({ kind: 'splitShard', at: utf8(at), group: null })
  reply(cluster.ask(cluster.nodes[0]!, { kind: 'meta', command }))
}

void t.test('a write of a session is carried out once, in whatever shards, and has one answer', async t => {
  const { cluster, session } = opened()
  const ops = [
    putOp('a', '1'),
    putOp('k', '1'),
    putOp('z', '1'),
    puts(['b', 'l', 'y'], '1'),
    puts(['m', 'n'], '1'),
    { kind: 'delete', range: { start: utf8('a'), end: utf8('l') }, prevKv: true } as const,
  ]
  const answers = ops.map((op, i) => text(cluster.ask(cluster.nodes[i % 3]!, tagged(session, i + 1, op))))
  const first = written(cluster)
  t.equal(first.length, 5, 'a, b and k were deleted again')
  const again = ops.map((op, i) => text(cluster.ask(cluster.nodes[(i + 1) % 3]!, tagged(session, i + 1, op))))
  t.strictSame(again, answers, 'each is answered as it was, revision included')
  t.strictSame(written(cluster), first, 'and nothing has changed')

  split(cluster, 'd')
  split(cluster, 'k')
  split(cluster, 'r')
  const moved = ops.map((op, i) => text(cluster.ask(cluster.nodes[(i + 2) % 3]!, tagged(session, i + 1, op))))
  t.strictSame(moved, answers, 'also where its keys have moved, or are of more shards than before')
  t.strictSame(written(cluster), first)
  const next = cluster.ask(cluster.nodes[1]!, tagged(session, 7, putOp('e', 'right half of the home'), 7))
  t.ok(next.ok)
  const [home] = cluster.nodes[0]!.state.shards.shards
  const groups = cluster.nodes.flatMap(({ state }) => [...state.groups.values()])
  for (const { id, machine } of groups) {
    const known = machine.shard?.sessions.byId.get(session)
    if (id !== home!.group) t.equal(known, undefined, `group ${id} keeps no answers`)
    else t.strictSame([...known!.replies.keys()], [7], 'the home has forgotten what the client has')
  }
  const old = cluster.ask(cluster.nodes[0]!, tagged(session, 2, putOp('k', 'late')))
  t.match(old, { ok: false, error: { code: 'sequenceAcknowledged', outcome: 'unknown' } })
  cluster.until(() => unlocked(cluster))
})

void t.test('it may be sent to all nodes at once, and while the home is split', async t => {
  const { cluster, session } = opened()
  for (let i = 1; i <= 6; i++) {
    const op = i % 2 === 0 ? puts(['c', 'k', 'z'], `${i}`) : putOp(i === 3 ? 'c' : 'q', `${i}`)
    if (i === 3) {
      const command = encodeMetaCommand({ kind: 'splitShard', at: utf8('b'), group: null })
      cluster.nodes[0]!.request({ kind: 'meta', command })
      cluster.run(5)
    }
    const asked = cluster.nodes.map(node => ({ node, id: node.request(tagged(session, i, op)) }))
    cluster.until(() => asked.every(({ node, id }) => node.results.has(id)))
    const answers = new Set(asked.map(({ node, id }) => text(node.results.get(id)!)))
    t.equal(answers.size, 1, `sequence ${i}: ${[...answers].join(' | ')}`)
    t.ok(asked[0]!.node.results.get(asked[0]!.id)!.ok)
  }
  t.strictSame(
    written(cluster).map(pair => pair.split('@')[0]),
    ['c=6', 'k=6', 'q=5', 'z=6'],
  )
})

void t.test('the coordinator dies at any step: the write is sent again, and is carried out once', async t => {
  const keys = ['b', 'k', 'z']
  for (let patience = 3; patience < 24; patience += 6) {
    const { cluster, session } = opened()
    const asked = cluster.nodes[patience % 3]!
    asked.request(tagged(session, 1, puts(keys, 'x')))
    cluster.run(patience)
    asked.kill()
    cluster.until(() => hasLeaders(cluster))
    const others = cluster.nodes.filter(({ up }) => up)
    const [first, second] = others.map(node => text(cluster.ask(node, tagged(session, 1, puts(keys, 'x')))))
    t.equal(first, second, `after ${patience} ms`)
    const revisions = new Set(written(cluster).map(pair => pair.split('@')[1]))
    t.strictSame([...revisions], [first!.split(' ')[0]], 'all keys have the revision of the answer')
    cluster.until(() => unlocked(cluster))
    asked.restart()
    cluster.run(300)
    t.strictSame(
      written(cluster).map(pair => pair.split('@')[0]),
      ['b=x', 'k=x', 'z=x'],
    )
    t.equal(text(cluster.ask(asked, tagged(session, 1, puts(keys, 'x')))), first)
  }
})

void t.test('a refusal that judges the write is kept, too', async t => {
  const { cluster, session } = opened()
  const [node, other] = cluster.nodes as [MiniNode, MiniNode]
  const missing = putOp('z', '', { ignoreValue: true, prevKv: false })
  t.match(cluster.ask(node, tagged(session, 1, missing)), {
    error: { code: 'keyNotFound', outcome: 'notApplied' },
  })
  t.ok(cluster.ask(node, tagged(session, 2, putOp('z', '1'))).ok)
  t.match(
    cluster.ask(other, tagged(session, 1, missing)),
    { error: { code: 'keyNotFound', outcome: 'notApplied' } },
    'although the key is there by now',
  )
  t.equal(written(cluster).length, 1)
})

void t.test('writes of a session attach keys of every shard to leases', async t => {
  const { cluster, session } = opened()
  const [node, other] = cluster.nodes as [MiniNode, MiniNode]
  const lease = leaseId(9n)
  cluster.ask(node, { kind: 'leaseGrant', id: lease, ttl: 60 })
  const ops = [putOp('a', '1', { lease }), putOp('k', '1', { lease }), putOp('z', '1', { lease: LEASE })]
  const answers = ops.map((op, i) => text(cluster.ask(node, tagged(session, i + 1, op))))
  t.strictSame(
    ops.map((op, i) => text(cluster.ask(other, tagged(session, i + 1, op)))),
    answers,
  )
  const live = reply(cluster.ask(other, { kind: 'leaseTimeToLive', id: lease, keys: true }))
  t.equal(live.kind === 'leaseTimeToLive' && live.keys.length, 2)
  t.ok(cluster.ask(node, { kind: 'leaseRevoke', id: lease }).ok)
  t.strictSame(
    written(cluster).map(pair => pair.split('@')[0]),
    ['z=1'],
  )
  const gone = putOp('k', '2', { lease })
  t.match(cluster.ask(node, tagged(session, 4, gone)), { error: { code: 'leaseNotFound' } })
  cluster.ask(node, { kind: 'leaseGrant', id: lease, ttl: 60 })
  t.match(cluster.ask(other, tagged(session, 4, gone)), { error: { code: 'leaseNotFound' } })
  t.ok(cluster.ask(node, { kind: 'leaseRevoke', id: LEASE }).ok)
  t.strictSame(written(cluster), [], 'the end of its own lease ends a session and the keys that it wrote')
  t.match(cluster.ask(node, tagged(session, 2, ops[1]!)), {
    error: { code: 'sessionNotFound', outcome: 'unknown' },
  })
})

void t.test('a session does not end while a write of it is undecided', async t => {
  for (let patience = 1; patience < 12; patience += 2) {
    const { cluster, session } = opened()
    const [node, other] = cluster.nodes as [MiniNode, MiniNode]
    const write = node.request(tagged(session, 1, puts(['k', 'z'], '1')))
    cluster.run(patience)
    const revoke = other.request({ kind: 'leaseRevoke', id: LEASE })
    cluster.until(() => other.results.has(revoke))
    // Whoever hears that the session is gone can look what has become of its writes.
    const after = written(cluster)
    cluster.until(() => node.results.has(write))
    cluster.until(() => unlocked(cluster))
    const result = node.results.get(write)!
    if (!result.ok) t.match(result, { error: { code: 'sessionNotFound', outcome: 'unknown' } })
    t.equal(after.length, result.ok ? 2 : 0, `${patience} ms: ${text(result)}`)
    t.strictSame(written(cluster), after)
  }
})

void t.test('what is kept for a client has a bound', async t => {
  const { cluster, session } = opened()
  const [node] = cluster.nodes as [MiniNode]
  const asked: number[] = []
  for (let i = 1; i <= LIMITS.sessionRepliesMax; i++) {
    asked.push(node.request(tagged(session, i, putOp(i % 2 === 0 ? `z${i}` : `a${i}`, '1'))))
    if (i % 32 === 0) cluster.until(() => asked.every(id => node.results.has(id)))
  }
  const failed = asked.map(id => node.results.get(id)!).filter(({ ok }) => !ok)
  t.strictSame(failed.map(text), [])
  const more = LIMITS.sessionRepliesMax + 1
  t.match(cluster.ask(node, tagged(session, more, putOp('z', '1'))), {
    error: { code: 'tooManyRequests', outcome: 'notApplied' },
  })
  t.ok(cluster.ask(node, tagged(session, more, putOp('z', '1'), 100)).ok, 'it acknowledges some')
})
