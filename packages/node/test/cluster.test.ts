import { leaseId, utf8, type GroupId, type WatchEvent } from '@kvorum/model'
import t from 'tap'
import type { Parcel } from '@kvorum/node'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { ALL, get, leader, pairs, put, reply } from './requests.js'

t.test('any node takes any request, and everybody sees the result', async t => {
  const cluster = new MiniCluster()
  leader(cluster)
  cluster.nodes.forEach((node, i) => {
    const result = cluster.ask(node, put(`key${i}`, `value${i}`))
    t.equal(reply(result).kind, 'op')
    t.equal(result.ok && result.value.header.revision, i + 2)
  })
  for (const node of cluster.nodes) {
    t.same(pairs(cluster.ask(node, get(ALL))), ['key0=value0@2', 'key1=value1@3', 'key2=value2@4'])
  }
})

t.test('a leader that is cut off is replaced, and its clients get no stale answer', async t => {
  const cluster = new MiniCluster()
  const old = leader(cluster)
  cluster.ask(old, put('k', 'before'))
  for (const node of cluster.nodes) {
    cluster.cut.add(`${old.id}>${node.id}`)
    cluster.cut.add(`${node.id}>${old.id}`)
  }
  const others = cluster.nodes.filter(node => node !== old)
  cluster.until(() => others.some(node => node.state.groups.get(1 as GroupId)?.raft?.role === 'leader'))
  t.equal(cluster.ask(others[0]!, put('k', 'after')).ok, true)
  const stale = cluster.ask(old, get(ALL), 1_000)
  t.equal(stale.ok, false, 'a read of the old leader is not answered')
  cluster.cut.clear()
  cluster.until(() => pairs(cluster.ask(old, get(ALL)))[0] === 'k=after@3')
})

t.test('a request for a member that has not written down this start yet waits for that', async t => {
  const cluster = new MiniCluster({ nodes: 5 })
  const late = cluster.nodes[4]!
  const others = cluster.nodes.slice(0, 4)
  for (const node of others) cluster.cut.add(`${late.id}>${node.id}`).add(`${node.id}>${late.id}`)
  const first = leader(cluster)
  first.diskDelay = 300
  cluster.cut.clear()
  for (const node of others) {
    late.put({ kind: 'peerUp', node: node.id })
    node.put({ kind: 'peerUp', node: late.id })
  }
  cluster.until(() => late.state.groups.get(1 as GroupId)?.knownLeader === Number(first.id))
  t.equal(late.state.peers.get(first.id)?.connected, true)
  t.equal(first.state.peers.get(late.id)?.trusted, false, 'what it says is thrown away so far')
  t.equal(cluster.ask(late, put('k', 'v'), 3_000).ok, true)
})

t.test('watchers see every revision once, from the past and from now on', async t => {
  const cluster = new MiniCluster()
  const node = leader(cluster)
  cluster.ask(node, put('a', '1'))
  cluster.ask(node, put('b', '2'))
  const watch = {
    noPut: false,
    noDelete: false,
    prevKv: false,
    watchId: 0,
    fragment: false,
    progressNotify: false,
  }
  node.watch(1, { kind: 'create', create: { ...watch, range: ALL, startRevision: 2 } })
  cluster.ask(node, put('c', '3'))
  cluster.until(() => node.watched.flatMap(r => (r.kind === 'events' ? r.events : [])).length === 3)
  t.same(
    node.watched.flatMap(r => (r.kind === 'events' ? r.events.map(e => e.kv.mod) : [])),
    [2, 3, 4],
  )
  node.watch(1, { kind: 'progress' })
  cluster.until(() => node.watched.at(-1)?.kind === 'progress')
  t.equal(node.watched.at(-1)?.header.revision, 4)
})

t.test('a lease ends after its time, with everything attached, and not while it is kept alive', async t => {
  const cluster = new MiniCluster()
  const node = leader(cluster)
  const id = leaseId(77n)
  t.equal(reply(cluster.ask(node, { kind: 'leaseGrant', id, ttl: 2 })).kind, 'leaseGranted')
  cluster.ask(node, put('leased', 'x', 77n))
  for (let i = 0; i < 4; i++) {
    cluster.run(1_000)
    t.match(reply(cluster.ask(cluster.nodes[i % 3]!, { kind: 'leaseKeepAlive', id })), {
      kind: 'leaseRenewed',
      ttl: 2,
    })
  }
  t.same(pairs(cluster.ask(node, get(ALL))), ['leased=x@2'])
  cluster.run(3_000)
  t.same(pairs(cluster.ask(node, get(ALL))), [])
  t.match(reply(cluster.ask(node, { kind: 'leaseKeepAlive', id })), { kind: 'leaseRenewed', ttl: 0 })
})

t.test('leases beyond the bound are refused until others have ended', async t => {
  const cluster = new MiniCluster({ limits: { leasesMax: 2 } })
  const node = leader(cluster)
  const grant = (id: bigint) => cluster.ask(node, { kind: 'leaseGrant', id: leaseId(id), ttl: 60 })
  for (const id of [1n, 2n]) t.equal(grant(id).ok, true)
  const refused = { ok: false, error: { code: 'tooManyLeases', outcome: 'notApplied' } }
  t.match(grant(3n), refused)
  const other = cluster.nodes.find(candidate => candidate !== node)!
  t.match(cluster.ask(other, { kind: 'leaseGrant', id: leaseId(3n), ttl: 60 }), refused, 'by the leader')
  t.equal(cluster.ask(node, { kind: 'leaseRevoke', id: leaseId(1n) }).ok, true)
  t.equal(grant(3n).ok, true)
})

t.test('a follower behind the purged log gets a snapshot and goes on', async t => {
  const cluster = new MiniCluster({ limits: { snapshotEntries: 20, catchUpEntries: 5, flushAfterMs: 5 } })
  const node = leader(cluster)
  const lagging = cluster.nodes.find(candidate => candidate !== node)!
  lagging.up = false
  for (let i = 0; i < 100; i++) cluster.ask(node, put(`k${i % 30}`, `${i}`))
  cluster.until(() => (node.state.groups.get(1 as GroupId)?.raft?.base.index ?? 0) > 50)
  lagging.up = true
  cluster.until(() => lagging.state.counters.snapshotsInstalled > 0, 60_000)
  // Nothing more is written: what it got is whole, and may be read as a file or sent on.
  lagging.put({ kind: 'holdState', id: 1 })
  cluster.until(() => lagging.held.length === 1, 5_000)
  t.type(lagging.held[0]!.view, 'number')
  cluster.ask(node, put('last', 'one'))
  cluster.until(() =>
    cluster.nodes.every(n => n.state.groups.get(1 as GroupId)?.machine.shard?.revision === 102),
  )
  t.same(pairs(cluster.ask(lagging, get(ALL, true))), pairs(cluster.ask(node, get(ALL))))
  const digests = cluster.nodes.map(n => n.state.groups.get(1 as GroupId)?.machine.shard?.digest)
  t.equal(new Set(digests).size, 1)
})

t.test('a few large entries are purged as well as many small ones', async t => {
  const limits = { snapshotEntries: 1_000_000, snapshotBytes: 20_000, catchUpBytes: 10_000, flushAfterMs: 5 }
  const cluster = new MiniCluster({ limits })
  const node = leader(cluster)
  const base = (): number => node.state.groups.get(1 as GroupId)?.raft?.base.index ?? 0
  for (let i = 0; i < 100; i++) cluster.ask(node, put('small', `${i}`))
  cluster.run(100)
  t.equal(base(), 0)
  for (let i = 0; i < 100; i++) cluster.ask(node, put('large', 'x'.repeat(1_000)))
  cluster.until(() => base() > 150)
  const { lastIndex } = node.state.groups.get(1 as GroupId)!.raft!
  t.ok(lastIndex - base() >= 9, 'what slow followers may want stays')
})

t.test('a refusal of somebody else who claims to be this node changes nothing here', async t => {
  const cluster = new MiniCluster()
  const node = leader(cluster)
  const [other] = cluster.nodes.filter(candidate => candidate !== node) as [MiniNode]
  const copy = { ...other.state.identity, nonce: 999n }
  const hello: Parcel = {
    kind: 'hello',
    cluster: node.state.options.cluster,
    node: other.id,
    identity: copy,
    peerUrls: [],
  }
  node.put({ kind: 'parcels', from: other.id, parcels: [hello] })
  cluster.until(() => node.notes.some(text => /was refused/.test(text)))
  t.equal(node.state.peers.get(other.id)?.trusted, false, 'nothing from there counts for now')
  cluster.run(100)
  t.notOk(other.notes.some(text => /copy/.test(text)))
  // Both dialled in turn; the original does so again.
  other.put({ kind: 'peerUp', node: node.id })
  cluster.until(() => node.state.peers.get(other.id)?.trusted === true)
  t.equal(cluster.ask(other, put('k', 'v')).ok, true)
  t.throws(() => {
    const refused: Parcel = { kind: 'refused', reason: 'copiedDirectory', identity: other.state.identity }
    other.put({ kind: 'parcels', from: node.id, parcels: [refused] })
    cluster.run(5)
  }, /copy of this data directory/)
})

t.test(
  'a newer start of a peer is listened to when it is durable here, and no earlier one after it',
  async t => {
    const cluster = new MiniCluster()
    const node = leader(cluster)
    const [other] = cluster.nodes.filter(candidate => candidate !== node) as [MiniNode]
    const peer = () => node.state.peers.get(other.id)!
    cluster.until(() => peer().trusted)
    const { identity } = other.state
    const say = (more: number): void => {
      const later = { ...identity, boot: identity.boot + more, nonce: identity.nonce + BigInt(more) }
      const { cluster: id } = node.state.options
      node.put({
        kind: 'parcels',
        from: other.id,
        parcels: [{ kind: 'hello', cluster: id, node: other.id, identity: later, peerUrls: [] }],
      })
    }
    node.diskDelay = 50
    say(1)
    cluster.run(20)
    t.notOk(peer().trusted)
    t.equal(peer().record?.boot, identity.boot)
    say(2)
    cluster.until(() => peer().record?.boot === identity.boot + 1)
    t.notOk(peer().trusted, 'it has started again meanwhile')
    cluster.until(() => peer().trusted)
    t.equal(peer().record?.boot, identity.boot + 2)
    say(1)
    cluster.until(() => node.notes.some(text => /was refused/.test(text)))
    t.notOk(peer().trusted)
  },
)

t.test('a watch from the compact revision on does not tell what was replaced there', async t => {
  const cluster = new MiniCluster({})
  const node = leader(cluster)
  for (const value of ['1', '2', '3']) cluster.ask(node, put('k', value))
  t.ok(cluster.ask(node, { kind: 'compact', revision: 3, physical: false }).ok)
  const create = {
    range: ALL,
    startRevision: 3,
    noPut: false,
    noDelete: false,
    prevKv: true,
    watchId: 0,
    fragment: false,
    progressNotify: false,
  }
  node.watch(1, { kind: 'create', create })
  const events = (): WatchEvent[] =>
    node.watched.flatMap(response => (response.kind === 'events' ? response.events : []))
  cluster.until(() => events().length === 2)
  t.strictSame(
    events().map(({ kv, prev }) => [kv.mod, prev?.mod ?? null]),
    [
      [3, null],
      [4, 3],
    ],
  )
})

t.test('a snapshot arrives though its sender did not listen at first; watches wait for it', async t => {
  const cluster = new MiniCluster({ limits: { snapshotEntries: 20, catchUpEntries: 5, flushAfterMs: 5 } })
  const node = leader(cluster)
  const lagging = cluster.nodes.find(candidate => candidate !== node)!
  lagging.up = false
  for (let i = 0; i < 100; i++) cluster.ask(node, put('k', `${i}`))
  cluster.until(() => (node.state.groups.get(1 as GroupId)?.raft?.base.index ?? 0) > 50)
  const peer = node.state.peers.get(lagging.id)!
  peer.trusted = false
  lagging.up = true
  cluster.until(() => lagging.state.groups.get(1 as GroupId)?.installing?.asked === true)
  cluster.run(5)
  peer.trusted = true
  const create = {
    range: ALL,
    startRevision: 102,
    noPut: false,
    noDelete: false,
    prevKv: false,
    watchId: 0,
    fragment: false,
    progressNotify: false,
  }
  lagging.watch(1, { kind: 'create', create })
  cluster.run(5)
  t.same(lagging.watched, [], 'neither created nor refused')
  cluster.until(() => lagging.state.counters.snapshotsInstalled > 0, 3_000)
  cluster.ask(node, put('last', 'one'))
  cluster.until(() => lagging.watched.some(({ kind }) => kind === 'events'))
  t.same(
    lagging.watched.map(({ kind }) => kind),
    ['created', 'events'],
  )
})

t.test('a thousand groups elect leaders and serve', async t => {
  const ranges = Array.from({ length: 999 }, (_, i) => {
    const key = (n: number): Uint8Array => utf8(`k${String(n).padStart(4, '0')}`)
    return { start: i === 0 ? new Uint8Array(0) : key(i), end: i === 998 ? null : key(i + 1) }
  })
  const cluster = new MiniCluster({ ranges })
  cluster.until(() => {
    for (let group = 0; group < 1000; group++) if (cluster.leaderOf(group) === undefined) return false
    return true
  }, 2_000)
  for (const n of [1, 500, 998]) {
    t.equal(cluster.ask(cluster.nodes[n % 3]!, put(`k${String(n).padStart(4, '0')}x`, 'v')).ok, true)
  }
})
