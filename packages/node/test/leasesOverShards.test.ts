import t from 'tap'
import { groupId, leaseId, utf8, type ClientRequest, type ClientResult, type Op } from '@kvorum/model'
import { encodeMetaCommand } from '@kvorum/placement'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { ALL, get, pairs, put, reply } from './requests.js'
import { locks, revisionOf, threeShards, write } from './threeShards.js'

/** Leases whose keys are in several shards: they live in the first, and end everywhere at one revision. */

const HOME = groupId(1)

const grant = (id: bigint, ttl = 60): ClientRequest => ({ kind: 'leaseGrant', id: leaseId(id), ttl })
const revoke = (id: bigint): ClientRequest => ({ kind: 'leaseRevoke', id: leaseId(id) })
const putOp = (key: string, lease: bigint): Op => ({
  kind: 'put',
  key: utf8(key),
  value: utf8('1'),
  lease: leaseId(lease),
  prevKv: false,
  ignoreValue: false,
  ignoreLease: false,
})

const codeOf = (result: ClientResult): string | null => (result.ok ? null : result.error.code)
const keysIn = (cluster: MiniCluster, node: MiniNode): string[] =>
  pairs(cluster.ask(node, get(ALL))).map(pair => pair.split('=')[0]!)

/** What the lease is told to have: its remaining seconds, and its keys. */
function told(cluster: MiniCluster, node: MiniNode, id: bigint): { remaining: number; keys: string[] } {
  const answer = reply(cluster.ask(node, { kind: 'leaseTimeToLive', id: leaseId(id), keys: true }))
  if (answer.kind !== 'leaseTimeToLive') throw new Error('not a time to live')
  return { remaining: answer.remaining, keys: answer.keys.map(key => Buffer.from(key).toString()) }
}

void t.test('keys of all shards hang on a lease, and go with it at one revision', async t => {
  const cluster = threeShards()
  const [one, two, three] = cluster.nodes as [MiniNode, MiniNode, MiniNode]
  t.equal(codeOf(cluster.ask(one, put('z', 'too early', 7n))), 'leaseNotFound')
  t.ok(cluster.ask(two, grant(7n)).ok)
  t.ok(cluster.ask(one, put('z', '1', 7n)).ok, 'a put in another shard than the lease')
  t.ok(cluster.ask(two, put('a', '1', 7n)).ok, 'one in its own')
  const both: Op = {
    kind: 'txn',
    compares: [],
    success: [putOp('k', 7n), putOp('b', 0n), putOp('y', 7n)],
    failure: [putOp('zz', 99n)],
  }
  t.ok(cluster.ask(three, write(both)).ok, 'and a transaction')
  t.ok(cluster.ask(three, put('q', 'free')).ok)
  for (const node of cluster.nodes)
    t.strictSame(told(cluster, node, 7n).keys, ['a', 'k', 'y', 'z'], 'gathered from all shards')
  t.ok(cluster.ask(one, put('y', 'detached')).ok)
  t.strictSame(told(cluster, two, 7n).keys, ['a', 'k', 'z'])

  const create = { range: ALL, startRevision: 0, progressNotify: false, noPut: true, noDelete: false }
  three.watch(1, { kind: 'create', create: { ...create, prevKv: false, watchId: 0, fragment: false } })
  cluster.until(() => three.watched.some(({ kind }) => kind === 'created'))
  const ended = cluster.ask(one, revoke(7n))
  t.equal(reply(ended).kind, 'done')
  t.strictSame(keysIn(cluster, two), ['b', 'q', 'y'])
  cluster.until(() => three.watched.some(({ kind }) => kind === 'events'))
  const events = three.watched.flatMap(response => (response.kind === 'events' ? [response.events] : []))
  t.strictSame(
    events.map(batch => batch.map(({ kind, kv }) => [kind, Buffer.from(kv.key).toString(), kv.mod])),
    [['a', 'k', 'z'].map(key => ['delete', key, revisionOf(ended)])],
    'one batch of one revision',
  )
  t.equal(codeOf(cluster.ask(two, put('z', 'too late', 7n))), 'leaseNotFound')
  t.equal(codeOf(cluster.ask(two, put('a', 'too late', 7n))), 'leaseNotFound')
  t.equal(codeOf(cluster.ask(two, revoke(7n))), 'leaseNotFound')
  t.equal(told(cluster, one, 7n).remaining, -1)
  cluster.until(() => locks(cluster) === 0)
  t.ok(cluster.ask(two, grant(7n)).ok, 'the id is free')
  t.strictSame(told(cluster, two, 7n).keys, [])
  t.ok(cluster.ask(two, revoke(7n)).ok)
})

void t.test('a lease that runs out takes its keys in all shards, whoever leads', async t => {
  const cluster = threeShards()
  const [node] = cluster.nodes as [MiniNode]
  for (const id of [1n, 2n, 3n]) t.ok(cluster.ask(node, grant(id, 2)).ok)
  for (const id of [1n, 2n, 3n])
    for (const key of ['c', 'm', 'x']) t.ok(cluster.ask(node, put(`${key}${id}`, '1', id)).ok)
  for (let i = 0; i < 4; i++) {
    cluster.run(1_000)
    t.match(reply(cluster.ask(node, { kind: 'leaseKeepAlive', id: leaseId(2n) })), { ttl: 2 })
  }
  t.strictSame(keysIn(cluster, node), ['c2', 'm2', 'x2'], 'the one that is kept alive lives')
  cluster.run(2_100)
  // Its leader goes when the time is up: the next one gives the lease its time again, and ends it.
  cluster.leaderOf(HOME)!.kill()
  cluster.until(() => [0, 1, 2, 3].every(group => cluster.leaderOf(group) !== undefined))
  const alive = cluster.nodes.find(({ up }) => up)!
  cluster.until(() => keysIn(cluster, alive).length === 0, 20_000)
  cluster.until(() => locks(cluster) === 0)
  t.equal(told(cluster, alive, 2n).remaining, -1)
})

void t.test('whoever begins the end may die at any step', async t => {
  for (let patience = 0; patience < 24; patience += 4) {
    const cluster = threeShards()
    const home = cluster.leaderOf(HOME)!
    t.ok(cluster.ask(home, grant(5n, 3)).ok)
    for (const key of ['a', 'k', 'z']) t.ok(cluster.ask(home, put(key, '1', 5n)).ok)
    home.request(revoke(5n))
    cluster.run(patience)
    home.kill()
    cluster.until(() => [0, 1, 2, 3].every(group => cluster.leaderOf(group) !== undefined))
    cluster.until(() => locks(cluster) === 0)
    const alive = cluster.nodes.find(({ up }) => up)!
    const { length } = keysIn(cluster, alive)
    t.ok(length === 0 || length === 3, `after ${patience} ms: all or nothing (${length})`)
    t.equal(told(cluster, alive, 5n).keys.length, length)
    t.equal(codeOf(cluster.ask(alive, put('m', '2', 5n))), length === 0 ? 'leaseNotFound' : null)
    cluster.until(() => keysIn(cluster, alive).length === 0, 20_000)
  }
})

void t.test(
  'attaching and ending at once: no key outlives the lease, none is refused that was acknowledged',
  async t => {
    for (let start = 0; start < 12; start += 3) {
      const cluster = threeShards()
      const [node] = cluster.nodes as [MiniNode]
      t.ok(cluster.ask(node, grant(5n)).ok)
      const keys = ['a', 'k', 'z', 'b', 'l', 'y']
      const asked = keys.map((key, i) => {
        const at = cluster.nodes[i % 3]!
        const id = at.request(put(key, '1', 5n))
        if (i === 2) cluster.run(start)
        return { at, id }
      })
      const ended = cluster.ask(node, revoke(5n))
      t.ok(ended.ok)
      cluster.until(() => asked.every(({ at, id }) => at.results.has(id)))
      for (const { at, id } of asked) {
        const result = at.results.get(id)!
        t.ok(codeOf(result) === 'leaseNotFound' || revisionOf(result) < revisionOf(ended))
      }
      t.strictSame(keysIn(cluster, node), [])
      cluster.until(() => locks(cluster) === 0)
    }
  },
)

void t.test('many keys are attached at once, and more than are locked one by one', async t => {
  const cluster = threeShards()
  t.ok(cluster.ask(cluster.nodes[0]!, grant(5n)).ok)
  const asked = Array.from({ length: 100 }, (_, i) => {
    const node = cluster.nodes[i % 3]!
    return { node, id: node.request(put(`${i % 2 === 0 ? 'k' : 'z'}${i}`, '1', 5n)) }
  })
  cluster.until(() => asked.every(({ node, id }) => node.results.has(id)))
  t.strictSame(
    asked.map(({ node, id }) => codeOf(node.results.get(id)!)).filter(code => code !== null),
    [],
  )
  t.ok(cluster.ask(cluster.nodes[1]!, put('kk', 'free')).ok, 'between the attached keys')
  t.equal(told(cluster, cluster.nodes[2]!, 5n).keys.length, 100)
  t.ok(cluster.ask(cluster.nodes[0]!, revoke(5n)).ok)
  t.strictSame(keysIn(cluster, cluster.nodes[1]!), ['kk'])
})

void t.test('after a split the lease stays where it was, and finds the keys that went', async t => {
  const cluster = new MiniCluster({ oracle: true })
  cluster.until(() => [0, 1].every(group => cluster.leaderOf(group) !== undefined))
  const [node] = cluster.nodes as [MiniNode]
  t.ok(cluster.ask(node, grant(5n)).ok)
  for (const key of ['a', 'm', 'z']) t.ok(cluster.ask(node, put(key, '1', 5n)).ok)
  const split = (at: string): boolean => {
    const command = encodeMetaCommand({ kind: 'splitShard', at: utf8(at), group: null })
    return cluster.ask(node, { kind: 'meta', command }).ok
  }
  for (const [i, at] of ['t', 'h'].entries()) {
    cluster.until(() => split(at))
    cluster.until(() => cluster.nodes.every(({ state }) => state.shards.shards.length === i + 2))
  }
  t.strictSame(told(cluster, cluster.nodes[1]!, 5n).keys, ['a', 'm', 'z'])
  t.ok(cluster.ask(node, put('n', '1', 5n)).ok)
  cluster.until(() => split('n'))
  const during = cluster.nodes[2]!.request(revoke(5n))
  cluster.until(() => cluster.nodes[2]!.results.has(during))
  t.ok(cluster.nodes[2]!.results.get(during)!.ok, 'also while one of its shards is split')
  t.strictSame(keysIn(cluster, node), [])
  t.equal(codeOf(cluster.ask(node, put('z', '1', 5n))), 'leaseNotFound')
})

void t.test('who attaches to a lease decides over its keys in all shards', async t => {
  const cluster = threeShards()
  const [node] = cluster.nodes as [MiniNode]
  t.ok(cluster.ask(node, grant(5n)).ok)
  t.ok(cluster.ask(node, put('z', '1', 5n)).ok)
  const as = (request: ClientRequest, writable: string[]): ClientRequest => ({
    ...request,
    authority: {
      fence: 0,
      writable: writable.map(key => ({ start: utf8(key), end: utf8(`${key}~`) })),
    },
  })
  t.equal(codeOf(cluster.ask(node, as(put('a', '1', 5n), ['a']))), 'permissionDenied')
  t.equal(codeOf(cluster.ask(node, as(put('k', '1', 5n), ['a', 'k']))), 'permissionDenied')
  t.equal(codeOf(cluster.ask(node, as(revoke(5n), ['a', 'k']))), 'permissionDenied')
  t.equal(codeOf(cluster.ask(node, as(put('k', '1', 5n), ['a', 'k', 'z']))), null)
  t.equal(codeOf(cluster.ask(node, as(revoke(5n), ['k', 'z']))), null)
  t.strictSame(keysIn(cluster, node), [])
})
