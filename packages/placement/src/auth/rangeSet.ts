import { compareBytes, compareEnds, isEmptyRange, rangeCovers, type KeyRange } from '@kvorum/model'

/** The same keys as ranges that neither touch nor overlap, ascending. */
export function mergeRanges(ranges: readonly KeyRange[]): KeyRange[] {
  const sorted = ranges
    .filter(range => !isEmptyRange(range))
    .sort((a, b) => compareBytes(a.start, b.start) || compareEnds(a.end, b.end))
  const merged: KeyRange[] = []
  for (const range of sorted) {
    const last = merged.at(-1)
    if (last === undefined || (last.end !== null && compareBytes(last.end, range.start) < 0)) {
      merged.push(range)
    } else if (compareEnds(range.end, last.end) > 0) {
      merged[merged.length - 1] = { start: last.start, end: range.end }
    }
  }
  return merged
}

/** Whether merged ranges hold every key of `inner`: one of them has to, for there are gaps between them. */
export const setCovers = (merged: readonly KeyRange[], inner: KeyRange): boolean =>
  isEmptyRange(inner) || merged.some(range => rangeCovers(range, inner))
