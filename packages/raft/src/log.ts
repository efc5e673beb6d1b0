import { assert, entryBytes } from '@kvorum/model'
import type { Entry, EntryKind, Index, Millis, Term } from '@kvorum/model'
import { cacheAt, cachePush, cachePurge, cacheShrink, cacheTruncate } from './cache.js'
import { decodeConfig } from './config.js'
import { pushConfig, trimConfigs, truncateConfigs } from './history.js'
import type { Raft } from './raft.js'
import { extendRuns, lastNotAbove, purgeRuns, runTerm, truncateRuns } from './termRuns.js'

/** The log: the cache of its newest entries, the terms of all, and the positions in raft.ts. */

/** Term of the entry at `index`, of the base as well; null where the log has nothing (any more). */
export function termAt(raft: Raft, index: Index): Term | null {
  if (index > raft.lastIndex || index < raft.base.index) return null
  return index === raft.base.index ? raft.base.term : runTerm(raft.runs, index)
}

/** Term of the last entry, or of the base when there is none. */
export const lastTerm = (raft: Raft): Term => raft.runs[raft.runs.length - 1]?.term ?? raft.base.term

/** Paper 5.4.1: the later last term wins; with equal terms the longer log. */
export function isUpToDate(raft: Raft, lastIndexOther: Index, lastTermOther: Term): boolean {
  const mine = lastTerm(raft)
  return lastTermOther > mine || (lastTermOther === mine && lastIndexOther >= raft.lastIndex)
}

/**
 * Where a log that has `term` at `index` may first agree with ours, from `index` on downwards. May lie before our
 * base; then only a snapshot helps.
 */
export const agreesBelow = (raft: Raft, index: Index, term: Term): Index =>
  index < raft.base.index
    ? index
    : lastNotAbove(raft.runs, Math.min(index, raft.lastIndex), term, raft.base.index)

/** Adds an entry whose predecessor is our last one. A configuration is in force from here on (thesis 4.1). */
export function appendEntry(raft: Raft, entry: Entry): void {
  assert(entry.index === raft.lastIndex + 1, () => `entry ${entry.index} does not follow ${raft.lastIndex}`)
  assert(entry.term >= lastTerm(raft), () => `entry ${entry.index} goes back to term ${entry.term}`)
  raft.lastIndex = entry.index
  raft.lastTime = entry.time
  extendRuns(raft.runs, entry.index, entry.term)
  cachePush(raft.cache, entry)
  if (entry.kind === 'config') pushConfig(raft, entry.index, decodeConfig(entry.data))
}

/** A leader's own entry. `time` is raised so that it does not fall along the log. */
export function appendOwn(raft: Raft, kind: EntryKind, time: Millis, data: Uint8Array): void {
  const entry: Entry = {
    index: raft.lastIndex + 1,
    term: raft.term,
    kind,
    time: Math.max(time, raft.lastTime),
    data,
  }
  raft.uncommittedBytes += entryBytes(entry)
  raft.dirty = true
  appendEntry(raft, entry)
}

/** Forgets `index` and everything after it: it conflicts with the leader's log (paper 5.3). */
export function truncateLog(raft: Raft, index: Index): void {
  assert(index > raft.commit, () => `entry ${index} is committed (${raft.commit}) and cannot be replaced`)
  const last = index - 1
  raft.lastIndex = last
  raft.submitted = Math.min(raft.submitted, last)
  raft.stable = Math.min(raft.stable, last)
  // The write under way may hold other entries at the same positions; its end says nothing about the new ones.
  if (raft.writing) raft.writing.last = Math.min(raft.writing.last, last)
  truncateRuns(raft.runs, index)
  cacheTruncate(raft.cache, index)
  // The side entries are a second cache, and would serve what was replaced.
  raft.side = raft.side.filter(entry => entry.index < index)
  truncateConfigs(raft, index)
}

/** Forgets everything up to and including `index`, which is on the log. */
export function dropPrefix(raft: Raft, index: Index): void {
  const term = termAt(raft, index)
  assert(term !== null, () => `log ${raft.base.index}..${raft.lastIndex} has no ${index} to begin after`)
  purgeRuns(raft.runs, index, raft.lastIndex)
  cachePurge(raft.cache, index)
  raft.base = { index, term }
  trimConfigs(raft, index)
}

/**
 * What is durable and applied leaves the memory first. When applying is so slow that this is not enough, what is
 * durable and committed leaves, too, and is fetched again for applying: the disk bounds the log, not the memory.
 */
export function shrinkCache(raft: Raft): void {
  const { cacheBytesMax } = raft.options
  cacheShrink(raft.cache, cacheBytesMax, Math.min(raft.stable, raft.applied))
  cacheShrink(raft.cache, 2 * cacheBytesMax, Math.min(raft.stable, raft.commit))
}

/** Bytes of the cached entries in (from, to]. */
export function bytesBetween(raft: Raft, from: Index, to: Index): number {
  let bytes = 0
  for (let index = from + 1; index <= to; index++) {
    const entry = cacheAt(raft.cache, index)
    assert(entry !== undefined, () => `uncommitted entry ${index} left the cache`)
    bytes += entryBytes(entry)
  }
  return bytes
}
