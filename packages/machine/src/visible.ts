import {
  assert,
  compareBytes,
  isEmptyRange,
  isPoint,
  type KeyRange,
  type KeyValue,
  LIMITS,
  type Revision,
  type StoreRow,
  type StoreScan,
} from '@kvorum/model'
import { CorruptRecordError } from './corrupt.js'
import type { MergedPage } from './mergePage.js'
import { decodeCurrent, decodePast, type PastRecord } from './record.js'
import { currentKey, pastKey, rowsOfKeys, TABLES, unescapeKey } from './rowKeys.js'
import type { Step } from './step.js'
import { getRows, knownRow, scanRows, type View } from './view.js'

/** Keys without values are small: counting takes larger pages. */
const COUNT_ROWS_MAX = 32 * LIMITS.pageRowsMax

const mustAskPast = (view: View, revision: Revision): boolean => revision < view.revision || view.past()

/** The version of one key that is visible at `revision`; null: there is none. */
export function* lookup(view: View, key: Uint8Array, revision: Revision): Step<KeyValue | null> {
  const known = knownRow(view, currentKey(key))
  if (known !== undefined && !mustAskPast(view, revision)) return decodeCurrentAt(view, key, known, revision)
  return (yield* lookupMany(view, [key], revision))[0] ?? null
}

/** The same for several keys, in their order, with one fetch. */
export function* lookupMany(
  view: View,
  keys: readonly Uint8Array[],
  revision: Revision,
): Step<(KeyValue | null)[]> {
  const rows = yield* getRows(view, keys.map(currentKey))
  const found = rows.map((row, i) => decodeCurrentAt(view, keys[i]!, row, revision))
  if (!mustAskPast(view, revision)) return found
  for (let i = 0; i < keys.length; i++) {
    if (found[i] === null) found[i] = yield* lookupPast(view, keys[i]!, revision)
  }
  return found
}

function decodeCurrentAt(
  view: View,
  key: Uint8Array,
  row: Uint8Array | null,
  revision: Revision,
): KeyValue | null {
  if (row === null) return null
  const kv = decodeCurrent(view.checksum, currentKey(key), key, row)
  return kv.mod <= revision ? kv : null
}

/** Versions of a key are stored newest first, so the first at or below `revision` is the only candidate. */
function* lookupPast(view: View, key: Uint8Array, revision: Revision): Step<KeyValue | null> {
  const gte = pastKey(key, revision)
  const lt = rowsOfKeys(TABLES.past, { start: key, end: Buffer.concat([key, Buffer.from([0])]) }).lt
  let from = gte
  for (;;) {
    const scan = { gte: from, lt, reverse: false, values: true, rowsMax: 1, bytesMax: LIMITS.pageBytesMax }
    const page = (yield* scanRows(view, [scan]))[0]!
    const row = page.rows[0]
    if (row !== undefined) {
      const past = decodePast(view.checksum, row.key, key, row.value)
      return visibleAt(past, revision) ? past.kv : null
    }
    if (page.next === null) return null
    from = page.next
  }
}

export const visibleAt = (past: PastRecord, revision: Revision): boolean =>
  !past.tombstone && past.kv.mod <= revision && revision < past.until

/**
 * Walks the keys of a range that exist at one revision, in order. Without history to ask it is one scan of the
 * current table. Otherwise the current and the past table are walked side by side, each page of both from one
 * fetch: a version that moves from one to the other between two pages has moved behind the cursor.
 */
export interface KeyCursor {
  readonly range: KeyRange
  readonly revision: Revision
  readonly reverse: boolean
  /** The range is one key, which is looked up: that is cheaper than a scan. */
  readonly point: boolean
  current: StoreScan | null
  past: StoreScan | null
  done: boolean
}

/** `reverse` walks only where no history is asked; see `canWalkBack`. */
export function openCursor(range: KeyRange, revision: Revision, reverse = false): KeyCursor {
  const done = isEmptyRange(range)
  return {
    range,
    revision,
    reverse,
    point: isPoint(range),
    current: done ? null : firstScan(TABLES.current, range, reverse),
    past: done ? null : firstScan(TABLES.past, range, false),
    done,
  }
}

export const canWalkBack = (view: View, revision: Revision): boolean => !mustAskPast(view, revision)

/** The first page that a walk over the range asks for when there is no history to ask. */
export const firstScan = (table: number, range: KeyRange, reverse: boolean): StoreScan => ({
  ...rowsOfKeys(table, range),
  reverse,
  values: true,
  rowsMax: LIMITS.pageRowsMax,
  bytesMax: LIMITS.pageBytesMax,
})

function* onlyKey(view: View, cursor: KeyCursor): Step<KeyValue[]> {
  cursor.done = true
  const kv = yield* lookup(view, cursor.range.start, cursor.revision)
  return kv === null ? [] : [kv]
}

/** The next versions, possibly none; null behind the last. */
export function* nextPage(view: View, cursor: KeyCursor): Step<KeyValue[] | null> {
  if (cursor.done) return null
  if (cursor.point) return yield* onlyKey(view, cursor)
  if (mustAskPast(view, cursor.revision)) return yield* nextOfBoth(view, cursor)
  const page = (yield* scanRows(view, [cursor.current!]))[0]!
  passCurrent(cursor, page.next)
  const found: KeyValue[] = []
  for (const row of page.rows) {
    const kv = decodeCurrent(view.checksum, row.key, userKey(row.key), row.value)
    if (kv.mod <= cursor.revision) found.push(kv)
  }
  return found
}

const continueAt = (scan: StoreScan, next: Uint8Array | null): StoreScan | null =>
  next === null ? null : scan.reverse ? { ...scan, lt: next } : { ...scan, gte: next }

/**
 * After a page of the current table alone. The past cursor goes with it, behind all versions of the last key:
 * the command may be about to move one of them there, and must not meet it again when it begins to ask history.
 */
function passCurrent(cursor: KeyCursor, next: Uint8Array | null): void {
  cursor.current = continueAt(cursor.current!, next)
  cursor.done = next === null
  if (next === null || cursor.reverse) return
  const gte = Buffer.concat([next.subarray(0, next.length - 1), AFTER_ALL_VERSIONS])
  gte[0] = TABLES.past
  cursor.past = { ...cursor.past!, gte }
}
/** Greater than any descending revision. A continued scan starts at a row's key and one zero byte. */
const AFTER_ALL_VERSIONS = Buffer.alloc(9, 0xff)

function userKey(rowKey: Uint8Array): Uint8Array {
  const user = unescapeKey(rowKey, 1)
  if (user === null) throw new CorruptRecordError(rowKey, 'not an escaped key')
  return user.key
}

function* nextOfBoth(view: View, cursor: KeyCursor): Step<KeyValue[]> {
  assert(!cursor.reverse, () => 'history is only walked forward')
  const { current, past } = yield* pagesOfBoth(view, cursor)
  const found: KeyValue[] = []
  const fromPast = past.map(row => decodePast(view.checksum, row.key, userKey(row.key), row.value))
  let p = 0
  const takePast = (before: Uint8Array | null): void => {
    for (; p < fromPast.length; p++) {
      const record = fromPast[p]!
      if (before !== null && compareBytes(record.kv.key, before) >= 0) return
      if (visibleAt(record, cursor.revision)) found.push(record.kv)
    }
  }
  for (const row of current) {
    const kv = decodeCurrent(view.checksum, row.key, userKey(row.key), row.value)
    if (kv.mod > cursor.revision) continue
    takePast(kv.key)
    found.push(kv)
  }
  takePast(null)
  return found
}

/** The rows of both tables of which it is known that nothing that sorts before them is still to come. */
export function* pagesOfBoth(
  view: View,
  cursor: KeyCursor,
): Step<{ current: readonly StoreRow[]; past: readonly StoreRow[] }> {
  const scans = [cursor.current, cursor.past].filter(scan => scan !== null)
  const pages = yield* scanRows(view, scans)
  const none: MergedPage = { rows: [], next: null }
  const currentPage = cursor.current === null ? none : pages[0]!
  const pastPage = cursor.past === null ? none : pages[pages.length - 1]!
  const currentEnd = currentPage.next?.subarray(1) ?? null
  const pastEnd = pastPage.next?.subarray(1) ?? null
  const current = takeWhile(
    currentPage.rows,
    row => pastEnd === null || compareBytes(row.key.subarray(1), pastEnd) <= 0,
  )
  const past = takeWhile(
    pastPage.rows,
    row => currentEnd === null || compareBytes(row.key.subarray(1, row.key.length - 8), currentEnd) < 0,
  )
  cursor.current = advance(cursor.current, currentPage, current.length)
  cursor.past = advance(cursor.past, pastPage, past.length)
  cursor.done = cursor.current === null && cursor.past === null
  return { current, past }
}

function takeWhile(rows: readonly StoreRow[], holds: (row: StoreRow) => boolean): readonly StoreRow[] {
  const end = rows.findIndex(row => !holds(row))
  return end === -1 ? rows : rows.slice(0, end)
}

function advance(scan: StoreScan | null, page: MergedPage, taken: number): StoreScan | null {
  if (scan === null) return null
  const left = page.rows[taken]
  return continueAt(scan, left === undefined ? page.next : left.key)
}

/** How many keys of the range exist at the cursor's revision, from where it stands. */
export function* countRest(view: View, cursor: KeyCursor): Step<number> {
  let count = 0
  while (!cursor.done) {
    if (cursor.point) return (yield* onlyKey(view, cursor)).length
    if (mustAskPast(view, cursor.revision)) {
      count += (yield* nextOfBoth(view, cursor)).length
      continue
    }
    const scan = { ...cursor.current!, values: false, rowsMax: COUNT_ROWS_MAX }
    const page = (yield* scanRows(view, [scan]))[0]!
    count += page.rows.length
    passCurrent(cursor, page.next)
  }
  return count
}
