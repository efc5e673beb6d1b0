import { decodeReply, groupId, LIMITS, nodeId, ok, refuse, type NodeId, type Result } from '@kvorum/model'
import type { GroupId, ShardsView, ShardView } from '@kvorum/model'
import { encodeMetaCommand, replicasAfter, type MetaCommand } from '@kvorum/placement'
import { toShardDescription, toShardNode, toShardStep } from '@kvorum/protocol'
import type { Edge } from '../edge/edge.js'
import { requestOptions } from '../edge/requestOptions.js'
import { clusterHeader } from './cluster.js'
import type { Call, Unary } from './handler.js'

/**
 * How an operator sees and changes shards. A change is one command of the meta group, which refuses what cannot be:
 * what this member knew when it asked may be old by then, and nothing is half done.
 */
export const shardList: Unary<'kvorum.v1.Shard/List'> = async (edge, { serializable }, call) => {
  const view = serializable ? await shardsOf(edge, call, false) : await withLeaders(edge, call)
  if (!view.ok) return view
  const { mapVersion, replicas, shards, nodes } = view.value
  return ok({
    header: clusterHeader(edge),
    map_version: mapVersion,
    replicas,
    shards: shards.map(toShardDescription),
    nodes: nodes.map(toShardNode),
  })
}

export const shardPlan: Unary<'kvorum.v1.Shard/Plan'> = async (edge, _, call) => {
  const fresh = await shardsOf(edge, call, true)
  if (!fresh.ok) return fresh
  const plan = edge.node.shardPlan()
  if (plan === null) return refuse('noLeader')
  const { replicas, automatic, steps } = plan
  return ok({ header: clusterHeader(edge), replicas, automatic, steps: steps.map(toShardStep) })
}

export const shardSplit: Unary<'kvorum.v1.Shard/Split'> = async (edge, request, call) => {
  const group = request.shard === 0 ? null : groupId(request.shard)
  const begun = await command(edge, call, { kind: 'splitShard', at: request.at, group })
  if (!begun.ok) return begun
  const reply = decodeReply(begun.value.body)
  return ok({ header: clusterHeader(edge), right: reply.kind === 'splitBegun' ? reply.right : 0 })
}

export const shardMove: Unary<'kvorum.v1.Shard/Move'> = async (edge, request, call) => {
  const [from, to] = [nodeId(request.from_id), nodeId(request.to_id)]
  const view = await shardsOf(edge, call, true)
  if (!view.ok) return view
  const shard = shardNamed(view.value, request.shard)
  if (!shard.ok) return shard
  const { group, replicas } = shard.value
  if (!replicas.includes(from)) return misplaced(from, group, 'has no replica of')
  if (replicas.includes(to)) return misplaced(to, group, 'has a replica already of')
  const nodes = replicasAfter(replicas, { from, to })
  const moved = await command(edge, call, {
    kind: 'placeShard',
    group,
    before: replicas,
    nodes,
    override: false,
  })
  return moved.ok ? ok({ header: clusterHeader(edge) }) : moved
}

export const shardTransfer: Unary<'kvorum.v1.Shard/Transfer'> = async (edge, request, call) => {
  const to = nodeId(request.to_id)
  const view = await shardsOf(edge, call, true)
  if (!view.ok) return view
  const shard = shardNamed(view.value, request.shard)
  if (!shard.ok) return shard
  const { group, replicas } = shard.value
  if (!view.value.nodes.some(({ node }) => node === to)) return refuse('memberNotFound')
  if (!replicas.includes(to)) return misplaced(to, group, 'has no replica of')
  // Before it is there: the balancer must not hand it back in between.
  const held = await command(edge, call, { kind: 'holdLeader', group, node: to, hold: true })
  if (!held.ok) return held
  const moved = await edge.node.request({ kind: 'moveLeader', to, group }, requestOptions(edge, call))
  if (!moved.ok) await command(edge, call, { kind: 'holdLeader', group, node: to, hold: false })
  return moved.ok ? ok({ header: clusterHeader(edge) }) : moved
}

export const shardDrain: Unary<'kvorum.v1.Shard/Drain'> = async (edge, request, call) => {
  const drained = await command(edge, call, {
    kind: 'drainNode',
    node: nodeId(request.node_id),
    drain: !request.undo,
  })
  return drained.ok ? ok({ header: clusterHeader(edge) }) : drained
}

const command = (edge: Edge, call: Pick<Call, 'signal' | 'stages'>, meta: MetaCommand) =>
  edge.node.request({ kind: 'meta', command: encodeMetaCommand(meta) }, requestOptions(edge, call))

async function shardsOf(
  edge: Edge,
  call: Pick<Call, 'signal' | 'stages'>,
  fresh: boolean,
): Promise<Result<ShardsView>> {
  if (fresh) {
    const barrier = await edge.node.request({ kind: 'barrier' }, requestOptions(edge, call))
    if (!barrier.ok) return barrier
  }
  const view = edge.node.shards()
  return view === null ? refuse('noLeader') : ok(view)
}

/** Longer than an election takes. */
const LEADERS_MS = 2_000

/**
 * Of shards that are elsewhere this member knows the leader only while it sends requests there: so it sends one. A shard
 * that does not answer in time is told of as it was known.
 */
async function withLeaders(edge: Edge, call: Pick<Call, 'signal' | 'stages'>): Promise<Result<ShardsView>> {
  const view = await shardsOf(edge, call, true)
  if (!view.ok) return view
  const { node } = edge
  const elsewhere = view.value.shards
    .filter(({ replicas, leader }) => leader === 0n || !replicas.includes(node.self))
    .slice(0, LIMITS.leadersAskedMax)
  if (elsewhere.length === 0) return view
  const options = { ...requestOptions(edge, call), timeoutMs: LEADERS_MS }
  await Promise.all(
    elsewhere.map(({ group, range }) => node.request({ kind: 'follow', group, range, after: 0 }, options)),
  )
  return shardsOf(edge, call, false)
}

function shardNamed({ shards }: ShardsView, number: number): Result<ShardView> {
  const shard = shards.find(({ group }) => group === number)
  return shard === undefined ? refuse('shardNotFound') : ok(shard)
}

const misplaced = (node: NodeId, group: GroupId, what: string) =>
  refuse('placeInvalid', { detail: `member ${node.toString(16)} ${what} shard ${group}` })
