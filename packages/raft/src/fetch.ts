import { assert } from '@kvorum/model'
import type { Entry, Index } from '@kvorum/model'
import { cacheSlice, sliceEnd } from './cache.js'
import { termAt } from './log.js'
import type { Raft } from './raft.js'
import type { Ready } from './types.js'

/**
 * Entries that left the memory and are wanted again: by a follower far behind, or for applying after a restart.
 * One read is out at a time, and its result is kept until nobody is in it.
 */

/** How many appends' worth of entries one read brings. */
const FETCH_APPENDS = 4

export function sideSlice(raft: Raft, from: Index, to: Index, bytesMax: number): readonly Entry[] {
  const first = raft.side[0]?.index
  if (first === undefined || from < first) return []
  const start = from - first
  return raft.side.slice(start, sliceEnd(raft.side, start, start + to - from + 1, bytesMax))
}

/**
 * The next entries to apply, at most `bytesMax` bytes (but one at least), up to what is committed and durable
 * here. Each is handed out once. Empty also when they have to be read first; then the next Ready asks for them.
 */
export function committedEntries(raft: Raft, bytesMax: number): readonly Entry[] {
  const from = raft.handed + 1
  const to = Math.min(raft.commit, raft.stable)
  if (raft.lost || from > to) return []
  let entries = cacheSlice(raft.cache, from, to, bytesMax)
  if (entries.length === 0) entries = sideSlice(raft, from, to, bytesMax)
  const { applyWants } = raft.fetch
  raft.fetch.applyWants = entries.length === 0
  // Once: an owner that asks again before the answer is there must not find work each time.
  if (raft.fetch.applyWants && !applyWants) raft.dirty = true
  raft.handed += entries.length
  return entries
}

/**
 * Looks ahead of what was handed out: entries from `from` on that are committed and durable here, at most `bytesMax`
 * bytes (but one at least). Empty also when they have to be read first; then the next Ready asks for them.
 */
export function peekCommitted(raft: Raft, from: Index, bytesMax: number): readonly Entry[] {
  assert(from > raft.handed, () => `entry ${from} was handed out already`)
  const to = Math.min(raft.commit, raft.stable)
  if (raft.lost || from > to) return []
  let entries = cacheSlice(raft.cache, from, to, bytesMax)
  if (entries.length === 0) entries = sideSlice(raft, from, to, bytesMax)
  const peekFrom = entries.length === 0 ? from : 0
  if (peekFrom !== 0 && raft.fetch.peekFrom !== from) raft.dirty = true
  raft.fetch.peekFrom = peekFrom
  return entries
}

/** Who wants what from the disk: 0 for applying and looking ahead, otherwise a follower's id. Ascending. */
function wants(raft: Raft): { readonly who: number; readonly from: Index; readonly to: Index }[] {
  const list = []
  const cached = Math.min(raft.cache.first - 1, raft.stable)
  const missing = (from: Index, to: Index): boolean =>
    from <= to && sideSlice(raft, from, from, 0).length === 0
  const applyTo = Math.min(cached, raft.commit)
  if (raft.fetch.applyWants && missing(raft.handed + 1, applyTo))
    list.push({ who: 0, from: raft.handed + 1, to: applyTo })
  const { peekFrom } = raft.fetch
  // What was handed out since then is the owner's, and looked for there.
  if (peekFrom > raft.handed && missing(peekFrom, applyTo)) list.push({ who: 0, from: peekFrom, to: applyTo })
  if (raft.role !== 'leader') return list
  for (const { id, kind, next, inflight, inflightBytes } of raft.progress.values()) {
    const full =
      inflight.length >= raft.options.inflightAppendsMax || inflightBytes >= raft.options.inflightBytesMax
    if (kind === 'replicate' && !full && missing(next, cached)) list.push({ who: id, from: next, to: cached })
  }
  return list
}

/** The next read for the owner to do, if one is wanted and none is out. Each in turn. */
export function takeFetch(raft: Raft): Ready['fetch'] {
  if (raft.fetch.out || raft.now < raft.fetch.heldUntil || raft.cache.first - 1 <= raft.base.index)
    return null
  const list = wants(raft)
  const want = list.find(({ who }) => who > raft.fetch.turn) ?? list[0]
  if (want === undefined) return dropSide(raft)
  raft.fetch.out = true
  raft.fetch.turn = want.who
  return { from: want.from, to: want.to, bytesMax: raft.options.appendBytesMax * FETCH_APPENDS }
}

/** Nobody reads from the side entries any more: they need not stay in memory. */
function dropSide(raft: Raft): null {
  const first = raft.side[0]?.index
  if (first === undefined) return null
  const held = (index: Index): boolean => index >= first && index < first + raft.side.length
  const used = [...raft.progress.values()].some(({ next }) => held(next))
  const { peekFrom } = raft.fetch
  const peeked = peekFrom > raft.handed && held(peekFrom)
  if (!used && !peeked && !held(raft.handed + 1)) raft.side = []
  return null
}

export function onFetched(raft: Raft, entries: readonly Entry[]): void {
  assert(raft.fetch.out, () => 'entries were fetched that nobody asked for')
  raft.fetch.out = false
  raft.dirty = true
  // The log may have been purged or truncated while the disk was read.
  const start = entries.findIndex(({ index }) => index > raft.base.index)
  const kept = start < 0 ? [] : entries.slice(start)
  const wrong = kept.findIndex(({ index, term }) => index > raft.stable || termAt(raft, index) !== term)
  raft.side = wrong < 0 ? kept : kept.slice(0, wrong)
  // A disk that has nothing to say would otherwise be asked again and again without a pause.
  if (entries.length === 0) raft.fetch.heldUntil = raft.now + raft.options.heartbeatMs
}
