import { entryBytes } from '@kvorum/model'
import type { Entry, Index } from '@kvorum/model'

/**
 * The newest entries of the log in memory: contiguous, from `first` up to the log's last index. Leaving at the
 * front moves `head`; the array is compacted when more than half of it is gone.
 */
export interface EntryCache {
  /** Index of the oldest entry held; the log's last index + 1 when nothing is held. */
  first: Index
  bytes: number
  head: number
  entries: Entry[]
}

/** Below this many dead slots, compacting costs more than it frees. */
const COMPACT_SLOTS_MIN = 256

export function createCache(entries: readonly Entry[], lastIndex: Index): EntryCache {
  let bytes = 0
  for (const entry of entries) bytes += entryBytes(entry)
  return { first: lastIndex + 1 - entries.length, bytes, head: 0, entries: [...entries] }
}

export const cacheCount = (cache: EntryCache): number => cache.entries.length - cache.head

export function cachePush(cache: EntryCache, entry: Entry): void {
  cache.entries.push(entry)
  cache.bytes += entryBytes(entry)
}

/** The entry at `index`; undefined when it is not held. */
export const cacheAt = (cache: EntryCache, index: Index): Entry | undefined =>
  index < cache.first ? undefined : cache.entries[cache.head + index - cache.first]

/** Drops `index` and everything after it. */
export function cacheTruncate(cache: EntryCache, index: Index): void {
  if (index <= cache.first) return cacheReset(cache, index)
  const keep = cache.head + index - cache.first
  for (let at = keep; at < cache.entries.length; at++) cache.bytes -= entryBytes(cache.entries[at] as Entry)
  cache.entries.length = Math.min(cache.entries.length, keep)
}

export function cacheReset(cache: EntryCache, first: Index): void {
  cache.first = first
  cache.bytes = 0
  cache.head = 0
  cache.entries = []
}

/** Drops everything up to and including `index`. The caller knows that the log goes on at least to there. */
export function cachePurge(cache: EntryCache, index: Index): void {
  while (cache.first <= index && cacheCount(cache) > 0) cacheShift(cache)
  if (cache.first <= index) cacheReset(cache, index + 1)
}

/** Drops the oldest entries up to `limit` while more than `bytesMax` are held. */
export function cacheShrink(cache: EntryCache, bytesMax: number, limit: Index): void {
  while (cache.bytes > bytesMax && cache.first <= limit && cacheCount(cache) > 0) cacheShift(cache)
}

function cacheShift(cache: EntryCache): void {
  const entry = cache.entries[cache.head] as Entry
  cache.bytes -= entryBytes(entry)
  // A dead slot would keep the entry's bytes alive until the next compaction.
  cache.entries[cache.head] = GONE
  cache.head++
  cache.first++
  if (cache.head >= COMPACT_SLOTS_MIN && cache.head * 2 >= cache.entries.length) {
    cache.entries = cache.entries.slice(cache.head)
    cache.head = 0
  }
}

const GONE: Entry = { index: 0, term: 0, kind: 'noop', time: 0, data: new Uint8Array(0) }

/** Entries from `from` to `to`, at most `bytesMax` bytes of them but always one; empty when `from` is not held. */
export function cacheSlice(cache: EntryCache, from: Index, to: Index, bytesMax: number): readonly Entry[] {
  if (from < cache.first) return []
  const start = cache.head + from - cache.first
  return cache.entries.slice(start, sliceEnd(cache.entries, start, start + to - from + 1, bytesMax))
}

/** End of the longest stretch from `start`, before `end`, that stays within `bytesMax`; never empty. */
export function sliceEnd(entries: readonly Entry[], start: number, end: number, bytesMax: number): number {
  let bytes = 0
  let at = start
  const stop = Math.min(end, entries.length)
  while (at < stop) {
    bytes += entryBytes(entries[at] as Entry)
    if (bytes > bytesMax && at > start) break
    at++
  }
  return at
}
