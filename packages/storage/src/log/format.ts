import { crc32 } from 'node:zlib'
import { clusterId, incarnation, nodeId } from '@kvorum/model'
import type { ClusterId, Incarnation, NodeId } from '@kvorum/model'

/**
 * The bytes of a segment that never change: names, magic, sizes, kinds. All integers are big-endian.
 * docs/storage-format.md shows them byte by byte. Golden files keep them from changing by accident.
 */
export const LOG_FORMAT = 1

const MAGIC = Buffer.from('kvorumWL', 'latin1')

export const SEGMENT_HEADER_BYTES = 64
export const RECORD_HEADER_BYTES = 28
export const RECORD_TRAILER_BYTES = 4
export const RECORD_OVERHEAD_BYTES = RECORD_HEADER_BYTES + RECORD_TRAILER_BYTES

/** A length beyond this is damage whatever its checksum says. Leaves room for the largest frame between nodes. */
export const PAYLOAD_BYTES_MAX = 64 * 1024 * 1024
/** Offsets are unsigned 32-bit; a batch that outgrows its segment must still be addressable. */
export const SEGMENT_OFFSET_MAX = 2 ** 32 - 1

/** Numbers on disk. Retired ones stay, commented out, so that none is used twice. */
export const RECORD_KINDS = {
  begin: 1,
  cover: 2,
  hardState: 3,
  entries: 4,
  moved: 5,
  base: 6,
  removed: 7,
  boot: 8,
  peer: 9,
  admitted: 10,
  purged: 11,
} as const

export type RecordKind = keyof typeof RECORD_KINDS

const KIND_NAMES = new Map<number, RecordKind>(
  Object.entries(RECORD_KINDS).map(([name, number]) => [number, name as RecordKind]),
)

export const recordKind = (number: number): RecordKind | null => KIND_NAMES.get(number) ?? null

/** Whose log this is. The incarnation is drawn when the directory is made and never changes. */
export interface LogIdentity {
  readonly clusterId: ClusterId
  readonly nodeId: NodeId
  readonly incarnation: Incarnation
}

export interface SegmentHeader {
  readonly identity: LogIdentity
  /** Segments count from 1 without gaps. */
  readonly segment: number
  /** Number of the first record in it; records count from 1 over all segments. */
  readonly firstRecord: number
  /** Checksum that the first record continues. */
  readonly chain: number
}

export const RESERVE_FILE = 'reserve'
export const TEMPORARY_SUFFIX = '.tmp'
const SEGMENT_NAME = /^(\d{16})\.wal$/

export const segmentName = (segment: number): string => `${String(segment).padStart(16, '0')}.wal`

export function segmentNumber(name: string): number | null {
  const digits = SEGMENT_NAME.exec(name)?.[1]
  return digits === undefined ? null : Number(digits)
}

const IDENTITY_BYTES = 48
const CHECKED_BYTES = 60

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES)
  putIdentity(bytes, header.identity, header.segment)
  putU64(bytes, 48, header.firstRecord)
  bytes.writeUInt32BE(header.chain, 56)
  bytes.writeUInt32BE(crc32(bytes.subarray(0, CHECKED_BYTES)), CHECKED_BYTES)
  return bytes
}

function putIdentity(bytes: Buffer, identity: LogIdentity, segment: number): void {
  MAGIC.copy(bytes)
  bytes.writeUInt16BE(LOG_FORMAT, 8)
  bytes.writeBigUInt64BE(identity.clusterId, 16)
  bytes.writeBigUInt64BE(identity.nodeId, 24)
  bytes.writeBigUInt64BE(identity.incarnation, 32)
  putU64(bytes, 40, segment)
}

export type ReadHeader =
  | { readonly kind: 'valid'; readonly header: SegmentHeader }
  | { readonly kind: 'damaged' }
  | { readonly kind: 'unknownFormat'; readonly format: number }

export function decodeSegmentHeader(head: Uint8Array): ReadHeader {
  const bytes = asBuffer(head)
  if (bytes.length < SEGMENT_HEADER_BYTES) return { kind: 'damaged' }
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return { kind: 'damaged' }
  if (crc32(bytes.subarray(0, CHECKED_BYTES)) !== bytes.readUInt32BE(CHECKED_BYTES))
    return { kind: 'damaged' }
  // Later formats keep these 64 bytes, so that an older program can tell a newer file from a damaged one.
  const format = bytes.readUInt16BE(8)
  if (format !== LOG_FORMAT) return { kind: 'unknownFormat', format }
  const header = {
    identity: {
      clusterId: clusterId(bytes.readBigUInt64BE(16)),
      nodeId: nodeId(bytes.readBigUInt64BE(24)),
      incarnation: incarnation(bytes.readBigUInt64BE(32)),
    },
    segment: getU64(bytes, 40),
    firstRecord: getU64(bytes, 48),
    chain: bytes.readUInt32BE(56),
  }
  return { kind: 'valid', header }
}

/**
 * Seed of the record headers' checksums in one segment. It contains the random incarnation, so that neither
 * bytes of another file nor bytes that a client chose can pass for a record, and it follows from what is known
 * without the segment's own header, so that records can be recognised behind a damaged one.
 */
export function segmentSalt(identity: LogIdentity, segment: number): number {
  const bytes = Buffer.alloc(IDENTITY_BYTES)
  putIdentity(bytes, identity, segment)
  return crc32(bytes)
}

/** A non-negative safe integer in eight bytes. */
export function putU64(bytes: Buffer, offset: number, value: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), offset)
  bytes.writeUInt32BE(value % 2 ** 32, offset + 4)
}

/** May exceed 2^53 where the bytes are damaged; callers check with `Number.isSafeInteger`. */
export const getU64 = (bytes: Buffer, offset: number): number =>
  bytes.readUInt32BE(offset) * 2 ** 32 + bytes.readUInt32BE(offset + 4)

export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
