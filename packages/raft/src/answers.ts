import { advanceCommit } from './commit.js'
import { agreesBelow } from './log.js'
import { freeInflight, toProbe, toReplicate } from './progress.js'
import type { Progress } from './progress.js'
import type { Raft } from './raft.js'
import { confirmReads } from './reads.js'
import { continueTransfer, yieldIfLost } from './transfer.js'
import type { Message } from './types.js'

/** What a leader makes of its followers' answers. All are of its own term; any may be late or repeated. */

/** The progress of who answered, noting that it lives; undefined for one that is no member (any more). */
function heard(raft: Raft, message: Message): Progress | undefined {
  const progress = raft.progress.get(message.from)
  if (progress) progress.heardAt = raft.now
  return progress
}

export function onAppendReply(raft: Raft, message: Extract<Message, { kind: 'appendReply' }>): void {
  const progress = heard(raft, message)
  if (!progress) return
  progress.quiet = false
  if (message.rejected) return rejected(raft, progress, message)
  // Nobody can hold more than we do; an answer that says so is not about our log.
  if (message.match > raft.lastIndex) return
  accepted(raft, progress, message.match)
}

function accepted(raft: Raft, progress: Progress, match: number): void {
  const wasBehind = progress.match < match
  progress.match = Math.max(progress.match, match)
  progress.next = Math.max(progress.next, progress.match + 1)
  if (progress.kind === 'replicate') freeInflight(progress)
  else if (progress.kind === 'probe' ? match >= progress.next - 1 : progress.match >= raft.base.index) {
    if (progress.kind === 'snapshot') progress.wantsSnapshot = false
    toReplicate(progress)
  } else progress.paused = false
  raft.dirty = true
  if (!wasBehind) return
  advanceCommit(raft)
  continueTransfer(raft, progress.id)
}

type Rejection = Extract<Message, { kind: 'appendReply'; rejected: true }>

function rejected(raft: Raft, progress: Progress, reply: Rejection): void {
  if (reply.needSnapshot) progress.wantsSnapshot = true
  // Late: what was refused has been acknowledged since, or was not the probe that is out.
  if (progress.kind === 'snapshot' || reply.prevIndex <= progress.match) return
  if (progress.kind === 'probe' && reply.prevIndex !== progress.next - 1) return
  const agrees = agreesBelow(raft, Math.min(reply.hintIndex, reply.prevIndex - 1), reply.hintTerm)
  toProbe(progress, agrees + 1)
  raft.dirty = true
}

export function onHeartbeatReply(raft: Raft, message: Extract<Message, { kind: 'heartbeatReply' }>): void {
  const progress = heard(raft, message)
  if (!progress) return
  // An answer to a round counts for all before it; one from the future is not ours.
  if (message.round <= raft.reads.round) progress.round = Math.max(progress.round, message.round)
  progress.hasState = !message.needSnapshot
  if (message.needSnapshot) progress.wantsSnapshot = true
  else if (progress.kind !== 'snapshot') progress.wantsSnapshot = false
  if (progress.kind === 'probe' && progress.paused) {
    progress.paused = false
    raft.dirty = true
  } else if (progress.kind === 'replicate' && progress.quiet && progress.match < progress.next - 1) {
    // It is alive, yet nothing of what is out was answered for a while: see whether the last append arrived.
    progress.quiet = false
    progress.nudge = true
    raft.dirty = true
  }
  if (progress.wantsSnapshot) raft.dirty = true
  confirmReads(raft)
  if (!message.needSnapshot) yieldIfLost(raft, progress)
  continueTransfer(raft, progress.id)
}

/** How long after a sent snapshot another one is offered: installing takes its time. In election timeouts. */
const INSTALL_TIMEOUTS = 10

export function onSnapshotSent(raft: Raft, to: Progress['id'], ok: boolean): void {
  const progress = raft.progress.get(to)
  if (!progress || !progress.streaming) return
  progress.streaming = false
  progress.offerDue = raft.now + raft.options.electionTimeoutMs * (ok ? INSTALL_TIMEOUTS : 1)
  if (!ok) return
  progress.wantsSnapshot = false
  if (progress.kind !== 'snapshot') return
  toProbe(progress, progress.offered + 1)
  // Its next heartbeat answer shows whether it has installed.
  progress.paused = true
}

/** Appends to it were lost: what is out is not coming back. */
export function onUnreachable(raft: Raft, to: Progress['id']): void {
  const progress = raft.progress.get(to)
  if (progress?.kind !== 'replicate') return
  toProbe(progress, progress.match + 1)
  progress.paused = true
}
