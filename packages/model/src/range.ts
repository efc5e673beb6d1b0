import { compareBytes, EMPTY, equalBytes, prefixEnd, successor } from './bytes.js'

/** Keys from `start` (inclusive) to `end` (exclusive); `end` null is the end of the keyspace. */
export interface KeyRange {
  readonly start: Uint8Array
  readonly end: Uint8Array | null
}

export const ALL_KEYS: KeyRange = { start: EMPTY, end: null }

export const pointRange = (key: Uint8Array): KeyRange => ({ start: key, end: successor(key) })
export const prefixRange = (prefix: Uint8Array): KeyRange => ({ start: prefix, end: prefixEnd(prefix) })

/**
 * A range as etcd's requests write it: no end is the single key; an end of one zero byte is "from the key
 * on". Key and end both one zero byte mean everything, but the empty key cannot be stored, so that case
 * needs no rule of its own.
 */
export function requestRange(key: Uint8Array, rangeEnd: Uint8Array): KeyRange {
  if (rangeEnd.length === 0) return pointRange(key)
  if (rangeEnd.length === 1 && rangeEnd[0] === 0) return { start: key, end: null }
  return { start: key, end: rangeEnd }
}

/** Whether the range is exactly one key, which is then `range.start`. */
export function isPoint(range: KeyRange): boolean {
  const { start, end } = range
  return (
    end !== null &&
    end.length === start.length + 1 &&
    end[start.length] === 0 &&
    equalBytes(end.subarray(0, start.length), start)
  )
}

export const isEmptyRange = (range: KeyRange): boolean =>
  range.end !== null && compareBytes(range.start, range.end) >= 0

export const rangeContains = (range: KeyRange, key: Uint8Array): boolean =>
  compareBytes(range.start, key) <= 0 && (range.end === null || compareBytes(key, range.end) < 0)

export const isSameRange = (a: KeyRange, b: KeyRange): boolean =>
  compareBytes(a.start, b.start) === 0 && compareEnds(a.end, b.end) === 0

export const isAllKeys = ({ start, end }: KeyRange): boolean => start.length === 0 && end === null

/** Whether every key of `inner` is in `outer`. */
export const rangeCovers = (outer: KeyRange, inner: KeyRange): boolean =>
  isEmptyRange(inner) ||
  (compareBytes(outer.start, inner.start) <= 0 && compareEnds(inner.end, outer.end) <= 0)

export const rangesOverlap = (a: KeyRange, b: KeyRange): boolean => !isEmptyRange(intersectRanges(a, b))

export function intersectRanges(a: KeyRange, b: KeyRange): KeyRange {
  return {
    start: compareBytes(a.start, b.start) >= 0 ? a.start : b.start,
    end: compareEnds(a.end, b.end) <= 0 ? a.end : b.end,
  }
}

/** Order of range ends, where null (the end of the keyspace) is the greatest. */
export function compareEnds(a: Uint8Array | null, b: Uint8Array | null): -1 | 0 | 1 {
  if (a === null) return b === null ? 0 : 1
  return b === null ? -1 : compareBytes(a, b)
}

/** `ranges`, sorted and apart, with one more; those that touch become one. */
export function addRange(ranges: readonly KeyRange[], range: KeyRange): readonly KeyRange[] {
  if (isEmptyRange(range)) return ranges
  let { start, end } = range
  const apart: KeyRange[] = []
  for (const other of ranges) {
    if (touches(other, { start, end })) {
      if (compareBytes(other.start, start) < 0) start = other.start
      if (compareEnds(other.end, end) > 0) end = other.end
    } else {
      apart.push(other)
    }
  }
  apart.push({ start, end })
  return apart.sort((a, b) => compareBytes(a.start, b.start))
}

const touches = (a: KeyRange, b: KeyRange): boolean =>
  (a.end === null || compareBytes(b.start, a.end) <= 0) &&
  (b.end === null || compareBytes(a.start, b.end) <= 0)
