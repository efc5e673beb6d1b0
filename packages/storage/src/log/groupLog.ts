import { assert, NO_REPLICA } from '@kvorum/model'
import type { GroupId, HardState, Index, LogBase, Millis, Term } from '@kvorum/model'
import { createRows, dropRows, findRow, placeRow, pushRow, rowCount, truncateRows } from './rows.js'
import type { Row, Rows } from './rows.js'

/**
 * What the log holds of one group.
 *
 *     base.index < first live entry ... last
 *
 * The doubts are what recovery could not read. Each ends when a later record says anew what was lost; those
 * that are left at the end of the log make the group corrupt.
 */
export interface GroupLog {
  readonly group: GroupId
  hardState: HardState
  hardStateSegment: number
  base: LogBase
  /** The newest base on disk and its segment; `base` may be ahead of it until the next purge. */
  baseWritten: Index
  baseSegment: number
  last: Index
  lastTime: Millis
  readonly rows: Rows
  hardStateDoubt: boolean
  baseDoubt: boolean
  /** Entries may have been appended or cut off that nobody has seen. */
  tailDoubt: boolean
  /** Why nothing may be believed of this group; null when all is well. */
  corrupt: string | null
}

const NO_HARD_STATE: HardState = { term: 0, vote: NO_REPLICA, commit: 0 }

/** A group not seen before. Its first records say base and hard state; until then they are in doubt. */
export const createGroupLog = (group: GroupId): GroupLog => ({
  group,
  hardState: NO_HARD_STATE,
  hardStateSegment: 0,
  base: { index: 0, term: 0 },
  baseWritten: 0,
  baseSegment: 0,
  last: 0,
  lastTime: 0,
  rows: createRows(),
  hardStateDoubt: true,
  baseDoubt: true,
  tailDoubt: false,
  corrupt: null,
})

export function appendRun(log: GroupLog, row: Row, time: Millis): void {
  truncateRows(log.rows, row.first)
  pushRow(log.rows, row)
  log.last = row.last
  log.lastTime = Math.max(log.lastTime, time)
  log.tailDoubt = false
}

export function moveRun(log: GroupLog, row: Row, time: Millis): void {
  placeRow(log.rows, row)
  log.last = Math.max(log.last, row.last)
  log.lastTime = Math.max(log.lastTime, time)
}

export function setBase(log: GroupLog, base: LogBase, keep: boolean, time: Millis, segment: number): void {
  log.baseWritten = base.index
  log.baseSegment = segment
  log.lastTime = Math.max(log.lastTime, time)
  if (keep) {
    // A base that was planned before a newer one was released does not bring back what is gone.
    if (log.baseDoubt || base.index > log.base.index) log.base = base
    log.baseDoubt = false
    dropRows(log.rows, base.index)
    log.last = Math.max(log.last, base.index)
    return
  }
  log.base = base
  log.baseDoubt = false
  log.rows.head = log.rows.tail = 0
  log.last = base.index
  log.tailDoubt = false
}

export function setHardState(log: GroupLog, hardState: HardState, segment: number): void {
  log.hardState = hardState
  log.hardStateSegment = segment
  log.hardStateDoubt = false
}

/** A lost record may have replaced any entry: those known so far are as good as gone. */
export function doubtEntries(log: GroupLog): void {
  log.rows.head = log.rows.tail = 0
  log.last = log.base.index
  log.tailDoubt = true
}

export function doubtGroup(log: GroupLog): void {
  doubtEntries(log)
  log.hardStateDoubt = true
  log.baseDoubt = true
}

/** What is not known of this group at the end of the log, in words; null when nothing is missing. */
export function missingIn(log: GroupLog): string | null {
  if (log.hardStateDoubt) return 'its vote and term may be lost'
  if (log.baseDoubt) return 'the start of its log is lost'
  if (log.tailDoubt) return 'entries at the end of its log may be lost'
  let next = log.base.index + 1
  const { rows } = log
  for (let at = findRow(rows, next); at < rows.tail; at++) {
    if (rows.first[at]! > next) break
    next = rows.last[at]! + 1
  }
  return next > log.last ? null : `the entry at ${next} is lost`
}

/** The term of the entry at `index` (of the base, at the base); null when the log does not hold it. */
export function termOf(log: GroupLog, index: Index): Term | null {
  if (index === log.base.index) return log.base.term
  if (index < log.base.index || index > log.last) return null
  const at = findRow(log.rows, index)
  return at < log.rows.tail && log.rows.first[at]! <= index ? log.rows.term[at]! : null
}

/** Runs of equal terms over all live entries, ascending. */
export function termRunsOf(log: GroupLog): { first: Index; term: Term }[] {
  const runs: { first: Index; term: Term }[] = []
  for (let at = log.rows.head; at < log.rows.tail; at++) {
    const term = log.rows.term[at]!
    const first = Math.max(log.rows.first[at]!, log.base.index + 1)
    if (runs.at(-1)?.term !== term) runs.push({ first, term })
  }
  return runs
}

/** The oldest segment with a live entry; null when there are none. */
export function oldestSegment(log: GroupLog): number | null {
  let oldest: number | null = null
  for (let at = log.rows.head; at < log.rows.tail; at++) {
    // Of a record whose entries were moved, what lies at or below the base may be left: it pins nothing.
    if (log.rows.last[at]! <= log.base.index) continue
    const segment = log.rows.segment[at]!
    if (oldest === null || segment < oldest) oldest = segment
  }
  return oldest
}

export function assertSound(log: GroupLog): void {
  assert(log.base.index <= log.last, () => `group ${log.group}: base ${log.base.index} passed ${log.last}`)
  assert(
    rowCount(log.rows) === 0
      ? log.last === log.base.index
      : log.rows.last[log.rows.tail - 1] === log.last && log.rows.first[log.rows.head]! <= log.base.index + 1,
    () => `group ${log.group}: rows do not end at ${log.last}`,
  )
}
