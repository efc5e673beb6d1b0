import t from 'tap'
import {
  encodeShardCommand,
  groupId,
  leaseId,
  utf8,
  type ClientRequest,
  type ClientResult,
  type Op,
  type PutOp,
  type WatchRequest,
} from '@kvorum/model'
import { encodeMetaCommand, rangesBetween, type AuthCommand } from '@kvorum/placement'
import { rangesOf } from '#src/commands.js'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { ALL, get, pairs } from './requests.js'

/** Changes of users and roles while what they are about lies in several shards. */

const GROUPS = [0, 1, 2, 3]
const KEYS = ['a', 'k', 'z']
const by = (fence: number, request: ClientRequest): ClientRequest => ({
  ...request,
  authority: { fence, writable: null },
})
const putOp = (key: string, value: string, prevKv = false): PutOp => ({
  kind: 'put',
  key: utf8(key),
  value: utf8(value),
  lease: leaseId(0n),
  prevKv,
  ignoreValue: false,
  ignoreLease: false,
})
const write = (op: Op): ClientRequest => ({
  kind: 'write',
  ranges: rangesOf(op),
  command: encodeShardCommand({ kind: 'write', op }),
})
const everywhere = (value: string, prevKv = false): ClientRequest =>
  write({ kind: 'txn', compares: [], success: KEYS.map(key => putOp(key, value, prevKv)), failure: [] })
const change = (command: AuthCommand): ClientRequest => ({
  kind: 'meta',
  command: encodeMetaCommand({ kind: 'auth', command }),
})
const addUser = (name: string): ClientRequest => change({ kind: 'userAdd', name, password: utf8('hash') })
const outcome = (result: ClientResult): string => (result.ok ? 'done' : result.error.code)
const fenceOf = (node: MiniNode): number => node.state.groups.get(groupId(0))!.machine.meta!.auth.fence

/** Three shards, and authentication switched on. */
function guarded(): MiniCluster {
  const cluster = new MiniCluster({ ranges: rangesBetween([utf8('h'), utf8('p')]), oracle: true })
  cluster.until(() => GROUPS.every(group => cluster.leaderOf(group) !== undefined))
  const [first] = cluster.nodes as [MiniNode]
  cluster.ask(first, change({ kind: 'userAdd', name: 'root', password: utf8('hash') }))
  cluster.ask(first, change({ kind: 'userGrantRole', name: 'root', role: 'root' }))
  t.equal(outcome(cluster.ask(first, change({ kind: 'enable' }))), 'done')
  return cluster
}

const unlocked = (cluster: MiniCluster): boolean =>
  cluster.nodes
    .filter(({ up }) => up)
    .flatMap(({ state }) => [...state.groups.values()])
    .every(({ machine }) => machine.revisions.transactions.prepared.length === 0)

t.test('once a change is acknowledged, what was allowed before touches no shard', async t => {
  const cluster = guarded()
  const old = fenceOf(cluster.nodes[0]!)
  t.equal(outcome(cluster.ask(cluster.nodes[1]!, by(old, addUser('u')))), 'done')
  for (const node of cluster.nodes) {
    const stale = [everywhere('1'), write(putOp('k', '1')), get(ALL), get(ALL, true)]
    for (const request of stale) t.equal(outcome(cluster.ask(node, by(old, request))), 'authOutdated')
    t.equal(outcome(cluster.ask(node, by(old + 1, everywhere('2')))), 'done')
    t.equal(pairs(cluster.ask(node, by(old + 1, get(ALL)))).length, 3)
  }
  cluster.until(() => unlocked(cluster))
})

t.test('a transaction that is under way ends before the change is acknowledged, or never', async t => {
  const cluster = guarded()
  const prepared = (): number =>
    GROUPS.filter(group => {
      const machine = cluster.leaderOf(group)?.state.groups.get(groupId(group))?.machine
      return (machine?.revisions.transactions.prepared.length ?? 0) > 0
    }).length
  for (let round = 0; round < 4; round++) {
    const fence = fenceOf(cluster.leaderOf(0)!)
    const [asker, changer] = [cluster.nodes[round % 3]!, cluster.nodes[(round + 1) % 3]!]
    cluster.until(() => cluster.nodes.every(node => fenceOf(node) === fence))
    const asked = asker.request(by(fence, everywhere(`${round}`, true)))
    cluster.until(() => prepared() === 3)
    // What it answers is read before it is decided: that takes longer than the change.
    for (const node of cluster.nodes) node.storeDelay = 300
    const changed = changer.request(by(fence, addUser(`u${round}`)), 30_000)
    cluster.run(20)
    for (const node of cluster.nodes) node.storeDelay = 1
    cluster.until(() => changer.results.has(changed), 30_000)
    t.equal(outcome(changer.results.get(changed)!), 'done')
    const then = pairs(cluster.ask(changer, by(fence + 1, get(ALL))))
    cluster.until(() => asker.results.has(asked))
    cluster.until(() => unlocked(cluster))
    t.equal(outcome(asker.results.get(asked)!), 'done')
    t.strictSame(pairs(cluster.ask(asker, by(fence + 1, get(ALL)))), then, `${round}: nothing came later`)
  }
})

t.test('a change that overtakes the prepares refuses the transaction', async t => {
  const cluster = guarded()
  const ends = new Set<string>()
  for (let wait = 0; wait < 12; wait++) {
    const fence = fenceOf(cluster.leaderOf(0)!)
    const [asker, changer] = [cluster.nodes[wait % 3]!, cluster.nodes[(wait + 1) % 3]!]
    cluster.until(() => cluster.nodes.every(node => fenceOf(node) === fence))
    const changed = changer.request(by(fence, addUser(`u${wait}`)), 30_000)
    cluster.run(wait)
    const asked = asker.request(by(fence, everywhere(`${wait}`)))
    cluster.until(() => changer.results.has(changed), 30_000)
    t.equal(outcome(changer.results.get(changed)!), 'done')
    const then = pairs(cluster.ask(changer, by(fence + 1, get(ALL))))
    cluster.until(() => asker.results.has(asked))
    cluster.until(() => unlocked(cluster))
    ends.add(outcome(asker.results.get(asked)!))
    t.strictSame(pairs(cluster.ask(asker, by(fence + 1, get(ALL)))), then, `${wait}: nothing came later`)
  }
  t.strictSame([...ends].sort(), ['authOutdated', 'done'])
})

t.test('nor does a transaction whose coordinator has died', async t => {
  let came = 0
  for (let wait = 4; wait < 16; wait += 4) {
    const cluster = guarded()
    const fence = fenceOf(cluster.leaderOf(0)!)
    const dying = cluster.nodes.find(node => node !== cluster.leaderOf(0))!
    const alive = cluster.nodes.find(node => node !== dying)!
    dying.request(by(fence, everywhere('1')))
    cluster.run(wait)
    dying.kill()
    cluster.until(() => GROUPS.every(group => cluster.leaderOf(group) !== undefined))
    t.equal(outcome(cluster.ask(alive, by(fence, addUser('u')), 30_000)), 'done')
    const then = pairs(cluster.ask(alive, by(fence + 1, get(ALL))))
    cluster.until(() => unlocked(cluster))
    t.strictSame(pairs(cluster.ask(alive, by(fence + 1, get(ALL)))), then, `${wait} ms`)
    if (then.length > 0) came++
  }
  t.comment(`${came} took effect`)
})

t.test('a watch over several shards is made by what all of them know', async t => {
  const cluster = guarded()
  const fence = fenceOf(cluster.nodes[0]!)
  const [node] = cluster.nodes as [MiniNode]
  const watch = (authRevision: number): WatchRequest => ({
    kind: 'create',
    create: {
      watchId: 0,
      range: ALL,
      startRevision: 0,
      noPut: false,
      noDelete: false,
      prevKv: false,
      fragment: false,
      progressNotify: false,
      authRevision,
    },
  })
  t.equal(outcome(cluster.ask(node, by(fence, addUser('u')))), 'done')
  node.watch(1, watch(fence))
  cluster.until(() => node.watched.length === 1)
  t.match(node.watched[0], { kind: 'refused', code: 'authOutdated' })
  node.watch(1, watch(fence + 1))
  cluster.until(() => node.watched.length === 2)
  t.match(node.watched[1], { kind: 'created' })
  t.equal(outcome(cluster.ask(node, by(fence + 1, everywhere('1')))), 'done')
  cluster.until(() => node.watched.length === 3)
  t.match(node.watched[2], { kind: 'events', events: { length: 3 } })
})
