import type { GroupId, NodeId } from '@kvorum/model'
import type { MetaState } from './metaState.js'
import type { PlacedShard } from './placing.js'

/** Of one that is no member any more, in a group that may still count it. */
export interface FormerReplica {
  readonly group: GroupId
  readonly node: NodeId
}

/**
 * A member is no member any more: its replicas are wanted nowhere. Until their groups have said that they go on without,
 * they count it. The only replica of a shard stays wanted until it has another place.
 */
export function placeWithout(state: MetaState, node: NodeId): void {
  const { placement } = state
  const shards = placement.shards.map((shard): PlacedShard => {
    if (!shard.nodes.includes(node)) return shard
    const nodes = shard.nodes.filter(other => other !== node)
    return { ...shard, nodes: nodes.length > 0 ? nodes : shard.nodes, settled: false }
  })
  // One that moves may have counted it before.
  const counting = shards.filter(({ settled }) => !settled)
  const former = [...placement.former, ...counting.map(({ group }) => ({ group, node }))]
  // Nobody can be emptied who is no member any more.
  const draining = placement.draining.filter(other => other !== node)
  state.placement = { ...placement, draining, shards, former }
}

/** Whether a shard may count one that is no member, or will not be one: this state may be behind. */
export const mayCountFormer = ({ nodes, placement }: MetaState, node: NodeId): boolean =>
  (placement.shards.length > 0 && nodes.some(({ id }) => id === node)) ||
  placement.former.some(former => former.node === node)
