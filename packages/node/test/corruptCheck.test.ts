import { crc32 } from 'node:zlib'
import t from 'tap'
import { ALL_KEYS, groupId, leaseId, nodeId, utf8, type NodeId, type StoreHash } from '@kvorum/model'
import { statusOf, type MaintenanceOptions } from '@kvorum/node'
import { rangesBetween } from '@kvorum/placement'
import { createChecking } from '#src/checking.js'
import { judgeHashes } from '#src/hashVerdict.js'
import { NO_MAINTENANCE } from '#src/maintenance.js'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { get, leader, pairs, put } from './requests.js'
import { watch } from './watching.js'

const id = (n: number): NodeId => nodeId(BigInt(n))
const hashed = (hash: number, rest: Partial<StoreHash> = {}): StoreHash => ({
  hash,
  revision: 10,
  compactRevision: 2,
  applied: 50,
  digest: 1,
  epoch: 1,
  ...rest,
})
const judge = (own: StoreHash, others: (StoreHash | null)[], voters = others.length + 1) => {
  const { differing, confirmed, unknown } = judgeHashes(
    { node: id(1), hash: own },
    new Map(others.map((hash, i) => [id(i + 2), hash])),
    new Set(Array.from({ length: voters }, (_, i) => id(i + 1))),
  )
  return { differing: differing.map(Number), confirmed, unknown: unknown.map(Number) }
}

t.test('the verdict: most voters are right, and who says nothing is unknown', async t => {
  const fine = { differing: [], confirmed: true, unknown: [] }
  t.strictSame(judge(hashed(7), []), fine, 'alone')
  t.strictSame(judge(hashed(7), [hashed(7), hashed(7)]), fine)
  t.strictSame(judge(hashed(7), [hashed(7), null]), { ...fine, unknown: [3] })
  t.strictSame(judge(hashed(7), [null, null]), { differing: [], confirmed: false, unknown: [2, 3] })
  t.strictSame(judge(hashed(7), [hashed(7), hashed(8)]), { ...fine, differing: [3] })
  t.strictSame(
    judge(hashed(8), [hashed(7), hashed(7)]),
    { differing: [1], confirmed: false, unknown: [] },
    'this one is the odd one',
  )
  t.strictSame(judge(hashed(7), [hashed(8)]), { differing: [2], confirmed: false, unknown: [] }, 'one to one')
  t.strictSame(judge(hashed(7), [hashed(8), null]), { differing: [2], confirmed: false, unknown: [3] })
})

t.test('the verdict: other revisions, or the keys before a split, are not comparable', async t => {
  for (const other of [{ revision: 9 }, { compactRevision: 3 }, { epoch: 2 }])
    t.strictSame(judge(hashed(7), [hashed(7), hashed(8, other)]), {
      differing: [],
      confirmed: true,
      unknown: [3],
    })
})

t.test('the verdict: equal positions need equal digests', async t => {
  const other = hashed(7, { digest: 2 })
  t.strictSame(judge(hashed(7), [hashed(7), other]), { differing: [3], confirmed: true, unknown: [] })
  t.strictSame(
    judge(hashed(7), [hashed(7), hashed(7, { digest: 2, applied: 51 })]),
    { differing: [], confirmed: true, unknown: [] },
    'at another position it says nothing',
  )
})

t.test('the verdict: a learner is judged and does not count', async t => {
  t.strictSame(judge(hashed(7), [hashed(7), hashed(8)], 2), { differing: [3], confirmed: true, unknown: [] })
  t.strictSame(judge(hashed(7), [null, hashed(7)], 2), { differing: [], confirmed: false, unknown: [2] })
})

/** Changes a value in the store behind the node's back, with a checksum that fits. */
function change(cluster: MiniCluster, node: MiniNode, key: string, sealed = true): void {
  cluster.until(() => node.state.overlay.activeBytes === 0 && node.state.flushing.out === null)
  const rowKey = Buffer.concat([Buffer.from('C'), utf8(key), Buffer.of(0, 1)])
  const row = node.rows.get(rowKey.toString('latin1')) ?? findRow(node, rowKey)
  const value = Buffer.from(row.value)
  value[value.length - 1]! ^= 1
  if (sealed) value.writeUInt32BE(crc32(value.subarray(4), crc32(row.key)), 0)
  Object.assign(row, { value })
}

function findRow(node: MiniNode, rowKey: Buffer) {
  const row = [...node.rows.values()].find(({ key }) => rowKey.equals(key))
  if (row === undefined) throw new Error('no such row')
  return row
}

const alarmsOf = (node: MiniNode) => statusOf(node.state, () => 0).alarms
const checked = (corruptCheck: Partial<MaintenanceOptions['corruptCheck']>): MiniCluster =>
  new MiniCluster({
    maintenance: { corruptCheck: { ...NO_MAINTENANCE.corruptCheck, ...corruptCheck } },
  })

function filled(cluster: MiniCluster): MiniNode {
  const first = leader(cluster)
  for (let i = 0; i < 10; i++) cluster.ask(first, put(`k${i}`, 'value'))
  return first
}

t.test('from time to time: the member whose data was changed is named, and all are silent', async t => {
  for (const victim of ['follower', 'leader'] as const) {
    const cluster = checked({ everyMs: 500 })
    const first = filled(cluster)
    const odd = victim === 'leader' ? first : cluster.nodes.find(node => node !== first)!
    cluster.run(1_200)
    t.strictSame(alarmsOf(first), [], 'equal data is no alarm')
    change(cluster, odd, 'k3')
    cluster.until(() => cluster.nodes.every(node => alarmsOf(node).length > 0))
    for (const node of cluster.nodes) {
      t.strictSame(alarmsOf(node), [{ member: odd.id, alarm: 'corrupt' }], victim)
      t.match(cluster.ask(node, put('k', 'v')), { ok: false, error: { code: 'corrupt' } })
      t.match(cluster.ask(node, get(ALL_KEYS, true)), { ok: false, error: { code: 'corrupt' } })
    }
    cluster.run(2_000)
    t.equal(alarmsOf(first).length, 1, 'once')
  }
})

t.test('from time to time: no hash is no alarm; a damaged row is found by its checksum', async t => {
  const cluster = checked({ everyMs: 500 })
  const first = filled(cluster)
  const [lost, other] = cluster.nodes.filter(node => node !== first)
  cluster.until(() => lost!.state.groups.get(groupId(1))!.machine.shard!.revision === 11)
  change(cluster, lost!, 'k3')
  lost!.up = false
  first.put({ kind: 'peerDown', node: lost!.id })
  cluster.until(() => first.notes.includes('Members could not be compared with the others'), 8_000)
  t.strictSame(alarmsOf(first), [])
  change(cluster, other!, 'k3', false)
  cluster.until(() => other!.state.groups.get(groupId(1))!.quarantined !== null)
  t.strictSame(alarmsOf(first), [], 'it serves nothing, and the others go on')
})

t.test('after a compaction: compared once at its revision', async t => {
  const cluster = checked({ afterCompactionMs: 200 })
  const first = filled(cluster)
  const odd = cluster.nodes.find(node => node !== first)!
  cluster.run(1_000)
  const compact = (revision: number) => cluster.ask(first, { kind: 'compact', revision, physical: false })
  t.ok(compact(5).ok)
  const checking = first.state.groups.get(groupId(1))!.checking
  cluster.until(() => checking.comparedCompact === 5)
  change(cluster, odd, 'k3')
  cluster.run(1_000)
  t.strictSame(alarmsOf(first), [], 'there is nothing to compare')
  t.ok(compact(6).ok)
  cluster.until(() => alarmsOf(first).length > 0)
  t.strictSame(alarmsOf(first), [{ member: odd.id, alarm: 'corrupt' }])
})

t.test('a shard whose last write is older than the compaction is compared, too', async t => {
  const corruptCheck = { ...NO_MAINTENANCE.corruptCheck, atStart: true, afterCompactionMs: 200 }
  const ranges = rangesBetween([utf8('m')])
  const cluster = new MiniCluster({ ranges, oracle: true, maintenance: { corruptCheck } })
  for (const group of [0, 1, 2]) cluster.until(() => cluster.leaderOf(group) !== undefined)
  for (const key of ['z', 'a', 'b']) t.ok(cluster.ask(cluster.nodes[0]!, put(key, 'value')).ok, key)
  const newest = cluster.ask(cluster.nodes[0]!, get(ALL_KEYS))
  const revision = newest.ok ? newest.value.header.revision : 0
  t.ok(cluster.ask(cluster.nodes[0]!, { kind: 'compact', revision, physical: false }).ok)
  const second = (node: MiniNode) => node.state.groups.get(groupId(2))!
  const { shard } = second(cluster.leaderOf(2)!).machine
  t.ok(shard!.revision < revision, 'nothing was written there since')
  cluster.until(() => second(cluster.leaderOf(2)!).checking.comparedCompact === revision)
  for (const node of cluster.nodes)
    Object.assign(second(node).checking, createChecking(node.state.options.maintenance))
  cluster.until(() => cluster.nodes.every(node => second(node).checking.trusted))
})

/** As after a start: nothing is known of how its data compares. */
const forget = (node: MiniNode): void => {
  Object.assign(node.state.groups.get(groupId(1))!.checking, createChecking(node.state.options.maintenance))
}

t.test('at the start: clients wait until most members have the same', async t => {
  const cluster = checked({ atStart: true })
  const first = filled(cluster)
  cluster.until(() => cluster.nodes.every(node => node.state.groups.get(groupId(1))!.checking.trusted))
  const [self, other, third] = [first, ...cluster.nodes.filter(node => node !== first)]
  forget(other!)
  for (const node of [self!, third!]) {
    cluster.cut.add(`${node.id}>${other!.id}`)
    other!.put({ kind: 'peerDown', node: node.id })
    other!.state.peers.get(node.id)!.trusted = false
  }
  const read = other!.request(get(ALL_KEYS, true), 60_000)
  watch(other!, 1)
  cluster.run(3_000)
  t.notOk(other!.results.has(read))
  t.strictSame(other!.watched, [])
  t.equal(statusOf(other!.state, () => 0).ready, false)
  cluster.cut.clear()
  for (const [from, to] of [
    [third!, other!],
    [other!, third!],
  ] as const)
    from.put({ kind: 'peerUp', node: to.id })
  cluster.until(() => other!.results.has(read), 20_000)
  t.equal(pairs(other!.results.get(read)!).length, 10)
  cluster.until(() => other!.watched.length > 0)
})

t.test('at the start: a member whose data differs ends, and says so; the others go on', async t => {
  const cluster = checked({ atStart: true })
  const first = filled(cluster)
  cluster.until(() => cluster.nodes.every(node => node.state.groups.get(groupId(1))!.checking.trusted))
  const odd = cluster.nodes.find(node => node !== first)!
  change(cluster, odd, 'k7')
  cluster.nodesMayEnd = true
  forget(first)
  cluster.until(() => first.state.groups.get(groupId(1))!.checking.trusted)
  t.equal(first.fatal, null, 'that another member differs is not held against this one')
  forget(odd)
  cluster.until(() => odd.fatal !== null)
  t.match(odd.fatal, /^The data of this member differs from that of the other members/)
  t.ok(cluster.ask(first, put('k', 'v')).ok)
})

t.test('at the start: a new cluster and a single node begin to serve', async t => {
  for (const nodes of [1, 2, 3]) {
    const cluster = new MiniCluster({
      nodes,
      maintenance: { corruptCheck: { ...NO_MAINTENANCE.corruptCheck, atStart: true } },
    })
    t.ok(cluster.ask(leader(cluster), put('k', 'v')).ok, `${nodes}`)
  }
})

t.test('at the start: what was not compared is not sent to others, and ends no lease', async t => {
  const cluster = new MiniCluster({
    limits: { snapshotEntries: 20, catchUpEntries: 5, flushAfterMs: 5 },
    maintenance: { corruptCheck: { ...NO_MAINTENANCE.corruptCheck, atStart: true } },
  })
  const first = filled(cluster)
  const shardOf = (node: MiniNode) => node.state.groups.get(groupId(1))!
  cluster.until(() => cluster.nodes.every(node => shardOf(node).checking.trusted))
  const [late, third] = cluster.nodes.filter(node => node !== first) as [MiniNode, MiniNode]
  late.up = false
  for (let i = 0; i < 100; i++) cluster.ask(first, put(`k${i % 10}`, `${i}`))
  t.ok(cluster.ask(first, { kind: 'leaseGrant', id: leaseId(7n), ttl: 1 }).ok)
  cluster.until(() => (shardOf(first).raft?.base.index ?? 0) > 50)
  third.up = false
  first.put({ kind: 'peerDown', node: third.id })
  forget(first)
  late.up = true
  const { applied } = shardOf(late).machine
  cluster.run(4_000)
  t.equal(shardOf(first).raft?.role, 'leader')
  t.equal(shardOf(first).checking.trusted, false, 'nobody can say whether its data is right')
  t.equal(first.state.counters.snapshotsSent, 0)
  t.equal(shardOf(late).machine.applied, applied, 'the other member still has what it had')
  t.equal(first.state.counters.leasesExpired, 0)
  third.up = true
  first.put({ kind: 'peerUp', node: third.id })
  cluster.until(() => shardOf(first).checking.trusted, 20_000)
  cluster.until(() => cluster.nodes.some(({ state }) => state.counters.leasesExpired > 0))
  cluster.until(() => late.state.counters.snapshotsInstalled > 0, 20_000)
  cluster.until(() => shardOf(late).machine.shard?.revision === shardOf(first).machine.shard?.revision)
})

t.test('at the start: a leader whose check takes long makes room for others', async t => {
  const cluster = checked({ atStart: true })
  const first = filled(cluster)
  cluster.until(() => cluster.nodes.every(node => node.state.groups.get(groupId(1))!.checking.trusted))
  first.storeDelay = 60_000
  forget(first)
  cluster.until(() => {
    const now = cluster.leaderOf(1)
    return now !== undefined && now !== first && cluster.leaderOf(0) === now
  }, 3_000)
  t.ok(cluster.ask(cluster.leaderOf(1)!, put('k', 'v')).ok)
  t.equal(first.state.groups.get(groupId(1))!.checking.trusted, false)
})

t.test('at the start: a member that never answers for its hash is not waited for', async t => {
  const cluster = checked({ atStart: true })
  const first = filled(cluster)
  const checkingOf = (node: MiniNode) => node.state.groups.get(groupId(1))!.checking
  cluster.until(() => cluster.nodes.every(node => checkingOf(node).trusted))
  const [late, third] = cluster.nodes.filter(node => node !== first) as [MiniNode, MiniNode]
  // One takes for ever, and what the other says is lost for some time.
  first.storeDelay = 1_000_000
  cluster.cut.add(`${third.id}>${late.id}`)
  forget(late)
  cluster.run(4_000)
  t.notOk(checkingOf(late).trusted)
  t.notOk(late.notes.some(text => /did not answer the check/.test(text)))
  cluster.until(() => late.notes.some(text => /did not answer the check/.test(text)), 10_000)
  cluster.cut.clear()
  cluster.until(() => checkingOf(late).trusted, 15_000)
  t.equal(checkingOf(late).patienceMs, 10_000, 'the next time it would have waited longer')
})
