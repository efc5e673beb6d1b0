import { crc32 } from 'node:zlib'
import { asBuffer, getU64, PAYLOAD_BYTES_MAX, RECORD_HEADER_BYTES, RECORD_OVERHEAD_BYTES } from './format.js'
import { RECORD_KINDS } from './format.js'

/** A record header whose own checksum is right; only then is its length believed. */
export interface RecordHeader {
  /** A number of RECORD_KINDS, or one that this program does not know. */
  readonly kind: number
  readonly record: number
  readonly group: number
  readonly length: number
}

export function decodeRecordHeader(bytes: Buffer, at: number, salt: number): RecordHeader | null {
  if (at + RECORD_OVERHEAD_BYTES > bytes.length) return null
  // Most of what is no record fails here already; zero bytes always do.
  const kind = bytes[at + 12]!
  if (kind === 0 || bytes[at + 13] !== 0 || bytes[at + 14] !== 0 || bytes[at + 15] !== 0) return null
  const length = bytes.readUInt32BE(at + 24)
  if (length > PAYLOAD_BYTES_MAX) return null
  const checksum = crc32(bytes.subarray(at + 4, at + RECORD_HEADER_BYTES), salt)
  if (checksum !== bytes.readUInt32BE(at)) return null
  const record = getU64(bytes, at + 4)
  const group = getU64(bytes, at + 16)
  if (!Number.isSafeInteger(record) || !Number.isSafeInteger(group)) return null
  return { kind, record, group, length }
}

/** What a begin or a cover record says: everything before (segment, offset) had been synced when it was written. */
export interface Watermark {
  readonly segment: number
  readonly offset: number
  /** Bytes and number of the batch's records behind the begin record; 0 for a cover. */
  readonly bytes: number
  readonly records: number
}

/** Begin and cover records carry a checksum of their own payload, so that they count without what was before them. */
export function decodeWatermark(payload: Uint8Array, kind: number, salt: number): Watermark | null {
  const bytes = asBuffer(payload)
  const begin = kind === RECORD_KINDS.begin
  if (bytes.length !== (begin ? 28 : 16)) return null
  const end = bytes.length - 4
  if (crc32(bytes.subarray(0, end), salt) !== bytes.readUInt32BE(end)) return null
  return {
    segment: getU64(bytes, 0),
    offset: bytes.readUInt32BE(8),
    bytes: begin ? bytes.readUInt32BE(12) : 0,
    records: begin ? getU64(bytes, 16) : 0,
  }
}

export const isWatermark = (kind: number): boolean =>
  kind === RECORD_KINDS.begin || kind === RECORD_KINDS.cover
