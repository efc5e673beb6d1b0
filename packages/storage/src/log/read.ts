import { crc32 } from 'node:zlib'
import { ENTRY_OVERHEAD_BYTES, entryBytes } from '@kvorum/model'
import type { Entry, GroupId, Index } from '@kvorum/model'
import { asBuffer, RECORD_HEADER_BYTES, RECORD_OVERHEAD_BYTES, segmentName, segmentSalt } from './format.js'
import { ENTRY_HEADER_BYTES, RUN_HEADER_BYTES } from './items.js'
import { decodeRun } from './payload.js'
import { decodeRecordHeader } from './record.js'
import { findRow, rowAt } from './rows.js'
import type { Row } from './rows.js'
import type { LogState } from './state.js'

/** One stretch of a file to read; it holds these records. */
export interface LogRead {
  readonly file: string
  readonly offset: number
  readonly length: number
  readonly rows: readonly Row[]
}

/** Where the wanted entries lie. */
export interface Located {
  readonly group: GroupId
  readonly from: Index
  readonly to: Index
  readonly bytesMax: number
  readonly reads: readonly LogRead[]
}

export type DecodedEntries =
  | { readonly ok: true; readonly entries: readonly Entry[] }
  /** The bytes on disk are not what was written. Nothing of them is given out. */
  | { readonly ok: false; readonly damage: string }

/** Records this close together are read at once, up to this many bytes. */
const GAP_BYTES_MAX = 4096
const READ_BYTES_MAX = 1024 * 1024

/**
 * Entries `from` to `to` (both included), durable ones only: as many records as hold about `bytesMax` bytes of
 * them, one at least. Null when the log does not hold `from`.
 */
export function locate(
  log: LogState,
  group: GroupId,
  from: Index,
  to: Index,
  bytesMax: number,
): Located | null {
  const found = log.groups.get(group)
  if (found === undefined || found.corrupt !== null || from > to) return null
  if (from <= found.base.index || from > found.last) return null
  const { rows } = found
  const reads: LogRead[] = []
  let bytes = 0
  for (let at = findRow(rows, from); at < rows.tail && rows.first[at]! <= to; at++) {
    const row = rowAt(rows, at)
    if (reads.length > 0 && bytes >= bytesMax) break
    bytes += chargedBytes(row)
    addRead(reads, row)
  }
  return { group, from, to: Math.min(to, found.last), bytesMax, reads }
}

/** What the row's entries are charged with (see entryBytes). */
const chargedBytes = ({ first, last, length }: Row): number =>
  length -
  RECORD_OVERHEAD_BYTES -
  RUN_HEADER_BYTES +
  (last - first + 1) * (ENTRY_OVERHEAD_BYTES - ENTRY_HEADER_BYTES)

function addRead(reads: LogRead[], row: Row): void {
  const previous = reads.at(-1)
  const file = segmentName(row.segment)
  const end = row.offset + row.length
  if (previous !== undefined && previous.file === file) {
    const gap = row.offset - (previous.offset + previous.length)
    const length = end - previous.offset
    if (gap >= 0 && gap <= GAP_BYTES_MAX && length <= READ_BYTES_MAX) {
      reads[reads.length - 1] = { ...previous, length, rows: [...previous.rows, row] }
      return
    }
  }
  reads.push({ file, offset: row.offset, length: row.length, rows: [row] })
}

/** Checks and decodes what was read; at most `bytesMax` bytes of entries, one at least. Data are views. */
export function decodeEntries(
  log: LogState,
  located: Located,
  buffers: readonly Uint8Array[],
): DecodedEntries {
  const entries: Entry[] = []
  let bytes = 0
  for (const [at, read] of located.reads.entries()) {
    const buffer = buffers[at]
    for (const row of read.rows) {
      const run = buffer === undefined ? null : readRow(log, located.group, read, row, asBuffer(buffer))
      if (run === null) return { ok: false, damage: `${read.file} is damaged at ${row.offset}` }
      for (const entry of run) {
        if (entry.index < located.from) continue
        if (entry.index > located.to) return { ok: true, entries }
        bytes += entryBytes(entry)
        if (entries.length > 0 && bytes > located.bytesMax) return { ok: true, entries }
        entries.push(entry)
      }
    }
  }
  return { ok: true, entries }
}

/** The row's entries, or null where the bytes fail their checks. */
function readRow(
  log: LogState,
  group: GroupId,
  read: LogRead,
  row: Row,
  buffer: Buffer,
): readonly Entry[] | null {
  const start = row.offset - read.offset
  const end = start + row.length
  if (buffer.length < end) return null
  const header = decodeRecordHeader(buffer, start, segmentSalt(log.identity, row.segment))
  if (header === null || header.group !== group) return null
  if (header.length + RECORD_OVERHEAD_BYTES !== row.length) return null
  const trailer = end - 4
  if (crc32(buffer.subarray(start, trailer), row.chain) !== buffer.readUInt32BE(trailer)) return null
  const run = decodeRun(buffer.subarray(start + RECORD_HEADER_BYTES, trailer))
  const first = run?.entries[0]
  if (run === null || first === undefined || run.term !== row.term) return null
  if (first.index > row.first || run.entries.at(-1)!.index < row.last) return null
  return run.entries.filter(({ index }) => index >= row.first && index <= row.last)
}
