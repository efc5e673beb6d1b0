import type { Millis } from '@kvorum/model'
import { followLeader } from './follower.js'
import type { Raft } from './raft.js'
import type { Message } from './types.js'

/**
 * The short way for what idle groups say all the time: a node with a thousand of them hears some ten thousand
 * heartbeats and answers a second. Each function does exactly what `step` would do with the message, or does nothing
 * and says so.
 */

/** A follower hears its leader and there is nothing new in it: the answer, which may leave at once. Null: step it. */
export function answerHeartbeat(raft: Raft, now: Millis, message: Message): Message | null {
  if (message.kind !== 'heartbeat' || raft.role !== 'follower' || message.to !== raft.id) return null
  if (message.term !== raft.term || message.from !== raft.leader || message.commit > raft.commit) return null
  if (!raft.mayVote || raft.durable.term !== raft.term) return null
  raft.now = Math.max(raft.now, now)
  followLeader(raft, message.from)
  const { round } = message
  return {
    from: raft.id,
    to: message.from,
    term: raft.term,
    kind: 'heartbeatReply',
    round,
    needSnapshot: raft.lost,
  }
}

/** A leader hears from a follower that it lives, lacks nothing, and is waited for by nobody. False: step it. */
export function noteHeartbeatReply(raft: Raft, now: Millis, message: Message): boolean {
  if (message.kind !== 'heartbeatReply' || raft.role !== 'leader' || message.to !== raft.id) return false
  if (message.term !== raft.term || message.needSnapshot) return false
  if (raft.reads.rounds.length > 0 || raft.transfer !== null || raft.lost) return false
  const progress = raft.progress.get(message.from)
  if (progress?.kind !== 'replicate' || progress.match !== progress.next - 1 || progress.wantsSnapshot)
    return false
  raft.now = Math.max(raft.now, now)
  progress.heardAt = raft.now
  progress.hasState = true
  if (message.round <= raft.reads.round) progress.round = Math.max(progress.round, message.round)
  return true
}
