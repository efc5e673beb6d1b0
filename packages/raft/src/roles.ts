import { assert } from '@kvorum/model'
import type { ReplicaId, Term } from '@kvorum/model'
import { configAt } from './history.js'
import { appendOwn } from './log.js'
import { isVoter } from './membership.js'
import { dropClaims } from './outbox.js'
import { nextBelow } from './random.js'
import type { Raft } from './raft.js'
import { failReads } from './reads.js'
import { trackMembers } from './replication.js'

/** The four roles and what entering one forgets and begins (paper figure 4, thesis 9.6 for preCandidate). */

/**
 * May it start a campaign? Learners, removed and not yet admitted replicas never do. A change that takes our vote
 * away must be known to be committed: until then nobody else may hold the entry that does it, and without us as
 * leader, not counting ourselves, those who remain could never win (thesis 4.2.2).
 */
export const isPromotable = (raft: Raft): boolean =>
  raft.mayVote && (isVoter(raft.config, raft.id) || isVoter(configAt(raft, raft.commit), raft.id))

/** A replica without state can lead, but cannot serve: it leaves the others this many timeouts to come first. */
const LOST_TIMEOUTS = 3

/** Draws a new timeout, so that two replicas that tied once do not tie again (paper 5.2). */
export function resetElectionTimer(raft: Raft): void {
  const base = raft.options.electionTimeoutMs
  const patience = raft.lost ? LOST_TIMEOUTS * base : 0
  raft.electionTimeout = base + nextBelow(raft.random, base) + patience
  raft.electionDue = raft.now + raft.electionTimeout
}

function enter(raft: Raft, role: Raft['role'], leader: ReplicaId): void {
  failReads(raft)
  raft.role = role
  raft.leader = leader
  raft.votes.clear()
  raft.transfer = null
  raft.progress = new Map()
  raft.uncommittedBytes = 0
  resetElectionTimer(raft)
}

function enterTerm(raft: Raft, term: Term, vote: ReplicaId): void {
  assert(term >= raft.term, () => `term ${raft.term} cannot fall to ${term}`)
  if (term === raft.term) return
  dropClaims(raft)
  raft.term = term
  raft.vote = vote
}

/** `leader` 0: not known yet. */
export function becomeFollower(raft: Raft, term: Term, leader: ReplicaId): void {
  enterTerm(raft, term, 0 as ReplicaId)
  enter(raft, 'follower', leader)
  if (leader !== 0) raft.contactAt = raft.now
}

/** Asks whether it could win before it disturbs anybody with a new term (thesis 9.6). */
export function becomePreCandidate(raft: Raft): void {
  enter(raft, 'preCandidate', 0 as ReplicaId)
  raft.votes.set(raft.id, true)
}

/** Its own vote counts only once it is durable: see `persisted`. */
export function becomeCandidate(raft: Raft): void {
  assert(isPromotable(raft), () => `replica ${raft.id} may not campaign`)
  enterTerm(raft, raft.term + 1, raft.id)
  enter(raft, 'candidate', 0 as ReplicaId)
}

export function becomeLeader(raft: Raft): void {
  assert(raft.durable.term === raft.term, () => `leader of term ${raft.term} before it is durable`)
  enter(raft, 'leader', raft.id)
  raft.heartbeatDue = raft.now + raft.options.heartbeatMs
  trackMembers(raft)
  raft.termStart = raft.lastIndex + 1
  // Committing it commits everything before it (paper 5.4.2, 8).
  appendOwn(raft, 'noop', raft.lastTime, NO_DATA)
}

const NO_DATA = new Uint8Array(0)
