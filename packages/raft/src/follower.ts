import { assert } from '@kvorum/model'
import type { Entry, Index, ReplicaId } from '@kvorum/model'
import { commitTo } from './commit.js'
import { campaign } from './election.js'
import { agreesBelow, appendEntry, termAt, truncateLog } from './log.js'
import { send, sendIndex } from './outbox.js'
import type { Raft } from './raft.js'
import { becomeFollower, isPromotable } from './roles.js'
import type { Message } from './types.js'

/** What a replica does at the word of its term's leader. */

/** Paper 5.2: who hears from the leader of its own term follows it. */
export function followLeader(raft: Raft, leader: ReplicaId): void {
  if (raft.role !== 'follower' || raft.leader !== leader) {
    assert(raft.role !== 'leader', () => `replicas ${raft.id} and ${leader} both lead term ${raft.term}`)
    becomeFollower(raft, raft.term, leader)
  }
  raft.contactAt = raft.now
  raft.electionDue = raft.now + raft.electionTimeout
}

/** Paper figure 2, AppendEntries. */
export function onAppend(raft: Raft, message: Extract<Message, { kind: 'append' }>): void {
  followLeader(raft, message.from)
  const { prevIndex, prevTerm, entries } = message
  const last = prevIndex + entries.length
  // What is committed is in every leader's log: it needs no comparing, and may be purged here already.
  if (last < raft.commit) return accept(raft, message, raft.commit)
  const known = Math.max(0, raft.commit - prevIndex)
  const term = known === 0 ? prevTerm : (entries[known - 1] as Entry).term
  if (termAt(raft, prevIndex + known) !== term) return reject(raft, message)
  take(raft, entries, known)
  commitTo(raft, Math.min(message.commit, last))
  accept(raft, message, last)
}

/** Takes in `entries` from position `start` on. Only a real conflict truncates: an old append may be repeated. */
function take(raft: Raft, entries: readonly Entry[], start: number): void {
  let at = start
  while (at < entries.length && termAt(raft, (entries[at] as Entry).index) === (entries[at] as Entry).term)
    at++
  if (at === entries.length) return
  const { index } = entries[at] as Entry
  if (index <= raft.lastIndex) truncateLog(raft, index)
  for (; at < entries.length; at++) appendEntry(raft, entries[at] as Entry)
}

function accept(raft: Raft, { from, prevIndex }: { from: ReplicaId; prevIndex: Index }, match: Index): void {
  sendIndex(raft, from, { kind: 'appendReply', prevIndex, rejected: false, match }, match)
}

function reject(raft: Raft, message: Extract<Message, { kind: 'append' }>): void {
  const { from, prevIndex, prevTerm } = message
  assert(prevIndex > raft.commit, () => `the leader of term ${raft.term} lacks the committed ${raft.commit}`)
  // Our entries of later terms than the leader's at that place cannot be in its log below it either.
  const hintIndex = agreesBelow(raft, prevIndex - 1, prevTerm)
  send(raft, from, {
    kind: 'appendReply',
    prevIndex,
    rejected: true,
    hintIndex,
    hintTerm: termAt(raft, hintIndex) as number,
    needSnapshot: raft.lost,
  })
}

export function onHeartbeat(raft: Raft, message: Extract<Message, { kind: 'heartbeat' }>): void {
  followLeader(raft, message.from)
  // The leader promises less than we acknowledged. More than we have would mean that our log was damaged: then
  // the commit index is not to be believed with our entries under it (etcd issue 20269).
  if (message.commit <= raft.lastIndex) commitTo(raft, message.commit)
  send(raft, message.from, {
    kind: 'heartbeatReply',
    round: message.round,
    needSnapshot: raft.lost,
  })
}

/** Thesis 5: only an offer. The owner pulls the bytes, installs them, and says so with `installed`. */
export function onSnapshot(raft: Raft, message: Extract<Message, { kind: 'snapshot' }>): void {
  followLeader(raft, message.from)
  const { from, index, snapshotTerm, config } = message
  const prevIndex = index
  if (!raft.lost && index <= raft.commit) return accept(raft, { from, prevIndex }, raft.commit)
  if (!raft.lost && termAt(raft, index) === snapshotTerm) {
    // Our log has all of it; it was only not known to be committed.
    commitTo(raft, index)
    return accept(raft, { from, prevIndex }, index)
  }
  // Without state, one that begins before our log does not help: what lies between is nowhere.
  if (index < raft.base.index) return
  raft.install = { from, base: { index, term: snapshotTerm }, config }
}

/** Thesis 3.10: campaign at once and without asking first; our leader wants it. */
export function onTimeoutNow(raft: Raft, message: Extract<Message, { kind: 'timeoutNow' }>): void {
  if (message.from === raft.leader && isPromotable(raft)) campaign(raft, true)
}
