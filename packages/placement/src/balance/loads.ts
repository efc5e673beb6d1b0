import type { NodeId } from '@kvorum/model'
import type { BalanceCluster, BalanceNode, BalancePolicy, BalanceShard } from './cluster.js'

/** What each node carries, and who of them may be given something. */
export interface NodeLoad {
  readonly node: BalanceNode
  replicas: number
  bytes: number
  leaders: number
}

export type Loads = ReadonlyMap<NodeId, NodeLoad>

export function loadsOf({ nodes, shards }: BalanceCluster): Loads {
  const loads = new Map<NodeId, NodeLoad>()
  for (const node of [...nodes].sort((a, b) => (a.node < b.node ? -1 : 1)))
    loads.set(node.node, { node, replicas: 0, bytes: 0, leaders: 0 })
  for (const { replicas, bytes, leader } of shards) {
    for (const node of replicas) {
      const load = loads.get(node)
      if (load === undefined) continue
      load.replicas++
      load.bytes += bytes
    }
    const leading = leader === null ? undefined : loads.get(leader)
    if (leading !== undefined) leading.leaders++
  }
  return loads
}

export const isPresent = ({ presentMs }: BalanceNode): boolean => presentMs !== null

export const isDead = (node: BalanceNode, { deadAfterMs }: BalancePolicy): boolean =>
  !isPresent(node) && node.missingMs >= deadAfterMs

/** May be given replicas. */
export function isTarget({ node, replicas }: NodeLoad, policy: BalancePolicy): boolean {
  const { presentMs, draining, learner, full } = node
  if (presentMs === null || presentMs < policy.steadyAfterMs) return false
  return !draining && !learner && !full && replicas < policy.shardsPerNodeMax
}

/** May be given leaderships of shards that it has replicas of. */
export const mayLead = ({ presentMs, draining, learner }: BalanceNode, policy: BalancePolicy): boolean =>
  presentMs !== null && presentMs >= policy.steadyAfterMs && !draining && !learner

/** The node that carries least of those that may be given a replica of this shard; null: nobody may. */
export function bestTarget(shard: BalanceShard, loads: Loads, policy: BalancePolicy): NodeLoad | null {
  let best: NodeLoad | null = null
  for (const load of loads.values()) {
    if (shard.replicas.includes(load.node.node) || !isTarget(load, policy)) continue
    if (best === null || carriesLess(load, best)) best = load
  }
  return best
}

/** Order by what is carried; of equals the one with the lower id comes first in the map. */
export const carriesLess = (a: NodeLoad, b: NodeLoad): boolean =>
  a.replicas !== b.replicas ? a.replicas < b.replicas : a.bytes < b.bytes

/**
 * Enough of the shard's replicas are there to decide anything. A group that is led lets go of those that are no members
 * any more, however many of its replicas they were: a removal leaves it a majority.
 */
export function hasQuorum({ replicas, led }: BalanceShard, loads: Loads): boolean {
  const counted = led === true ? replicas.filter(node => loads.has(node)) : replicas
  const present = counted.filter(node => {
    const load = loads.get(node)
    return load !== undefined && isPresent(load.node)
  })
  // Of a shard whose only members are no members any more: they stay until others have taken their places.
  return (led === true && counted.length === 0) || present.length >= Math.floor(counted.length / 2) + 1
}
