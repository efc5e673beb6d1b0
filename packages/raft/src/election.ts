import type { ReplicaId } from '@kvorum/model'
import { isUpToDate, lastTerm } from './log.js'
import { voterIds } from './membership.js'
import { send, sendFree, sendVote } from './outbox.js'
import { voteResult } from './quorum.js'
import type { VoteResult } from './quorum.js'
import type { Raft } from './raft.js'
import {
  becomeCandidate,
  becomeFollower,
  becomeLeader,
  becomePreCandidate,
  isPromotable,
  resetElectionTimer,
} from './roles.js'
import type { Message, MessageBody } from './types.js'

/** Elections: pre-vote, vote, and the stickiness that makes check-quorum and removed replicas harmless. */

/**
 * A leader was heard within the least election timeout, so there is no reason for an election (thesis 4.2.3).
 * A leader itself counts: check-quorum ends its role when it has lost contact.
 */
export const isSticky = (raft: Raft): boolean =>
  raft.role === 'leader' || (raft.leader !== 0 && raft.now < raft.contactAt + raft.options.electionTimeoutMs)

/** The election timer fired, or the owner asked. */
export function startCampaign(raft: Raft): void {
  if (raft.role === 'leader') return
  if (!isPromotable(raft)) return resetElectionTimer(raft)
  becomePreCandidate(raft)
  if (tally(raft) === 'won') return campaign(raft, false)
  for (const to of otherVoters(raft))
    sendFree(raft, to, raft.term + 1, {
      kind: 'preVote',
      lastIndex: raft.lastIndex,
      lastTerm: lastTerm(raft),
    })
}

/** Paper 5.2: a new term, a vote for itself, and a request to everybody else once both are durable. */
export function campaign(raft: Raft, transfer: boolean): void {
  becomeCandidate(raft)
  const body: MessageBody = {
    kind: 'vote',
    lastIndex: raft.lastIndex,
    lastTerm: lastTerm(raft),
    transfer,
  }
  for (const to of otherVoters(raft)) sendVote(raft, to, body)
}

const otherVoters = (raft: Raft): ReplicaId[] => voterIds(raft.config).filter(id => id !== raft.id)

const tally = (raft: Raft): VoteResult => voteResult(raft.config, raft.votes)

/** A write ended: a candidate's vote for itself counts if it is durable now. */
export function countOwnVote(raft: Raft): void {
  const { term, vote } = raft.durable
  if (raft.role === 'candidate' && term === raft.term && vote === raft.id && !raft.votes.has(raft.id))
    countVote(raft, raft.id, true)
}

export function onPreVote(raft: Raft, message: Extract<Message, { kind: 'preVote' }>): void {
  // Nobody's timer or term changes here: it is only a question.
  const { from, term, lastIndex } = message
  if (term > raft.term && isUpToDate(raft, lastIndex, message.lastTerm))
    return sendFree(raft, from, term, { kind: 'preVoteReply', granted: true })
  // With our own term, so that one who lags behind learns it (etcd issue 8243).
  send(raft, from, { kind: 'preVoteReply', granted: false })
}

/**
 * Our own configuration is not asked: who believes to be a learner may be a voter in the candidate's newer one,
 * and its vote may be the one that is missing (thesis 4.1, and etcd's campaign_learner_must_vote).
 */
export function onVote(raft: Raft, message: Extract<Message, { kind: 'vote' }>): void {
  const { from, lastIndex } = message
  const free = raft.vote === from || (raft.vote === 0 && raft.leader === 0)
  if (!free || !isUpToDate(raft, lastIndex, message.lastTerm))
    return send(raft, from, { kind: 'voteReply', granted: false })
  if (!raft.mayVote) return
  raft.vote = from
  resetElectionTimer(raft)
  sendVote(raft, from, { kind: 'voteReply', granted: true })
}

export function countVote(raft: Raft, from: ReplicaId, granted: boolean): void {
  // The first answer counts: a repeated or late one changes nothing.
  if (!raft.votes.has(from)) raft.votes.set(from, granted)
  const result = tally(raft)
  // A snapshot that was installed meanwhile may have taken our vote away.
  if (result === 'lost' || !isPromotable(raft)) becomeFollower(raft, raft.term, 0 as ReplicaId)
  else if (result === 'won' && raft.role === 'preCandidate') campaign(raft, false)
  else if (result === 'won' && raft.votes.get(raft.id) === true) becomeLeader(raft)
}
