import type { Index, ReplicaId, Term } from '@kvorum/model'
import type { Raft } from './raft.js'
import type { Message, MessageBody } from './types.js'

/**
 * The one place that decides what may leave before the disk is done. A message claims something; it leaves at
 * once when the claim is durable already, otherwise together with the write that makes it so:
 *
 *     nothing       preVote and its answer: a question about a term that nobody has entered (thesis 9.6)
 *     the term      every other message (paper figure 2: currentTerm is persisted before answering)
 *     the vote      vote (for itself) and voteReply granted
 *     an index      appendReply that accepts: the log up to there is on disk
 *
 * A leader's term is always durable, so its appends leave while its own disk is still writing them (10.2.1).
 */

/** A question or answer that stands on nothing durable; carries its own, possibly hypothetical, term. */
export function sendFree(raft: Raft, to: ReplicaId, term: Term, body: MessageBody): void {
  if (raft.mayVote) raft.sendNow.push(message(raft, to, term, body))
}

/** Claims only our term. */
export function send(raft: Raft, to: ReplicaId, body: MessageBody): void {
  put(raft, to, body, raft.durable.term === raft.term)
}

/** Claims that our vote of this term went to `raft.vote`. */
export function sendVote(raft: Raft, to: ReplicaId, body: MessageBody): void {
  put(raft, to, body, raft.durable.term === raft.term && raft.durable.vote === raft.vote)
}

/** Claims that our log is durable up to `index`. */
export function sendIndex(raft: Raft, to: ReplicaId, body: MessageBody, index: Index): void {
  const resetIsDurable = raft.reset === null && raft.writing?.reset !== true
  put(raft, to, body, raft.durable.term === raft.term && index <= raft.stable && resetIsDurable)
}

/**
 * A new term makes every waiting claim pointless. It may even be wrong by the time it would leave: the log it
 * speaks of can be truncated by the new leader before it was ever written.
 */
export function dropClaims(raft: Raft): void {
  raft.sendLater = []
}

function put(raft: Raft, to: ReplicaId, body: MessageBody, durable: boolean): void {
  // A replica that may not take part says nothing at all: even a bare answer counts for check-quorum and reads.
  if (!raft.mayVote) return
  const queue = durable ? raft.sendNow : raft.sendLater
  queue.push(message(raft, to, raft.term, body))
}

const message = (raft: Raft, to: ReplicaId, term: Term, body: MessageBody): Message => ({
  from: raft.id,
  to,
  term,
  ...body,
})
