import {
  encodeShardCommand,
  leaseId,
  pointRange,
  utf8,
  type ClientRequest,
  type GroupId,
} from '@kvorum/model'
import t from 'tap'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { ALL, get, leader, pairs, put, reply } from './requests.js'

const KEYS = 300
const BOUND = { longCommand: { rows: 100, bytes: 1_000_000 } }
const DATA = 1 as GroupId

const deleteAll: ClientRequest = {
  kind: 'write',
  ranges: [ALL],
  command: encodeShardCommand({ kind: 'write', op: { kind: 'delete', range: ALL, prevKv: false } }),
}

/** A cluster with some keys, and a store that takes its time from now on. */
function prepared(): { cluster: MiniCluster; node: MiniNode } {
  const cluster = new MiniCluster(BOUND)
  const node = leader(cluster)
  const ids = Array.from({ length: KEYS }, (_, i) => node.request(put(`key${i}`, 'v')))
  cluster.until(() => ids.every(id => node.results.has(id)))
  cluster.until(() => cluster.nodes.every(one => shardOf(one).revision === KEYS + 1))
  for (const one of cluster.nodes) one.storeDelay = 50
  return { cluster, node }
}

const groupOf = (node: MiniNode) => node.state.groups.get(DATA)!
const shardOf = (node: MiniNode) => groupOf(node).machine.shard!
const isHidden = (node: MiniNode): boolean => shardOf(node).applying !== 0

t.test(
  'reads are answered at every node while a long delete is hidden, and see all of it afterwards',
  async t => {
    const { cluster, node } = prepared()
    const id = node.request(deleteAll)
    cluster.until(() => cluster.nodes.every(isHidden))
    // One that is gone already, out of sight, and one that is not.
    const reads = cluster.nodes.flatMap(one =>
      ['key0', 'key99'].map(key => ({ one, key, read: one.request(get(pointRange(utf8(key)))) })),
    )
    cluster.until(() => reads.every(({ one, read }) => one.results.has(read)))
    for (const { one, key, read } of reads)
      t.match(pairs(one.results.get(read)!), [new RegExp(`^${key}=v@`)], 'the state before')
    t.ok(cluster.nodes.every(isHidden), 'the reads did not wait for it')
    t.notOk(node.results.has(id))
    cluster.until(() => node.results.has(id))
    t.match(reply(node.results.get(id)!), { kind: 'op', op: { kind: 'delete', deleted: KEYS } })
    for (const one of cluster.nodes) t.same(pairs(cluster.ask(one, get(ALL))), [])
  },
)

t.test(
  'nobody shows a long command before its publication is committed, everybody does afterwards',
  async t => {
    const { cluster, node } = prepared()
    const others = cluster.nodes.filter(one => one !== node)
    // The leader is slow: the followers are done long before it says so.
    node.storeDelay = 400
    for (const one of others) one.storeDelay = 1
    const id = node.request(deleteAll)
    cluster.until(() => others.every(one => groupOf(one).applying.hidden?.worked != null))
    for (const one of others) t.equal(pairs(cluster.ask(one, get(ALL))).length, KEYS)
    t.notOk(node.results.has(id))
    t.ok(others.every(isHidden), 'done, and hidden')
    cluster.until(() => node.results.has(id))
    t.same(pairs(cluster.ask(others[0]!, get(ALL))), [])
    const { raft } = groupOf(node)
    cluster.until(() => cluster.nodes.every(one => groupOf(one).machine.applied === raft!.lastIndex))
    const digests = new Set(cluster.nodes.map(one => shardOf(one).digest))
    t.equal(digests.size, 1)
  },
)

t.test('reads that come when it is published wait until it can be seen', async t => {
  const { cluster, node } = prepared()
  const slow = cluster.nodes.find(one => one !== node)!
  slow.storeDelay = 400
  const id = node.request(deleteAll)
  cluster.until(() => node.results.has(id))
  t.equal(shardOf(slow).revision, KEYS + 1, 'one replica is far from done')
  t.same(pairs(cluster.ask(slow, get(ALL))), [])
})

t.test('a leader that dies before it has published leaves that to the next', async t => {
  const { cluster, node } = prepared()
  const others = cluster.nodes.filter(one => one !== node)
  node.storeDelay = 100_000
  node.request(deleteAll)
  cluster.until(() => others.every(isHidden))
  for (const one of others) cluster.cut.add(`${node.id}>${one.id}`).add(`${one.id}>${node.id}`)
  cluster.until(() => others.some(one => groupOf(one).raft?.role === 'leader'))
  cluster.until(() => others.every(one => !isHidden(one)))
  t.same(pairs(cluster.ask(others[0]!, get(ALL))), [])
  t.equal(cluster.ask(node, get(ALL), 1_000).ok, false, 'cut off, the old leader answers nothing')
})

t.test(
  'a leader whose data is damaged gives leadership away, and the next publishes its long command',
  async t => {
    const { cluster, node } = prepared()
    const others = cluster.nodes.filter(one => one !== node)
    node.request(deleteAll)
    cluster.until(() => cluster.nodes.every(isHidden))
    node.put({ kind: 'logDamaged', group: DATA, problem: 'an entry fails its checksum' })
    cluster.until(() => groupOf(node).quarantined !== null)
    cluster.until(() => others.every(one => !isHidden(one)))
    t.not(cluster.leaderOf(DATA), node)
    t.same(pairs(cluster.ask(others[0]!, get(ALL))), [])
    t.equal(cluster.ask(others[1]!, put('new', 'value')).ok, true)
  },
)

t.test('the client of a long command that cannot be published is told that its end is not known', async t => {
  const { cluster, node } = prepared()
  const id = node.request(deleteAll, 500)
  cluster.until(() => isHidden(node))
  for (const one of cluster.nodes) cluster.cut.add(`${node.id}>${one.id}`).add(`${one.id}>${node.id}`)
  cluster.until(() => node.results.has(id))
  t.match(node.results.get(id), { ok: false, error: { outcome: 'unknown' } })
})

t.test('leases are kept alive by the leader they had before, while a long command is hidden', async t => {
  const { cluster, node } = prepared()
  const id = leaseId(5n)
  reply(cluster.ask(node, { kind: 'leaseGrant', id, ttl: 60 }))
  const written = node.request(deleteAll)
  cluster.until(() => cluster.nodes.every(isHidden))
  t.match(reply(cluster.ask(node, { kind: 'leaseKeepAlive', id })), { kind: 'leaseRenewed', ttl: 60 })
  t.ok(isHidden(node))
  t.notOk(node.results.has(written))
})

t.test('writes behind a long command wait for it, and watchers see all of it at one revision', async t => {
  const { cluster, node } = prepared()
  const create = { range: ALL, startRevision: 0, noPut: false, noDelete: false, prevKv: false, watchId: 0 }
  node.watch(1, { kind: 'create', create: { ...create, fragment: false, progressNotify: false } })
  const first = node.request(deleteAll)
  const second = node.request(put('new', 'value'))
  cluster.until(() => isHidden(node))
  cluster.run(30)
  t.notOk(node.results.has(second))
  t.notOk(node.watched.some(({ kind }) => kind === 'events'))
  cluster.until(() => node.results.has(first) && node.results.has(second))
  t.same(pairs(cluster.ask(node, get(ALL))), [`new=value@${KEYS + 3}`])
  const events = (): number[] =>
    node.watched.flatMap(one => (one.kind === 'events' ? one.events.map(({ kv }) => kv.mod) : []))
  cluster.until(() => events().length === KEYS + 1)
  t.same(new Set(events()), new Set([KEYS + 2, KEYS + 3]))
})
