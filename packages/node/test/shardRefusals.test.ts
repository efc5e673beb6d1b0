import t from 'tap'
import { groupId, NO_LEASE, nodeId, utf8, type ClientRequest, type KeyRange, type Op } from '@kvorum/model'
import { encodeMetaCommand, encodeMetaState, shardMapProblem, type MetaCommand } from '@kvorum/placement'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { ALL, get, pairs, put } from './requests.js'
import { locks, write } from './threeShards.js'

/** What shards are asked wrongly, or at the wrong time: refused, and nothing half done. */

const HALVES: KeyRange[] = [
  { start: utf8(''), end: utf8('m') },
  { start: utf8('m'), end: null },
]
const ids = (...nodes: number[]) => nodes.map(node => nodeId(BigInt(node)))
const meta = (command: MetaCommand): ClientRequest => ({ kind: 'meta', command: encodeMetaCommand(command) })
const splitAt = (at: string, group: number | null = null): ClientRequest =>
  meta({ kind: 'splitShard', at: utf8(at), group: group === null ? null : groupId(group) })
const move = (before: number[], nodes: number[], group = 1): ClientRequest =>
  meta({
    kind: 'placeShard',
    group: groupId(group),
    before: ids(...before),
    nodes: ids(...nodes),
    override: false,
  })
const drain = (node: number): ClientRequest =>
  meta({ kind: 'drainNode', node: nodeId(BigInt(node)), drain: true })
const metaOf = ({ state }: MiniNode) => state.groups.get(groupId(0))!.machine.meta!

/** Five nodes, two shards of three replicas each: on 1 2 3, and on 1 4 5. */
function five(): MiniCluster {
  const cluster = new MiniCluster({ nodes: 5, ranges: HALVES, replicas: 3, oracle: true })
  cluster.until(() => [0, 1, 2].every(group => cluster.leaderOf(group) !== undefined))
  cluster.until(() => cluster.nodes.every(node => metaOf(node).clusterVersion !== ''))
  cluster.run(500)
  return cluster
}

/** What every node knows of the cluster, without where in the log it stands and what the oracle may hand out. */
const known = (cluster: MiniCluster): string[] =>
  cluster.nodes.map(node => {
    const stands = { applied: 0, appliedTerm: 0, ceiling: null }
    return Buffer.from(encodeMetaState({ ...metaOf(node), ...stands })).toString('hex')
  })

t.test('what cannot be leaves no trace on any node', async t => {
  const cluster = five()
  const wrong: readonly (readonly [what: string, request: ClientRequest, code: string])[] = [
    ['a split at the first key of all', splitAt(''), 'splitKeyInvalid'],
    ['a split at a boundary', splitAt('m'), 'splitKeyInvalid'],
    ['a split at a boundary, of the shard before', splitAt('m', 1), 'splitKeyInvalid'],
    ['a split outside of the shard', splitAt('z', 1), 'splitKeyInvalid'],
    ['a split of no shard', splitAt('z', 9), 'shardNotFound'],
    ['a move to an unknown node', move([1, 2, 3], [1, 2, 99]), 'memberNotFound'],
    ['a move by an old map', move([1, 2, 4], [1, 2, 5]), 'shardChanged'],
    ['a move of no shard', move([1, 2, 3], [1, 2, 4], 9), 'shardNotFound'],
    ['a move to nobody', move([1, 2, 3], []), 'placeInvalid'],
    ['a drain of no member', drain(99), 'memberNotFound'],
  ]
  const before = known(cluster)
  t.equal(new Set(before).size, 1)
  for (const [i, [what, request, code]] of wrong.entries())
    t.match(cluster.ask(cluster.nodes[i % 5]!, request), { ok: false, error: { code } }, what)
  cluster.run(500)
  t.strictSame(known(cluster), before)
  t.ok(cluster.nodes.every(({ state }) => state.operating.size === 0))
})

t.test('the last replicas are not drained', async t => {
  const cluster = five()
  for (const node of [1, 2]) t.ok(cluster.ask(cluster.nodes[3]!, drain(node)).ok)
  const before = known(cluster)
  for (const node of [3, 4, 5])
    t.match(cluster.ask(cluster.nodes[node - 1]!, drain(node)), {
      ok: false,
      error: { code: 'drainNowhere' },
    })
  t.strictSame(known(cluster), before)
  const whole = new MiniCluster({ oracle: true })
  whole.until(() => [0, 1].every(group => whole.leaderOf(group) !== undefined))
  t.match(whole.ask(whole.nodes[0]!, drain(2)), { ok: false, error: { code: 'drainNowhere' } })
  t.match(whole.ask(whole.nodes[0]!, move([1, 2, 3], [1, 2])), {
    ok: false,
    error: { code: 'shardNotPlaced' },
  })
})

t.test('of two operations on one shard at once one is carried out, and the other refused', async t => {
  const rivals: readonly (readonly [string, ClientRequest, ClientRequest])[] = [
    ['two splits', splitAt('c'), splitAt('h')],
    ['a split and a move', splitAt('c'), move([1, 2, 3], [1, 2, 4])],
    ['a move and a split', move([1, 2, 3], [2, 3, 5]), splitAt('h')],
    ['two moves', move([1, 2, 3], [1, 2, 4]), move([1, 2, 3], [2, 3, 5])],
  ]
  for (const [what, one, other] of rivals) {
    const cluster = five()
    for (const key of ['a', 'f', 'l', 'z']) t.ok(cluster.ask(cluster.nodes[0]!, put(key, '1')).ok)
    const [first, second] = [cluster.nodes[1]!, cluster.nodes[4]!]
    const asked = [first.request(one), second.request(other)] as const
    cluster.until(() => first.results.has(asked[0]) && second.results.has(asked[1]))
    const results = [first.results.get(asked[0])!, second.results.get(asked[1])!]
    const codes = results.flatMap(result => (result.ok ? [] : [result.error.code]))
    t.strictSame(codes, ['shardBusy'], what)
    cluster.until(
      () =>
        cluster.nodes.every(node => {
          const { operations, placement } = metaOf(node)
          return operations.length === 0 && placement.shards.every(({ settled }) => settled)
        }),
      60_000,
    )
    cluster.until(() => new Set(known(cluster)).size === 1)
    t.equal(shardMapProblem(metaOf(first).shards), null)
    for (const node of [first, second]) t.equal(pairs(cluster.ask(node, get(ALL))).length, 4, what)
  }
})

t.test('a coordinator whose map is old carries a transaction out by the new one', async t => {
  const cluster = new MiniCluster({ ranges: HALVES, oracle: true })
  cluster.until(() => [0, 1, 2].every(group => cluster.leaderOf(group) !== undefined))
  const late = cluster.nodes.find(node => [0, 1, 2].every(group => cluster.leaderOf(group) !== node))!
  const other = cluster.nodes.find(node => node !== late)!
  // What it hears it writes down late, and knows it no sooner.
  late.diskDelay = 300
  t.ok(cluster.ask(other, splitAt('f')).ok)
  cluster.until(() => metaOf(other).shards.shards.length === 3)
  t.equal(late.state.shards.shards.length, 2)
  const putOp = (key: string): Op => ({
    kind: 'put',
    key: utf8(key),
    value: utf8('all'),
    lease: NO_LEASE,
    prevKv: false,
    ignoreValue: false,
    ignoreLease: false,
  })
  const txn: Op = { kind: 'txn', compares: [], success: ['a', 'k', 'z'].map(putOp), failure: [] }
  const id = late.request(write(txn))
  cluster.until(() => late.results.has(id))
  t.match(late.results.get(id), { ok: true })
  late.diskDelay = 1
  const found = pairs(cluster.ask(other, get(ALL)))
  t.equal(found.length, 3)
  t.equal(new Set(found.map(pair => pair.split('@')[1])).size, 1, 'all at one revision')
  cluster.until(() => locks(cluster) === 0)
})
