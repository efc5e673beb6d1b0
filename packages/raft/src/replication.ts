import { entryBytes } from '@kvorum/model'
import type { Entry, Index } from '@kvorum/model'
import { cacheSlice } from './cache.js'
import { configAt } from './history.js'
import { termAt } from './log.js'
import { memberIds } from './membership.js'
import { send } from './outbox.js'
import { addInflight, createProgress, toSnapshot } from './progress.js'
import type { Progress } from './progress.js'
import type { Raft } from './raft.js'
import { sideSlice } from './fetch.js'

/** The leader's sending half. What comes back is in answers.ts. */

/** Makes `progress` name exactly the others in the configuration. Done whenever that changes. */
export function trackMembers(raft: Raft): void {
  const next = new Map<Progress['id'], Progress>()
  const others = memberIds(raft.config).filter(id => id !== raft.id)
  for (const id of others)
    next.set(id, raft.progress.get(id) ?? createProgress(id, raft.lastIndex + 1, raft.now))
  raft.progress = next
  raft.dirty = true
}

/** Paper 5.2: heartbeats keep followers from campaigning; they also carry the commit index and the read round. */
export function sendHeartbeats(raft: Raft): void {
  for (const progress of raft.progress.values()) {
    // Beyond `match` the follower may hold something else than we do (paper figure 2, AppendEntries step 5).
    const commit = Math.min(raft.commit, progress.match)
    send(raft, progress.id, { kind: 'heartbeat', commit, round: raft.reads.round })
  }
}

/** Sends every follower what it lacks and its window allows. Called once per Ready, so that it batches. */
export function replicate(raft: Raft): void {
  for (const progress of raft.progress.values()) feed(raft, progress)
}

function feed(raft: Raft, progress: Progress): void {
  if (progress.kind !== 'snapshot' && progress.next - 1 < raft.base.index) toSnapshot(progress)
  if (progress.wantsSnapshot) offerSnapshot(raft, progress)
  if (progress.kind === 'probe') probe(raft, progress)
  else if (progress.kind === 'replicate') pipeline(raft, progress)
}

function probe(raft: Raft, progress: Progress): void {
  if (progress.paused) return
  progress.paused = true
  // What is only on disk is not worth reading before we know that it fits.
  append(raft, progress, entriesFrom(raft, progress.next))
}

function pipeline(raft: Raft, progress: Progress): void {
  const { inflightAppendsMax, inflightBytesMax } = raft.options
  let sent = false
  while (
    progress.next <= raft.lastIndex &&
    progress.inflight.length < inflightAppendsMax &&
    progress.inflightBytes < inflightBytesMax
  ) {
    const entries = entriesFrom(raft, progress.next)
    if (entries.length === 0) break
    append(raft, progress, entries)
    let bytes = 0
    for (const entry of entries) bytes += entryBytes(entry)
    progress.next += entries.length
    addInflight(progress, progress.next - 1, bytes)
    sent = true
  }
  // A follower that holds everything still waits for the commit index: its readers and watchers do.
  const newsOfCommit = Math.min(raft.commit, progress.next - 1) > progress.sentCommit
  if (!sent && (newsOfCommit || progress.nudge)) append(raft, progress, [])
  progress.nudge = false
}

function append(raft: Raft, progress: Progress, entries: readonly Entry[]): void {
  const prevIndex = progress.next - 1
  const prevTerm = termAt(raft, prevIndex) as number
  const { commit } = raft
  send(raft, progress.id, { kind: 'append', prevIndex, prevTerm, entries, commit })
  progress.sentCommit = Math.max(progress.sentCommit, Math.min(commit, prevIndex + entries.length))
}

/** Entries for one append; empty when there are none, or when they have to be fetched first. */
export function entriesFrom(raft: Raft, from: Index): readonly Entry[] {
  if (from > raft.lastIndex) return []
  const cached = cacheSlice(raft.cache, from, raft.lastIndex, raft.options.appendBytesMax)
  return cached.length > 0 ? cached : sideSlice(raft, from, raft.lastIndex, raft.options.appendBytesMax)
}

/** Offers what our state machine has applied. The owner streams it; its exact index is settled there. */
function offerSnapshot(raft: Raft, progress: Progress): void {
  if (raft.now < progress.offerDue) return
  progress.offerDue = raft.now + raft.options.electionTimeoutMs
  const snapshotTerm = termAt(raft, raft.applied)
  if (raft.lost || raft.applied === 0 || snapshotTerm === null) return
  progress.offered = raft.applied
  const config = configAt(raft, raft.applied)
  send(raft, progress.id, { kind: 'snapshot', index: raft.applied, snapshotTerm, config })
  if (progress.streaming) return
  progress.streaming = true
  raft.snapshots.push(progress.id)
}
