import type { GroupConfig, ReplicaId } from '@kvorum/model'

/**
 * Majorities, of one half or of both halves of a joint configuration (thesis 4.3: a decision needs separate
 * majorities of the old and the new). An empty half decides nothing and hinders nothing; a configuration
 * without any voter decides nothing at all.
 */

export const majority = (voters: number): number => (voters >> 1) + 1

/** The greatest value that a majority of `voters` has reached; Infinity without voters. */
function reachedBy(voters: readonly ReplicaId[], value: (id: ReplicaId) => number): number {
  const size = voters.length
  if (size === 0) return Infinity
  const sorted: number[] = []
  for (let at = 0; at < size; at++) {
    const mine = value(voters[at] as ReplicaId)
    let slot = at
    while (slot > 0 && (sorted[slot - 1] as number) < mine) {
      sorted[slot] = sorted[slot - 1] as number
      slot--
    }
    sorted[slot] = mine
  }
  return sorted[majority(size) - 1] as number
}

/**
 * The greatest value that a quorum has reached, where `match(id)` is how far a voter got. It serves log
 * positions (paper 5.3, 5.4) and rounds of ReadIndex (thesis 6.4) alike.
 */
export function committedIndex(config: GroupConfig, match: (id: ReplicaId) => number): number {
  const reached = Math.min(reachedBy(config.voters, match), reachedBy(config.outgoing, match))
  return reached === Infinity ? 0 : reached
}

/** Whether the members of `set` are a quorum. */
export const hasQuorum = (config: GroupConfig, set: Pick<ReadonlySet<ReplicaId>, 'has'>): boolean =>
  committedIndex(config, id => (set.has(id) ? 1 : 0)) === 1

export type VoteResult = 'won' | 'lost' | 'pending'

/** `votes` holds the answers so far. Lost means that the missing ones can no longer make a quorum. */
export function voteResult(config: GroupConfig, votes: ReadonlyMap<ReplicaId, boolean>): VoteResult {
  if (committedIndex(config, id => (votes.get(id) === true ? 1 : 0)) === 1) return 'won'
  return committedIndex(config, id => (votes.get(id) === false ? 0 : 1)) === 1 ? 'pending' : 'lost'
}
