import type { GroupConfig, Replica, ReplicaId } from '@kvorum/model'
import type { ConfigChange } from './types.js'

/**
 * Changing who takes part, always through a joint configuration (thesis 4.3): from the entry on that enters it,
 * decisions need a majority of the old voters and one of the new; when it is committed, the leader appends the
 * entry that leaves it.
 *
 *     {voters 1 2 3}  --add 4, remove 1-->  {voters 2 3 4, outgoing 1 2 3}  --leave-->  {voters 2 3 4}
 */

export const isJoint = (config: GroupConfig): boolean => config.outgoing.length > 0

export const isVoter = (config: GroupConfig, id: ReplicaId): boolean =>
  config.voters.includes(id) || config.outgoing.includes(id)

export const isMember = (config: GroupConfig, id: ReplicaId): boolean =>
  isVoter(config, id) || config.learners.includes(id)

export const voterIds = (config: GroupConfig): ReplicaId[] =>
  ascending(new Set([...config.voters, ...config.outgoing]))

export const memberIds = (config: GroupConfig): ReplicaId[] =>
  ascending(new Set([...config.voters, ...config.outgoing, ...config.learners]))

const ascending = (ids: Iterable<ReplicaId>): ReplicaId[] => [...ids].sort((one, other) => one - other)

/** The joint configuration for `change`; null when the change does not fit the simple configuration `config`. */
export function enterJoint(config: GroupConfig, change: ConfigChange): GroupConfig | null {
  const added = [...change.addVoters, ...change.addLearners]
  const named = [...added.map(replica => replica.id), ...change.promote, ...change.demote, ...change.remove]
  if (isJoint(config) || named.length === 0 || new Set(named).size !== named.length) return null

  const voters = new Set(config.voters)
  const learners = new Set(config.learners)
  if (added.some(replica => replica.id <= 0 || isMember(config, replica.id))) return null
  if (!change.promote.every(id => learners.has(id)) || !change.demote.every(id => voters.has(id))) return null
  if (!change.remove.every(id => isMember(config, id))) return null

  for (const replica of change.addVoters) voters.add(replica.id)
  for (const replica of change.addLearners) learners.add(replica.id)
  for (const id of change.promote) {
    learners.delete(id)
    voters.add(id)
  }
  for (const id of change.demote) voters.delete(id)
  for (const id of change.remove) {
    voters.delete(id)
    learners.delete(id)
  }
  if (voters.size === 0) return null
  return {
    voters: ascending(voters),
    outgoing: [...config.voters],
    learners: ascending(learners),
    // They still vote in the outgoing half; one id is never voter and learner at once.
    learnersNext: ascending(change.demote),
    replicas: placed([...config.replicas, ...added], [...voters, ...config.voters, ...learners]),
  }
}

export function leaveJoint(config: GroupConfig): GroupConfig {
  const learners = ascending([...config.learners, ...config.learnersNext])
  return {
    voters: config.voters,
    outgoing: [],
    learners,
    learnersNext: [],
    replicas: placed(config.replicas, [...config.voters, ...learners]),
  }
}

/** Those of `replicas` that are still named, ascending. */
function placed(replicas: readonly Replica[], ids: readonly ReplicaId[]): Replica[] {
  const named = new Set(ids)
  return replicas.filter(replica => named.has(replica.id)).sort((one, other) => one.id - other.id)
}
