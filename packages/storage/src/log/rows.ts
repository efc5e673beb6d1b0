import type { Index, Term } from '@kvorum/model'

/**
 * Where a group's entries lie: one row per record (a run of entries of one term), in index order, in columns of
 * numbers, because a log of small writes has as many rows as entries. Rows never overlap; gaps exist only while
 * a log is being recovered.
 */
export interface Rows {
  first: Float64Array
  last: Float64Array
  term: Float64Array
  segment: Float64Array
  offset: Uint32Array
  length: Uint32Array
  /** Checksum that the record continues. */
  chain: Uint32Array
  /** Rows in use are [head, tail). */
  head: number
  tail: number
}

/** A record in the log. `length` includes header and trailer. */
export interface Place {
  readonly segment: number
  readonly offset: number
  readonly length: number
  readonly chain: number
}

export interface Row extends Place {
  readonly first: Index
  readonly last: Index
  readonly term: Term
}

const CAPACITY_MIN = 4

export function createRows(capacity = CAPACITY_MIN): Rows {
  return {
    first: new Float64Array(capacity),
    last: new Float64Array(capacity),
    term: new Float64Array(capacity),
    segment: new Float64Array(capacity),
    offset: new Uint32Array(capacity),
    length: new Uint32Array(capacity),
    chain: new Uint32Array(capacity),
    head: 0,
    tail: 0,
  }
}

const COLUMNS = ['first', 'last', 'term', 'segment', 'offset', 'length', 'chain'] as const

export const rowCount = (rows: Rows): number => rows.tail - rows.head

export function rowAt(rows: Rows, at: number): Row {
  return {
    first: rows.first[at]!,
    last: rows.last[at]!,
    term: rows.term[at]!,
    segment: rows.segment[at]!,
    offset: rows.offset[at]!,
    length: rows.length[at]!,
    chain: rows.chain[at]!,
  }
}

/** The first row whose last index is at or above `index`; `tail` when there is none. */
export function findRow(rows: Rows, index: Index): number {
  let low = rows.head
  let high = rows.tail
  while (low < high) {
    const middle = (low + high) >>> 1
    if (rows.last[middle]! < index) low = middle + 1
    else high = middle
  }
  return low
}

/** Drops everything at and above `index`. */
export function truncateRows(rows: Rows, index: Index): void {
  while (rows.tail > rows.head && rows.first[rows.tail - 1]! >= index) rows.tail--
  if (rows.tail > rows.head && rows.last[rows.tail - 1]! >= index) rows.last[rows.tail - 1] = index - 1
}

/** Drops rows that lie wholly at or below `index`. */
export function dropRows(rows: Rows, index: Index): void {
  while (rows.head < rows.tail && rows.last[rows.head]! <= index) rows.head++
  if (rows.head === rows.tail) rows.head = rows.tail = 0
}

export function pushRow(rows: Rows, row: Row): void {
  if (rows.tail === rows.first.length) makeRoom(rows)
  setRow(rows, rows.tail++, row)
}

/**
 * Puts a row over whatever lies in [row.first, row.last], cutting neighbours that reach into it. Copies the
 * rows; only for moving entries, which is rare.
 */
export function placeRow(rows: Rows, row: Row): void {
  const kept: Row[] = []
  for (let at = rows.head; at < rows.tail; at++) {
    const old = rowAt(rows, at)
    if (old.first < row.first) kept.push({ ...old, last: Math.min(old.last, row.first - 1) })
    if (old.last > row.last) kept.push({ ...old, first: Math.max(old.first, row.last + 1) })
  }
  const at = kept.findIndex(({ first }) => first > row.last)
  kept.splice(at < 0 ? kept.length : at, 0, row)
  rows.head = rows.tail = 0
  for (const each of kept) pushRow(rows, each)
}

function setRow(rows: Rows, at: number, row: Row): void {
  for (const column of COLUMNS) rows[column][at] = row[column]
}

/** Moves the used rows to the front, into larger columns if more than half of the capacity is in use. */
function makeRoom(rows: Rows): void {
  const used = rowCount(rows)
  const grown = createRows(used * 2 > rows.first.length ? rows.first.length * 2 : rows.first.length)
  for (const column of COLUMNS) grown[column].set(rows[column].subarray(rows.head, rows.tail))
  Object.assign(rows, grown)
  rows.head = 0
  rows.tail = used
}
