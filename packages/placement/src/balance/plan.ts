import type { NodeId } from '@kvorum/model'
import {
  replicasAfter,
  type BalanceCluster,
  type BalancePolicy,
  type BalanceShard,
  type BalanceStep,
} from './cluster.js'
import { evenLeaders, evenReplicas } from './evening.js'
import { loadsOf } from './loads.js'
import { mendShard } from './mending.js'

/**
 * What should be done next to a cluster, and why: the balancer is this function, and who calls it again when its
 * steps are made.
 *
 *     mend (dead, gone, too few, leaving, too many) --> even out replicas --> even out leaders
 *
 * A cluster where nothing is to be done yields nothing. It never touches a shard without a quorum, nor one that is
 * moving, unless what it moves to is lost; and it gives nothing to a node that is missing, new, leaving, full or a
 * learner. Evening out waits until everything is mended and nothing moves.
 */
export function planBalance(cluster: BalanceCluster, policy: BalancePolicy): BalanceStep[] {
  const steps: BalanceStep[] = []
  let now: BalanceCluster = { ...cluster, shards: [...cluster.shards].sort((a, b) => a.group - b.group) }
  let loads = loadsOf(now)
  const take = (step: BalanceStep): void => {
    steps.push(step)
    now = planned(now, step)
    loads = loadsOf(now)
  }
  // What nobody leads goes on by itself when it is led again, and holds nobody up until then.
  const room = policy.movesMax - cluster.shards.filter(({ settled, led }) => !settled && led !== false).length
  let moves = 0
  for (const shard of now.shards) {
    if (shard.settled && moves >= room) continue
    const step = mendShard(shard, loads, policy)
    if (step === null) continue
    take(step)
    if (shard.settled) moves++
  }
  if (steps.length === 0 && room === policy.movesMax && room > 0) {
    const step = evenReplicas(now, loads, policy)
    if (step !== null) take(step)
  }
  return [...steps, ...planLeaders(now, policy)]
}

/** Only who should lead what: for shards whose replicas are every member's, and so stay where they are. */
export function planLeaders(cluster: BalanceCluster, policy: BalancePolicy): BalanceStep[] {
  const steps: BalanceStep[] = []
  let now = cluster
  for (let transfers = 0; transfers < policy.transfersMax; transfers++) {
    const step = evenLeaders(now, loadsOf(now), policy)
    if (step === null) break
    steps.push(step)
    now = planned(now, step)
  }
  return steps
}

/** The cluster while the step is being made: a moving shard is counted where it will be. */
function planned(cluster: BalanceCluster, step: BalanceStep): BalanceCluster {
  const change = (shard: BalanceShard): BalanceShard =>
    step.kind === 'transfer'
      ? { ...shard, leader: step.to }
      : { ...shard, replicas: replicasAfter(shard.replicas, step), settled: false }
  return {
    ...cluster,
    shards: cluster.shards.map(shard => (shard.group === step.group ? change(shard) : shard)),
  }
}

/** The cluster when the step has been made. A leader that goes is followed by whoever is there. */
export function afterStep(cluster: BalanceCluster, step: BalanceStep): BalanceCluster {
  const next = planned(cluster, step)
  const shards = next.shards.map(shard => {
    if (shard.group !== step.group) return shard
    const stays = shard.leader !== null && shard.replicas.includes(shard.leader)
    return { ...shard, settled: true, leader: stays ? shard.leader : (shard.replicas[0] ?? null) }
  })
  return { ...next, shards }
}

/** Steps after which a plan that does not end would have been noticed: every replica may move some times. */
const STEPS_PER_REPLICA = 8

/**
 * Whether a node can be emptied: every replica it holds finds another place, as the others are now. What is missing
 * for a moment is taken for missing, and what moves for having moved.
 */
export function canDrain(cluster: BalanceCluster, policy: BalancePolicy, leaving: NodeId): boolean {
  let now: BalanceCluster = {
    nodes: cluster.nodes.map(node => (node.node === leaving ? { ...node, draining: true } : node)),
    shards: cluster.shards.map(shard => ({ ...shard, settled: true })),
  }
  const holds = (): boolean => now.shards.some(({ replicas }) => replicas.includes(leaving))
  const eager = { ...policy, movesMax: Math.max(1, policy.movesMax), transfersMax: 0, steadyAfterMs: 0 }
  const most = STEPS_PER_REPLICA * (1 + now.shards.reduce((sum, { replicas }) => sum + replicas.length, 0))
  for (let made = 0; made < most && holds();) {
    const steps = planBalance(now, eager)
    if (steps.length === 0) return false
    for (const step of steps) now = afterStep(now, step)
    made += steps.length
  }
  return !holds()
}
