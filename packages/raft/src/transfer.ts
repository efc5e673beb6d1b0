import type { Millis, ReplicaId } from '@kvorum/model'
import { send } from './outbox.js'
import type { Progress } from './progress.js'
import type { Raft } from './raft.js'
import type { Refusal } from './types.js'

/**
 * Leadership transfer (thesis 3.10): stop taking proposals, bring the target up to date, tell it to campaign at
 * once. Given up after an election timeout, so that a lost message costs no more than a crash would.
 */

/** Up to so many entries behind, a follower catches up within a round trip or two. */
export const LAG_ENTRIES_MAX = 1024

export const isCaughtUp = (raft: Raft, progress: Progress): boolean =>
  progress.kind === 'replicate' &&
  !progress.wantsSnapshot &&
  progress.match >= raft.termStart &&
  raft.lastIndex - progress.match <= LAG_ENTRIES_MAX

/**
 * A learner may become a voter. One that has the log and no state could vote and lead, but if most voters were such,
 * nobody would have what the log began with.
 */
export const isReadyToVote = (raft: Raft, progress: Progress): boolean =>
  isCaughtUp(raft, progress) && progress.hasState

/** Hands the leadership to `to`. Null means begun, not done: a change of leader shows that. */
export function transferLeadership(raft: Raft, now: Millis, to: ReplicaId): Refusal | null {
  raft.now = now
  if (raft.role !== 'leader') return raft.leader === 0 ? 'noLeader' : 'notLeader'
  if (raft.transfer) return raft.transfer.to === to ? null : 'transferring'
  const progress = raft.progress.get(to)
  if (!progress || !raft.config.voters.includes(to)) return 'badTarget'
  if (raft.commit < raft.termStart || !isCaughtUp(raft, progress)) return 'notReady'
  raft.transfer = { to, due: now + raft.options.electionTimeoutMs }
  continueTransfer(raft, to)
  return null
}

/** `from` answered. When it is the target and holds everything, it is told to go; told again if that was lost. */
export function continueTransfer(raft: Raft, from: ReplicaId): void {
  if (raft.role !== 'leader') return
  const progress = raft.progress.get(from)
  if (progress?.match !== raft.lastIndex) return
  if (raft.transfer?.to === from) send(raft, from, { kind: 'timeoutNow' })
}

/**
 * A leader whose state machine is gone leads only until somebody else can: a voter that holds everything and has
 * just said that it has its state.
 */
export function yieldIfLost(raft: Raft, { id, match }: Progress): void {
  if (!raft.lost || raft.transfer || match !== raft.lastIndex || !raft.config.voters.includes(id)) return
  raft.transfer = { to: id, due: raft.now + raft.options.electionTimeoutMs }
}
