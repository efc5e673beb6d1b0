import { LIMITS, type GroupId, type Millis, type NodeId, type SplitStep } from '@kvorum/model'
import {
  canDrain,
  isMoving,
  operationOn,
  planBalance,
  planLeaders,
  wantedNodes,
  type BalanceCluster,
  type BalanceNode,
  type BalancePolicy,
  type BalanceStep,
  type HeldLeader,
  type MetaState,
} from '@kvorum/placement'
import { leaderNode } from './membership.js'
import { splitsOf } from './splitView.js'
import type { NodeState, Turn } from './state.js'
import type { BalanceOptions } from './types.js'

/** The cluster as this node sees it, for the balancer. */
export interface Balancing {
  /** Since when each member has been there, or not. Every node notes it, so that a new leader knows it too. */
  readonly presence: Map<NodeId, { present: boolean; since: Millis }>
  /** Since when each leadership that was placed by hand has been held where it is; noted by every node too. */
  readonly held: Map<GroupId, { node: NodeId; since: Millis }>
  /** Shards whose leaders are being asked for; at most one for each of the map. */
  readonly looking: Set<GroupId>
  /** Those of which nobody has answered; the same bound. */
  readonly leaderless: Set<GroupId>
  due: Millis
}

export const createBalancing = (): Balancing => ({
  presence: new Map(),
  held: new Map(),
  looking: new Set(),
  leaderless: new Set(),
  due: 0,
})

/** By default a dead node's replicas are rebuilt after five minutes: a restart must not copy them. */
export const DEFAULT_BALANCE: BalanceOptions = {
  deadAfterMs: 300_000,
  steadyAfterMs: 10_000,
  everyMs: 1_000,
  movesMax: 2,
  transfersMax: 16,
  holdLeaderMs: 3_600_000,
  splitBytes: null,
  tellLoadsMs: 5_000,
  busyRequests: 1_000,
  hotForMs: 60_000,
}

/** What the balancer would do now, as this node sees the cluster. */
export function planOf(
  state: NodeState,
  meta: MetaState,
  now: Millis,
  balance: BalanceOptions = DEFAULT_BALANCE,
): (BalanceStep | SplitStep)[] {
  const cluster = clusterOf(state, meta, now)
  const policy = policyOf(meta, balance)
  const splits = splitsOf(state, meta, now, balance)
  if (meta.placement.replicas > 0) return [...planBalance(cluster, policy), ...splits]
  // The leadership of an only shard follows the meta group's.
  return cluster.shards.length > 1 ? [...planLeaders(cluster, policy), ...splits] : splits
}

/** Whether what the node holds has somewhere else to go. */
export function mayDrain(state: NodeState, meta: MetaState, now: Millis, node: NodeId): boolean {
  const { replicas } = meta.placement
  if (replicas === 0) return false
  const policy = policyOf(meta, state.options.balance ?? DEFAULT_BALANCE)
  return canDrain(clusterOf(state, meta, now), policy, node)
}

/** Every node notes who is there. */
export function notePresence({ state, now }: Turn, meta: MetaState): void {
  const { presence } = state.balancing
  for (const { id } of meta.nodes) {
    const peer = state.peers.get(id)
    const present = id === state.options.self || (peer?.connected === true && peer.trusted)
    if (presence.get(id)?.present !== present) presence.set(id, { present, since: now })
  }
  for (const node of presence.keys()) if (!meta.nodes.some(({ id }) => id === node)) presence.delete(node)
}

/** Every node notes since when leaderships are held. */
export function noteHeldLeaders({ state, now }: Turn, meta: MetaState): void {
  const { held } = state.balancing
  for (const { group, node } of meta.heldLeaders)
    if (held.get(group)?.node !== node) held.set(group, { node, since: now })
  for (const group of held.keys())
    if (!meta.heldLeaders.some(other => other.group === group)) held.delete(group)
}

/** A leadership that was placed by hand and need not stay any longer: it has been long enough, or the node is away. */
export function heldInVain(
  state: NodeState,
  meta: MetaState,
  now: Millis,
  { holdLeaderMs, steadyAfterMs }: BalanceOptions,
): HeldLeader | undefined {
  const { held, presence } = state.balancing
  return meta.heldLeaders.find(({ group, node }) => {
    const since = held.get(group)?.since ?? now
    const seen = presence.get(node)
    const isAway = seen === undefined || (!seen.present && now - seen.since >= steadyAfterMs)
    return isAway || now - since >= holdLeaderMs
  })
}

const policyOf = (meta: MetaState, balance: BalanceOptions): BalancePolicy => ({
  ...balance,
  replicas: meta.placement.replicas,
  shardsPerNodeMax: LIMITS.shardsPerNodeMax,
})

function clusterOf(state: NodeState, meta: MetaState, now: Millis): BalanceCluster {
  const nodes = meta.nodes.map(({ id, learner }): BalanceNode => {
    const seen = state.balancing.presence.get(id)
    const forMs = seen === undefined ? 0 : now - seen.since
    return {
      node: id,
      presentMs: seen?.present === true ? forMs : null,
      missingMs: seen?.present === true ? 0 : forMs,
      draining: meta.placement.draining.includes(id),
      learner,
      full: meta.alarms.active.some(({ member, alarm }) => member === id && alarm === 'noSpace'),
    }
  })
  const shards = meta.shards.shards.map(({ group }) => {
    const leader = leaderOf(state, group)
    return {
      group,
      replicas: wantedNodes(meta, group),
      settled: !isMoving(meta, group) && operationOn(meta, group) === undefined,
      leader,
      led: isLed(state, group),
      held: isHeld(meta, group, leader),
      bytes: state.groups.get(group)?.machine.shard?.logicalBytes ?? state.loads.told.get(group)?.bytes ?? 0,
    }
  })
  return { nodes, shards }
}

/** By a leader that can be asked, or that has told lately what it carries; null: not known. */
export function isLed(state: NodeState, group: GroupId): boolean | null {
  const leader = leaderOf(state, group)
  if (leader === state.options.self || state.loads.told.has(group)) return true
  if (leader !== null && state.peers.get(leader)?.connected === true) return true
  return state.balancing.leaderless.has(group) ? false : null
}

const isHeld = (meta: MetaState, group: GroupId, leader: NodeId | null): boolean =>
  leader !== null && meta.heldLeaders.some(held => held.group === group && held.node === leader)

/** As far as this node knows: it asks nobody for it. */
export function leaderOf(state: NodeState, id: GroupId): NodeId | null {
  const group = state.groups.get(id)
  return group === undefined ? (state.remotes.get(id)?.leader ?? null) : leaderNode(group)
}
