import {
  leaseId,
  pointRange,
  utf8,
  type ClientRequest,
  type ClientResult,
  type GroupId,
  type KeyRange,
} from '@kvorum/model'
import { encodeMetaCommand, type AuthCommand } from '@kvorum/placement'
import t from 'tap'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { get as getRange, put as putValue } from './requests.js'

/** By `fence`; null: as a node does that knows of no authentication. */
const by = (fence: number | null, request: ClientRequest): ClientRequest =>
  fence === null ? request : { ...request, authority: { fence, writable: null } }

const put = (key: string): ClientRequest => putValue(key, 'v')
const get = (key: string, serializable = false): ClientRequest =>
  getRange(pointRange(utf8(key)), serializable)
const change = (command: AuthCommand): ClientRequest => ({
  kind: 'meta',
  command: encodeMetaCommand({ kind: 'auth', command }),
})
const outcome = (result: ClientResult): string => (result.ok ? 'done' : result.error.code)
const metaFence = (node: MiniNode): number => node.state.groups.get(0 as GroupId)!.machine.meta!.auth.fence

const SPLIT: KeyRange[] = [
  { start: utf8(''), end: utf8('m') },
  { start: utf8('m'), end: null },
]

/** A cluster of two shards with authentication just switched on. */
function guarded(): { cluster: MiniCluster; say: (node: MiniNode, request: ClientRequest) => string } {
  const cluster = new MiniCluster({ ranges: SPLIT })
  cluster.until(() => [0, 1, 2].every(group => cluster.leaderOf(group) !== undefined))
  const say = (node: MiniNode, request: ClientRequest): string => outcome(cluster.ask(node, request))
  const first = cluster.nodes[0]!
  say(first, put('a'))
  say(first, change({ kind: 'userAdd', name: 'root', password: utf8('hash') }))
  say(first, change({ kind: 'userGrantRole', name: 'root', role: 'root' }))
  for (const node of cluster.nodes)
    for (const group of [1, 2])
      t.equal(
        node.state.groups.get(group as GroupId)!.machine.shard!.authFence.revision,
        0,
        'no cost while off',
      )
  t.equal(say(first, change({ kind: 'enable' })), 'done')
  return { cluster, say }
}

const addUser = (name: string): ClientRequest => change({ kind: 'userAdd', name, password: utf8('hash') })

t.test('once a change is acknowledged, no node and no shard carries out what was allowed before', async t => {
  const { cluster, say } = guarded()
  for (const node of cluster.nodes) {
    for (const key of ['a', 'z']) {
      t.equal(say(node, put(key)), 'authOutdated')
      t.equal(say(node, get(key)), 'authOutdated')
      t.equal(say(node, by(1, put(key))), 'done')
      t.equal(say(node, by(1, get(key))), 'done')
      t.equal(say(node, by(1, get(key, true))), 'done')
    }
    t.equal(say(node, { kind: 'leaseKeepAlive', id: leaseId(1n) }), 'authOutdated')
    t.equal(say(node, addUser('u')), 'authOutdated', 'changes, too')
  }
  t.equal(say(cluster.nodes[1]!, by(1, addUser('u'))), 'done')
  for (const node of cluster.nodes) {
    t.equal(say(node, by(1, put('a'))), 'authOutdated')
    t.equal(say(node, by(1, get('z'))), 'authOutdated')
    t.equal(say(node, by(2, get('z'))), 'done')
  }
  t.equal(say(cluster.nodes[2]!, by(2, change({ kind: 'disable' }))), 'done')
  for (const node of cluster.nodes) {
    t.equal(say(node, by(2, put('a'))), 'authOutdated')
    t.equal(say(node, put('a')), 'done')
    t.equal(say(node, get('z', true)), 'done')
  }
})

t.test('a change that races writes and reads: each is before it, or refused and without effect', async t => {
  const { cluster } = guarded()
  let applied = 0
  for (let round = 0; round < 20; round++) {
    const fence = metaFence(cluster.leaderOf(0)!)
    const asked: { node: MiniNode; id: number; write: boolean }[] = []
    const changer = cluster.nodes[round % 3]!
    const change = changer.request(by(fence, addUser(`u${round}`)))
    let acknowledgedAt = -1
    for (let ms = 0; ms < 40; ms++) {
      for (const node of cluster.nodes) {
        const write = ms % 2 === 0
        const request = by(fence, write ? put(`z${round}`) : get('a'))
        asked.push({ node, id: node.request(request), write })
      }
      cluster.run(1)
      if (acknowledgedAt < 0 && changer.results.has(change)) acknowledgedAt = asked.length
    }
    cluster.until(() => asked.every(({ node, id }) => node.results.has(id)))
    t.equal(outcome(changer.results.get(change)!), 'done')
    t.ok(acknowledgedAt >= 0)
    const outcomes = asked.map(({ node, id }) => outcome(node.results.get(id)!))
    t.ok(outcomes.every(each => each === 'done' || each === 'authOutdated'))
    t.notOk(outcomes.slice(acknowledgedAt).includes('done'), 'nothing asked after the answer succeeds')
    applied += outcomes.filter(each => each === 'done').length
  }
  t.ok(applied > 0, 'and some came first')
})

t.test('the answer waits for every shard, also over the loss of their leaders', async t => {
  const { cluster, say } = guarded()
  const meta = cluster.leaderOf(0)!
  const fence = metaFence(meta)
  const others = cluster.nodes.filter(node => node !== meta)
  // The second shard falls silent: its entries reach nobody.
  const shard = cluster.leaderOf(2)!
  const id = meta.request(by(fence, addUser('u')), 60_000)
  for (const node of cluster.nodes) {
    if (node === shard) continue
    cluster.cut.add(`${shard.id}>${node.id}`)
    cluster.cut.add(`${node.id}>${shard.id}`)
  }
  cluster.until(() => cluster.nodes.some(node => node !== shard && cluster.leaderOf(2) === node))
  cluster.cut.clear()
  cluster.until(() => cluster.nodes.every(node => metaFence(node) === fence + 1), 20_000)
  cluster.until(() => meta.results.has(id) || meta === shard, 20_000)
  cluster.until(
    () =>
      cluster.nodes.every(node =>
        [1, 2].every(
          group => node.state.groups.get(group as GroupId)!.machine.shard!.authFence.revision === fence + 1,
        ),
      ),
    20_000,
  )
  for (const node of others) t.equal(say(node, by(fence, put('z'))), 'authOutdated')
  for (const node of cluster.nodes) t.equal(say(node, by(fence + 1, put('z'))), 'done')
})

t.test('a lease that runs out does so without a user', async t => {
  const { cluster, say } = guarded()
  const node = cluster.nodes[0]!
  t.equal(say(node, by(1, { kind: 'leaseGrant', id: leaseId(5n), ttl: 2 })), 'done')
  cluster.until(() => node.state.groups.get(1 as GroupId)!.machine.shard!.leases.size === 0, 20_000)
})
