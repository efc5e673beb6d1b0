import { groupId, nodeId, pointRange, utf8 } from '@kvorum/model'
import { encodeMetaCommand, placedShard, rangesBetween, type MetaCommand } from '@kvorum/placement'
import t from 'tap'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { get, pairs, put, reply } from './requests.js'

/** What nodes begin with when they start again, where shards have fewer replicas than there are nodes. */

const id = (node: number) => nodeId(BigInt(node))
const FIRST = groupId(1)

/** Shards on 1 2 3 and on 1 4 5, with revisions of the oracle's, as the server makes them. */
function five(nodes = 5): MiniCluster {
  const cluster = new MiniCluster({ nodes, ranges: rangesBetween([utf8('m')]), replicas: 3, oracle: true })
  cluster.until(() => [0, 1, 2].every(each => cluster.leaderOf(each) !== undefined))
  return cluster
}
const at = (cluster: MiniCluster, node: number): MiniNode => cluster.nodes[node - 1]!
const shardsOf = (node: MiniNode): string => [...node.state.groups.keys()].sort((a, b) => a - b).join()
const place = (before: number[], nodes: number[]): MetaCommand => ({
  kind: 'placeShard',
  group: FIRST,
  before: before.map(id),
  nodes: nodes.map(id),
  override: false,
})
const ask = (cluster: MiniCluster, command: MetaCommand) =>
  cluster.ask(at(cluster, 1), { kind: 'meta', command: encodeMetaCommand(command) })
const placed = (node: MiniNode) => placedShard(node.state.groups.get(groupId(0))!.machine.meta!, FIRST)
const read = (cluster: MiniCluster, node: number, key: string): string[] =>
  pairs(cluster.ask(at(cluster, node), get(pointRange(utf8(key)))))

t.test('every node begins with the replicas that it had, and no other', async t => {
  const cluster = five()
  t.equal(reply(cluster.ask(at(cluster, 5), put('alpha', '1'))).kind, 'op')
  t.equal(reply(cluster.ask(at(cluster, 2), put('zeta', '1'))).kind, 'op')
  t.equal(reply(ask(cluster, place([1, 2, 3], [1, 2, 4]))).kind, 'done')
  cluster.until(
    () =>
      cluster.nodes.every(node => placed(node)!.settled && placed(node)!.nodes.includes(id(4))) &&
      at(cluster, 3).state.replicas.retired.get(FIRST)?.phase === 'gone',
    60_000,
  )
  // What has not reached their stores is applied again from their logs.
  for (const node of cluster.nodes) node.kill()
  for (const node of cluster.nodes) node.restart()
  cluster.until(() => [0, 1, 2].every(each => cluster.leaderOf(each) !== undefined))
  cluster.until(() => cluster.nodes.map(shardsOf).join(' ') === '0,1,2 0,1 0 0,1,2 0,2')
  for (const node of [1, 2, 3, 4, 5]) {
    t.match(read(cluster, node, 'alpha'), [/^alpha=1@/])
    t.match(read(cluster, node, 'zeta'), [/^zeta=1@/])
  }
})

t.test('replicas that were on their way are found in the store', async t => {
  const cluster = five()
  cluster.ask(at(cluster, 5), put('alpha', '1'))
  t.equal(reply(ask(cluster, place([1, 2, 3], [3, 4, 5]))).kind, 'done')
  const votersAt = (node: number): string =>
    at(cluster, node).state.groups.get(FIRST)?.raft?.config.voters.join() ?? ''
  const outgoingAt = (node: number): number =>
    at(cluster, node).state.groups.get(FIRST)?.raft?.config.outgoing.length ?? 0
  cluster.until(() => [4, 5].every(each => votersAt(each) === '3,4,5' && outgoingAt(each) === 0), 60_000)
  t.equal(placed(at(cluster, 4))!.settled, false, 'the map does not know it yet')
  for (const node of cluster.nodes) node.kill()
  // Whoever had all of it from the beginning does not come back.
  for (const node of [1, 2, 4, 5]) at(cluster, node).restart()
  cluster.until(() => [at(cluster, 4), at(cluster, 5)].includes(cluster.leaderOf(1)!), 60_000)
  for (const node of [1, 2, 4, 5]) t.match(read(cluster, node, 'alpha'), [/^alpha=1@/])
  cluster.until(() => !at(cluster, 1).state.groups.has(FIRST), 60_000)
})

t.test('a shard is split where the leader of the meta group has no replica of it', async t => {
  const cluster = five()
  const leader = (): number => Number(cluster.leaderOf(0)!.id)
  if (leader() < 4) {
    const moved = cluster.ask(cluster.leaderOf(0)!, { kind: 'moveLeader', to: id(5) })
    t.equal(reply(moved).kind, 'done')
  }
  t.notOk(cluster.leaderOf(0)!.state.groups.has(FIRST))
  t.equal(reply(ask(cluster, { kind: 'splitShard', at: utf8('g'), group: FIRST })).kind, 'splitBegun')
  cluster.until(() => cluster.nodes.every(node => node.state.shards.shards.length === 3), 20_000)
  t.equal(reply(cluster.ask(at(cluster, 5), put('h', '1'))).kind, 'op')
  t.match(read(cluster, 4, 'h'), [/^h=1@/])
})

t.test('of seven founders five decide on the map, and all of them hold shards', async t => {
  const cluster = five(7)
  const { config } = cluster.leaderOf(0)!.state.groups.get(groupId(0))!.raft!
  t.strictSame(
    [config.voters, config.learners],
    [
      [1, 2, 3, 4, 5],
      [6, 7],
    ],
  )
  for (const node of [6, 7]) {
    t.equal(reply(cluster.ask(at(cluster, node), put(`a${node}`, '1'))).kind, 'op')
    t.match(read(cluster, node, 'a6'), [/^a6=1@/])
  }
})
