import type { Entry, Index } from '@kvorum/model'

/**
 * How many bytes of a group's log lie behind which index, roughly, so that purging can go by bytes as
 * well as by entries. Only of what this start appended: what was there before counts as one piece, of unknown
 * size, that ends where the log was found to end.
 */
export interface LogBytes {
  /** Ascending in both. `total` counts every byte appended up to and including `index`. */
  readonly marks: { readonly index: Index; readonly total: number }[]
  total: number
  /** Bytes between two marks. */
  readonly markEvery: number
}

const MARKS = 64
/** What an entry costs beside its data. */
const ENTRY_BYTES = 32

export const createLogBytes = (lastIndex: Index, catchUpBytes: number): LogBytes => ({
  marks: [{ index: lastIndex, total: 0 }],
  total: 0,
  markEvery: Math.ceil(catchUpBytes / MARKS),
})

export function countAppended(log: LogBytes, entries: readonly Entry[]): void {
  const first = entries[0]
  if (first === undefined) return
  // What is written again from an earlier index on replaces what the marks beyond it spoke of.
  while (log.marks.length > 0 && log.marks.at(-1)!.index >= first.index) log.marks.pop()
  for (const { index, data } of entries) {
    log.total += data.length + ENTRY_BYTES
    const last = log.marks.at(-1)
    if (last === undefined || log.total - last.total >= log.markEvery)
      log.marks.push({ index, total: log.total })
  }
}

/** Forgets what was purged, all but the newest mark at or below it. */
export function countPurged(log: LogBytes, base: Index): void {
  while (log.marks.length > 1 && log.marks[1]!.index <= base) log.marks.shift()
}

/** Bytes appended up to an index, rounded down to the last mark; 0 where no mark is so early. */
export function bytesUpTo(log: LogBytes, index: Index): number {
  return log.marks.findLast(mark => mark.index <= index)?.total ?? 0
}

/** The first index that may be purged up to so that no more than `keep` bytes stay; 0 when all may stay. */
export function purgeableByBytes(log: LogBytes, keep: number): Index {
  return log.marks.findLast(mark => log.total - mark.total > keep)?.index ?? 0
}
