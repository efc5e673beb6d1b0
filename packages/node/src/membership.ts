import { META_GROUP, type Member, type NodeId, type ReplicaId, type Term } from '@kvorum/model'
import { membersIn, type MetaState } from '@kvorum/placement'
import type { Group, NodeState } from './state.js'

/** On which node a replica of this group lives; null when the configuration does not name it and nobody spoke for it. */
export function nodeOfReplica(group: Group, replica: ReplicaId): NodeId | null {
  // Asked for every message.
  if (group.raft !== null) {
    for (const placed of group.raft.config.replicas) if (placed.id === replica) return placed.node
  }
  return group.heard.get(replica) ?? null
}

/** The node of the group's leader; null when no leader is known. */
export function leaderNode(group: Group): NodeId | null {
  return group.raft === null || group.raft.leader === 0 ? null : nodeOfReplica(group, group.raft.leader)
}

/** The node that leads the members' group; null when none is known. */
export function metaLeader(state: NodeState): NodeId | null {
  const meta = state.groups.get(META_GROUP)
  return meta === undefined ? null : leaderNode(meta)
}

/** Whether this node leads the group. It may be deposed and not know it: reads prove it by a round. */
export const leads = (group: Group): boolean => group.raft?.role === 'leader'

/** What this node has applied of the meta group; null: nothing yet. */
export const metaOf = (state: NodeState): MetaState | null =>
  state.groups.get(META_GROUP)?.machine.meta ?? null

/** A barrier on the meta group that a leader of `term` asked for has been passed. */
export function membersKnown(state: NodeState, id: Group['id'], term: number): void {
  const group = state.groups.get(id)
  if (group !== undefined) group.membersTerm = term
}

/** The cluster's members as the meta group's state has them on this node. */
export function membersOf(state: NodeState): Member[] {
  const meta = metaOf(state)
  return meta === null ? [] : membersIn(meta)
}

/** Whether the members' log has this node as a learner; its groups may be slower to make a voter of it. */
export const isLearnerMember = (state: NodeState): boolean =>
  metaOf(state)?.nodes.some(({ id, learner }) => learner && id === state.options.self) ?? false

/** Whether the oracle gives revisions, as far as this node knows. There is no way back. */
export function inOracleMode(state: NodeState): boolean {
  if (metaOf(state)?.ceiling != null) return true
  const first = state.shards.shards[0]
  if (first === undefined) return false
  return state.groups.get(first.group)?.machine.revisions.mode.kind === 'oracle'
}

/** The meta group's term as a confirmation of its leader carried it. */
export const oracleTerm = (state: NodeState): Term =>
  Math.max(state.oracleTerm, state.groups.get(META_GROUP)?.machine.appliedTerm ?? 0)

export function noteOracleTerm(state: NodeState, term: Term): void {
  state.oracleTerm = Math.max(state.oracleTerm, term)
}

/** The term that the header of an answer of this group carries. */
export const termOf = (state: NodeState, group: Group): Term =>
  group.machine.revisions.mode.kind === 'oracle' ? oracleTerm(state) : (group.raft?.term ?? 0)

/** The term that headers carry: the first data shard's while there is only one, so that all nodes tell the same. */
export function headerTerm(state: NodeState): Term {
  if (inOracleMode(state)) return oracleTerm(state)
  const first = state.shards.shards[0]
  return first === undefined ? 0 : (state.groups.get(first.group)?.raft?.term ?? 0)
}
