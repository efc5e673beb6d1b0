import type { Index, Millis, ReplicaId } from '@kvorum/model'

/**
 * What a leader knows about one follower's log (thesis 3.5, 10.2.1).
 *
 * probe      where the follower's log agrees with ours is unknown: one append at a time, and only as often as
 *            it answers or a heartbeat's answer shows it alive
 * replicate  it agrees up to `next` - 1 as far as we know: appends are pipelined within the inflight limits
 * snapshot   what it needs next is no longer in our log: no appends until it says that it holds enough
 */
export interface Progress {
  readonly id: ReplicaId
  kind: 'probe' | 'replicate' | 'snapshot'
  /** The follower durably holds our log up to here. Never falls within our term. */
  match: Index
  /** The next entry to send; always > match. */
  next: Index
  /** probe: an append is out and unanswered. */
  paused: boolean
  /** replicate: sent and unacknowledged appends, oldest first. */
  inflight: { readonly last: Index; readonly bytes: number }[]
  inflightBytes: number
  /** The highest commit index that an append has told it. */
  sentCommit: Index
  /** The highest ReadIndex round it has answered. */
  round: number
  /** When its last answer in our term came in. */
  heardAt: Millis
  /** A heartbeat interval began and no append has been answered since: the last one may be lost. */
  quiet: boolean
  /** Send an empty append, to learn whether it holds what we think. */
  nudge: boolean
  /** It needs a snapshot: it fell behind our log, or it said that its state is lost. */
  wantsSnapshot: boolean
  /** It has said since that it has a state machine; a log alone may be all that it has. */
  hasState: boolean
  /** The owner was told to stream and has not said `snapshotSent`. */
  streaming: boolean
  /** Index of the last snapshot offered. */
  offered: Index
  /** Not before this time is a snapshot offered again. */
  offerDue: Millis
}

export const createProgress = (id: ReplicaId, next: Index, now: Millis): Progress => ({
  id,
  kind: 'probe',
  match: 0,
  next,
  paused: false,
  inflight: [],
  inflightBytes: 0,
  sentCommit: 0,
  round: 0,
  heardAt: now,
  quiet: false,
  nudge: false,
  wantsSnapshot: false,
  hasState: false,
  streaming: false,
  offered: 0,
  offerDue: now,
})

function clearInflight(progress: Progress): void {
  progress.inflight = []
  progress.inflightBytes = 0
}

export function toProbe(progress: Progress, next: Index): void {
  progress.kind = 'probe'
  progress.next = Math.max(next, progress.match + 1)
  progress.paused = false
  progress.nudge = false
  clearInflight(progress)
}

export function toReplicate(progress: Progress): void {
  progress.kind = 'replicate'
  progress.next = progress.match + 1
  progress.paused = false
  clearInflight(progress)
}

export function toSnapshot(progress: Progress): void {
  progress.kind = 'snapshot'
  progress.paused = false
  progress.nudge = false
  progress.wantsSnapshot = true
  clearInflight(progress)
}

export function addInflight(progress: Progress, last: Index, bytes: number): void {
  progress.inflight.push({ last, bytes })
  progress.inflightBytes += bytes
}

export function freeInflight(progress: Progress): void {
  let done = 0
  for (const sent of progress.inflight) {
    if (sent.last > progress.match) break
    progress.inflightBytes -= sent.bytes
    done++
  }
  if (done > 0) progress.inflight.splice(0, done)
}
