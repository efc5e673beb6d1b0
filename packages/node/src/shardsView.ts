import type { GroupId, Millis, NodeId, ShardNodeView, ShardPlan, ShardsView, ShardView } from '@kvorum/model'
import { operationOn, type MetaState } from '@kvorum/placement'
import { DEFAULT_BALANCE, leaderOf, planOf } from './balanceView.js'
import { metaOf } from './membership.js'
import type { NodeState } from './state.js'

/** The shards by the meta group's state, with the leaders that this node knows. Null: it has no such state yet. */
export function shardsViewOf(state: NodeState): ShardsView | null {
  const meta = metaOf(state)
  if (meta === null) return null
  // There may be thousands: each is looked up once.
  const places = new Map(meta.placement.shards.map(placed => [placed.group, placed]))
  const voters = meta.nodes.filter(({ learner }) => !learner).map(({ id }) => id)
  const shards = meta.shards.shards.map(({ group, range, epoch }): ShardView => {
    const placed = places.get(group)
    const split = operationOn(meta, group)
    return {
      group,
      range,
      epoch,
      leader: leaderToTell(state, group),
      replicas: placed?.nodes ?? voters,
      logicalBytes: state.groups.get(group)?.machine.shard?.logicalBytes ?? 0,
      operation:
        split !== undefined
          ? { kind: 'split', at: split.at, right: split.right }
          : { kind: placed?.settled === false ? 'move' : 'none' },
    }
  })
  return {
    mapVersion: meta.shards.version,
    replicas: meta.placement.replicas,
    shards,
    nodes: nodesOf(state, meta, shards),
  }
}

/** Of a shard elsewhere one that cannot be asked any more may lead it no more. */
function leaderToTell(state: NodeState, group: GroupId): NodeId | 0n {
  const leader = leaderOf(state, group)
  const isHere = leader === state.options.self || state.groups.has(group)
  return leader !== null && (isHere || state.peers.get(leader)?.connected === true) ? leader : 0n
}

function nodesOf(state: NodeState, meta: MetaState, shards: readonly ShardView[]): ShardNodeView[] {
  const counts = new Map<NodeId | 0n, { shards: number; leads: number }>()
  for (const { id } of meta.nodes) counts.set(id, { shards: 0, leads: 0 })
  for (const { replicas, leader } of shards) {
    for (const node of replicas) {
      const count = counts.get(node)
      if (count !== undefined) count.shards++
    }
    const leading = counts.get(leader)
    if (leading !== undefined) leading.leads++
  }
  return meta.nodes.map(({ id, name, learner }) => ({
    node: id,
    name,
    learner,
    connected: id === state.options.self || state.peers.get(id)?.connected === true,
    draining: meta.placement.draining.includes(id),
    ...counts.get(id)!,
  }))
}

/** Changes nothing. Who was there for how long counts from when this node saw it. */
export function shardPlanOf(state: NodeState, now: Millis): ShardPlan | null {
  const meta = metaOf(state)
  if (meta === null) return null
  const { balance } = state.options
  const { replicas } = meta.placement
  return {
    replicas,
    automatic: balance !== undefined,
    steps: planOf(state, meta, now, balance ?? DEFAULT_BALANCE),
  }
}
