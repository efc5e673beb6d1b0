import { type Checksum, type KeyValue, leaseId, NO_LEASE, type Revision } from '@kvorum/model'
import { CorruptRecordError } from './corrupt.js'
import { readDescending } from './rowKeys.js'
import { checkSeal, SEAL_BYTES, sealRow } from './seal.js'

/**
 * The rows that hold versions of keys: behind the seal flags, create, mod, version, then lease, `until` and sub
 * where the flags say so, then the value to the end of the row.
 */
const HAS_LEASE = 1
const HAS_UNTIL = 2
const TOMBSTONE = 4
const HAS_SUB = 8

/** A version that is no longer current: visible at revisions in [mod, until). A tombstone is never visible. */
export interface PastRecord {
  readonly kv: KeyValue
  readonly until: Revision
  readonly tombstone: boolean
}

export interface Row {
  readonly value: Uint8Array
  readonly crc: number
}

export const encodeCurrent = (checksum: Checksum, rowKey: Uint8Array, kv: KeyValue): Row =>
  encode(checksum, rowKey, kv, 0, 0)

export const encodePast = (checksum: Checksum, rowKey: Uint8Array, kv: KeyValue, until: Revision): Row =>
  encode(checksum, rowKey, kv, HAS_UNTIL, until)

/** What a delete leaves at its revision. */
export function encodeTombstone(checksum: Checksum, rowKey: Uint8Array, key: Uint8Array, mod: Revision): Row {
  const kv = { key, create: 0, mod, version: 0, lease: NO_LEASE, value: Buffer.alloc(0) }
  return encode(checksum, rowKey, kv, TOMBSTONE, 0)
}

function encode(checksum: Checksum, rowKey: Uint8Array, kv: KeyValue, flags: number, until: Revision): Row {
  const { create, mod, version, lease, value, sub = 0 } = kv
  const leased = lease !== NO_LEASE
  let size = SEAL_BYTES + 1 + varintBytes(create) + varintBytes(mod) + varintBytes(version) + value.length
  if (leased) size += 8
  if (flags & HAS_UNTIL) size += varintBytes(until)
  if (sub > 0) size += varintBytes(sub)
  const row = Buffer.allocUnsafe(size)
  let at = SEAL_BYTES
  row[at++] = flags | (leased ? HAS_LEASE : 0) | (sub > 0 ? HAS_SUB : 0)
  at = writeVarint(row, at, create)
  at = writeVarint(row, at, mod)
  at = writeVarint(row, at, version)
  if (leased) at = row.writeBigUInt64BE(BigInt.asUintN(64, lease), at)
  if (flags & HAS_UNTIL) at = writeVarint(row, at, until)
  if (sub > 0) at = writeVarint(row, at, sub)
  row.set(value, at)
  return { crc: sealRow(checksum, rowKey, row), value: row }
}

/** `key` is the user key that `rowKey` holds; the value is a view of the row. */
export function decodeCurrent(
  checksum: Checksum,
  rowKey: Uint8Array,
  key: Uint8Array,
  row: Uint8Array,
): KeyValue {
  checkSeal(checksum, rowKey, row)
  const cursor = { at: SEAL_BYTES + 1 }
  const flags = row[SEAL_BYTES]!
  return withValue(decodeFields(rowKey, key, row, cursor, flags), row, cursor, flags)
}

export function decodePast(
  checksum: Checksum,
  rowKey: Uint8Array,
  key: Uint8Array,
  row: Uint8Array,
): PastRecord {
  checkSeal(checksum, rowKey, row)
  const flags = row[SEAL_BYTES]!
  const cursor = { at: SEAL_BYTES + 1 }
  const fields = decodeFields(rowKey, key, row, cursor, flags)
  const until = flags & HAS_UNTIL ? readVarint(row, cursor) : 0
  const kv = withValue(fields, row, cursor, flags)
  if (kv.mod !== readDescending(rowKey, rowKey.length - 8)) {
    throw new CorruptRecordError(rowKey, 'revision of key and value differ')
  }
  return { kv, until, tombstone: (flags & TOMBSTONE) !== 0 }
}

interface Cursor {
  at: number
}

function withValue(fields: KeyValue, row: Uint8Array, cursor: Cursor, flags: number): KeyValue {
  if ((flags & HAS_SUB) === 0) return { ...fields, value: row.subarray(cursor.at) }
  const sub = readVarint(row, cursor)
  return { ...fields, value: row.subarray(cursor.at), sub }
}

function decodeFields(
  rowKey: Uint8Array,
  key: Uint8Array,
  row: Uint8Array,
  cursor: Cursor,
  flags: number,
): KeyValue {
  const create = readVarint(row, cursor)
  const mod = readVarint(row, cursor)
  const version = readVarint(row, cursor)
  let lease = NO_LEASE
  if (flags & HAS_LEASE) {
    if (cursor.at + 8 > row.length) throw new CorruptRecordError(rowKey, 'truncated')
    const bytes = Buffer.from(row.buffer, row.byteOffset + cursor.at, 8)
    lease = leaseId(bytes.readBigUInt64BE(0))
    cursor.at += 8
  }
  return { key, create, mod, version, value: row, lease }
}

function varintBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
  return bytes
}

function writeVarint(row: Buffer, at: number, value: number): number {
  let rest = value
  let end = at
  while (rest >= 0x80) {
    row[end++] = (rest % 0x80) | 0x80
    rest = Math.floor(rest / 0x80)
  }
  row[end++] = rest
  return end
}

function readVarint(row: Uint8Array, cursor: Cursor): number {
  let value = 0
  let scale = 1
  for (;;) {
    const byte = row[cursor.at++]
    // The seal has been checked: bytes can only be missing where this code and the writer disagree.
    if (byte === undefined) throw new RangeError('a sealed row ends inside a number')
    value += (byte & 0x7f) * scale
    if (byte < 0x80) return value
    scale *= 0x80
  }
}

/** What is remembered of one change of one key, for watchers that catch up and for compaction. */
export interface HistoryRecord {
  readonly kind: 'put' | 'delete'
  /** The version this change replaced; 0: there was none. */
  readonly prev: Revision
  /** What that version was charged with (quota.ts); compaction removes it without reading it. */
  readonly prevBytes: number
}

export function encodeHistory(checksum: Checksum, rowKey: Uint8Array, record: HistoryRecord): Uint8Array {
  const { prev, prevBytes } = record
  const row = Buffer.allocUnsafe(SEAL_BYTES + 1 + varintBytes(prev) + varintBytes(prevBytes))
  row[SEAL_BYTES] = record.kind === 'put' ? 1 : 2
  writeVarint(row, writeVarint(row, SEAL_BYTES + 1, prev), prevBytes)
  sealRow(checksum, rowKey, row)
  return row
}

export function decodeHistory(checksum: Checksum, rowKey: Uint8Array, row: Uint8Array): HistoryRecord {
  checkSeal(checksum, rowKey, row)
  const kind = row[SEAL_BYTES]
  if (kind !== 1 && kind !== 2) throw new CorruptRecordError(rowKey, `change ${kind} is not known`)
  const cursor = { at: SEAL_BYTES + 1 }
  const prev = readVarint(row, cursor)
  return { kind: kind === 1 ? 'put' : 'delete', prev, prevBytes: readVarint(row, cursor) }
}
