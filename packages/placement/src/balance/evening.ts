import type { BalanceCluster, BalancePolicy, BalanceShard, BalanceStep } from './cluster.js'
import { hasQuorum, isTarget, mayLead, type Loads, type NodeLoad } from './loads.js'

/**
 * Evening out, one step at a time. Every step makes a sum of squares smaller, first of replicas per node, then of
 * bytes per node, by more than a margin; so it ends, and nothing that was moved is moved back while the cluster
 * stays as it is.
 */
export function evenReplicas(
  { shards }: BalanceCluster,
  loads: Loads,
  policy: BalancePolicy,
): BalanceStep | null {
  let best: { step: BalanceStep; gain: number } | null = null
  for (const shard of shards) {
    if (!shard.settled || !hasQuorum(shard, loads)) continue
    for (const node of shard.replicas) {
      const from = loads.get(node)
      if (from === undefined) continue
      for (const to of loads.values()) {
        if (shard.replicas.includes(to.node.node) || !isTarget(to, policy)) continue
        const found = gainOf(shard, from, to)
        if (found === null || (best !== null && found.gain <= best.gain)) continue
        const step = {
          kind: 'move',
          group: shard.group,
          from: node,
          to: to.node.node,
          reason: found.reason,
        } as const
        best = { step, gain: found.gain }
      }
    }
  }
  return best?.step ?? null
}

/** Any gain in replicas counts for more than all gains in bytes. */
const REPLICA_GAIN = 2 ** 40
/** A node is worth relieving of bytes when it carries this share of a replica's bytes more than another would. */
const BYTES_MARGIN = 1.5

function gainOf(
  shard: BalanceShard,
  from: NodeLoad,
  to: NodeLoad,
): { gain: number; reason: 'replicasUneven' | 'bytesUneven' } | null {
  const difference = from.replicas - to.replicas
  const bytes = from.bytes - to.bytes
  // Of equal gains in number the one that evens out most bytes.
  if (difference >= 2) {
    const left = Math.abs(bytes - 2 * shard.bytes)
    return { gain: difference * REPLICA_GAIN - Math.min(left, REPLICA_GAIN - 1), reason: 'replicasUneven' }
  }
  const worth = difference === 1 && shard.bytes > 0 && bytes > 2 * shard.bytes * BYTES_MARGIN
  return worth ? { gain: Math.min(bytes, REPLICA_GAIN - 1), reason: 'bytesUneven' } : null
}

/**
 * Leaderships that should be elsewhere: first those of nodes that leave, then of those that have most. What an operator
 * has placed by hand goes only from a node that leaves.
 */
export function evenLeaders(
  { shards }: BalanceCluster,
  loads: Loads,
  policy: BalancePolicy,
): BalanceStep | null {
  let best: { step: BalanceStep; gain: number } | null = null
  for (const shard of shards) {
    const from = shard.leader === null ? undefined : loads.get(shard.leader)
    if (from === undefined || !shard.settled || !hasQuorum(shard, loads)) continue
    for (const node of shard.replicas) {
      const to = loads.get(node)
      if (to === undefined || to === from || !mayLead(to.node, policy)) continue
      const leaves = from.node.draining
      const difference = from.leaders - to.leaders
      if (!leaves && (shard.held || difference < 2)) continue
      const gain = difference + (leaves ? LEAVING_GAIN : 0)
      if (best !== null && gain <= best.gain) continue
      const reason = leaves ? 'nodeDraining' : 'leadersUneven'
      const step = {
        kind: 'transfer',
        group: shard.group,
        from: from.node.node,
        to: node,
        reason,
      } as const
      best = { step, gain }
    }
  }
  return best?.step ?? null
}

const LEAVING_GAIN = 2 ** 30
