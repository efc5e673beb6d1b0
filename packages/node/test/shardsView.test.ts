import t from 'tap'
import { groupId, nodeId, utf8, type KeyRange, type ShardsView } from '@kvorum/model'
import { encodeMetaCommand, type MetaCommand } from '@kvorum/placement'
import { shardPlanOf, shardsViewOf } from '#src/shardsView.js'
import { statusOf } from '#src/status.js'
import { MiniCluster, type MiniNode } from './miniCluster.js'

const id = (node: number) => nodeId(BigInt(node))
const HALVES: KeyRange[] = [
  { start: utf8(''), end: utf8('m') },
  { start: utf8('m'), end: null },
]
/** Before a node has loaded its state. */
const NOTHING: ShardsView = { mapVersion: 0, replicas: 0, shards: [], nodes: [] }
const view = ({ state }: MiniNode) => shardsViewOf(state) ?? NOTHING
const command = (cluster: MiniCluster, meta: MetaCommand) =>
  cluster.ask(cluster.nodes[0]!, { kind: 'meta', command: encodeMetaCommand(meta) })

t.test('every node sees the shards, their leaders and what is under way', async t => {
  const cluster = new MiniCluster({ oracle: true })
  const isKnown = (): boolean =>
    cluster.nodes.every(
      node => view(node).mapVersion > 0 && view(node).shards.every(({ leader }) => leader !== 0n),
    )
  cluster.until(() => [0, 1].every(group => cluster.leaderOf(group) !== undefined) && isKnown())
  const leader = cluster.leaderOf(1)!.id
  for (const node of cluster.nodes) {
    t.match(view(node), {
      mapVersion: 1,
      replicas: 0,
      shards: [{ group: 1, epoch: 1, leader, replicas: [id(1), id(2), id(3)], operation: { kind: 'none' } }],
    })
    t.strictSame(
      view(node).nodes.map(each => [each.node, each.connected, each.shards, each.leads]),
      [1, 2, 3].map(each => [id(each), true, 1, id(each) === leader ? 1 : 0]),
    )
  }
  t.ok(command(cluster, { kind: 'splitShard', at: utf8('m'), group: null }).ok)
  t.ok(cluster.nodes.some(({ state }) => statusOf(state, () => 0).counters['shardOperationsPending'] === 1))
  const begun = cluster.nodes.map(node => view(node).shards[0]!.operation)
  t.ok(
    begun.some(({ kind }) => kind === 'split'),
    'it is told while it lasts',
  )
  cluster.until(() => cluster.nodes.every(node => view(node).shards.length === 2) && isKnown())
  for (const node of cluster.nodes)
    t.match(view(node).shards, [
      { group: 1, epoch: 2, range: HALVES[0], operation: { kind: 'none' } },
      { group: 2, epoch: 2, range: HALVES[1], leader, operation: { kind: 'none' } },
    ])
  t.strictSame(shardPlanOf(cluster.nodes[0]!.state, cluster.now), {
    replicas: 0,
    automatic: false,
    steps: [],
  })
})

t.test('who leads a shard that is elsewhere is known when it has been asked', async t => {
  const cluster = new MiniCluster({ nodes: 5, ranges: HALVES, replicas: 3, oracle: true })
  cluster.until(() => [0, 1, 2].every(group => cluster.leaderOf(group) !== undefined))
  const far = cluster.nodes[4]!
  const leads = () => view(far).shards.map(({ leader }) => leader)
  cluster.until(() => leads()[1] !== 0n)
  t.equal(leads()[0], 0n, 'it has no replica of the first half, and has not used it')
  const ask = () =>
    cluster.ask(far, { kind: 'follow', group: groupId(1), range: HALVES[0]!, after: 0 }, 2_000)
  t.ok(ask().ok)
  t.equal(leads()[0], cluster.leaderOf(1)!.id)
  t.equal(view(far).nodes.find(({ node }) => node === leads()[0])!.leads > 0, true)
  // All that have a replica are cut off.
  for (const { id: to } of cluster.nodes.slice(0, 3)) {
    cluster.cut.add(`${far.id}>${to}`)
    far.put({ kind: 'peerDown', node: to })
  }
  t.match(ask(), { ok: false, error: { code: 'timeout' } })
  t.equal(leads()[0], 0n)
})

t.test('a move, a drain, and what the balancer would do about it', async t => {
  const cluster = new MiniCluster({ nodes: 5, ranges: HALVES, replicas: 3 })
  cluster.until(() => [0, 1, 2].every(group => cluster.leaderOf(group) !== undefined))
  const [first, second] = cluster.nodes as [MiniNode, MiniNode]
  t.strictSame(view(first).shards[0]!.replicas, [1, 2, 3].map(id))
  t.equal(view(cluster.nodes[4]!).shards[0]!.logicalBytes, 0, 'it has no replica')
  cluster.run(20_000)
  t.match(shardPlanOf(first.state, cluster.now), { replicas: 3, automatic: false })
  t.ok(command(cluster, { kind: 'drainNode', node: second.id, drain: true }).ok)
  t.equal(view(first).nodes[1]!.draining, true)
  t.match(shardPlanOf(first.state, cluster.now)!.steps, [
    { kind: 'move', group: 1, from: second.id, reason: 'nodeDraining' },
  ])
  const before = [1, 2, 3].map(id)
  const nodes = [1, 3, 4].map(id)
  t.ok(command(cluster, { kind: 'placeShard', group: groupId(1), before, nodes, override: false }).ok)
  t.match(view(first).shards[0], { replicas: nodes, operation: { kind: 'move' } })
  cluster.until(() => view(first).shards[0]!.operation.kind === 'none', 60_000)
  t.equal(view(first).nodes[1]!.shards, 0)
})
