/**
 * Facts of bbolt's file format, version 2, as etcd writes it. All integers are little-endian.
 *
 *     page    id u64, flags u16, count u16, overflow u32; then elements, then the texts they point to
 *     meta    magic, version, page size, flags (u32 each); root bucket {root page, sequence}; freelist page;
 *             number of pages; transaction; FNV-64a of what stands before (u64 each)
 *     leaf    flags u32, position u32, key length u32, value length u32
 *     branch  position u32, key length u32, page u64
 *     bucket  root page u64 (0: the page follows here), sequence u64
 *
 * A position counts from the start of its element. A page that does not fit goes on in `overflow` more.
 */
export const PAGE_BYTES = 4096
export const PAGE_HEADER_BYTES = 16
export const PAGE_FLAGS = { branch: 0x01, leaf: 0x02, meta: 0x04, freelist: 0x10 } as const
export const LEAF_ELEMENT_BYTES = 16
export const BRANCH_ELEMENT_BYTES = 16
/** A leaf element with this flag names a bucket; its value is a bucket header. */
export const BUCKET_FLAG = 1
export const BUCKET_HEADER_BYTES = 16

const MAGIC = 0xed0cdaed
const VERSION = 2
const META_BYTES = 64
const CHECKED_BYTES = 56

export interface Meta {
  readonly pageBytes: number
  /** Page of the root bucket, whose entries are the buckets. */
  readonly root: number
  /** Null: the free pages are not in the file. */
  readonly freelist: number | null
  /** Pages up to here are in use or free. */
  readonly pages: number
  readonly transaction: number
}

export interface PageHeader {
  readonly id: number
  readonly flags: number
  readonly count: number
  readonly overflow: number
}

/** The bytes cannot be what a bbolt file holds there. The message is for an operator. */
export class BboltError extends Error {
  override readonly name = 'BboltError'
}

const NO_FREELIST = 0xffff_ffff_ffff_ffffn

export function encodePageHeader(page: Buffer, header: PageHeader): void {
  page.writeBigUInt64LE(BigInt(header.id), 0)
  page.writeUInt16LE(header.flags, 8)
  page.writeUInt16LE(header.count, 10)
  page.writeUInt32LE(header.overflow, 12)
}

export const decodePageHeader = (page: Buffer): PageHeader => ({
  id: readCount(page, 0),
  flags: page.readUInt16LE(8),
  count: page.readUInt16LE(10),
  overflow: page.readUInt32LE(12),
})

/** A whole meta page. `id` is 0 or 1; the one with the higher transaction counts. */
export function encodeMeta(id: number, meta: Meta): Buffer {
  const page = Buffer.alloc(meta.pageBytes)
  encodePageHeader(page, { id, flags: PAGE_FLAGS.meta, count: 0, overflow: 0 })
  const body = page.subarray(PAGE_HEADER_BYTES, PAGE_HEADER_BYTES + META_BYTES)
  body.writeUInt32LE(MAGIC, 0)
  body.writeUInt32LE(VERSION, 4)
  body.writeUInt32LE(meta.pageBytes, 8)
  body.writeBigUInt64LE(BigInt(meta.root), 16)
  body.writeBigUInt64LE(meta.freelist === null ? NO_FREELIST : BigInt(meta.freelist), 32)
  body.writeBigUInt64LE(BigInt(meta.pages), 40)
  body.writeBigUInt64LE(BigInt(meta.transaction), 48)
  body.writeBigUInt64LE(fnv64a(body.subarray(0, CHECKED_BYTES)), 56)
  return page
}

/** Null where these bytes are no meta page, or a damaged one. */
export function decodeMeta(page: Buffer): Meta | null {
  if (page.length < PAGE_HEADER_BYTES + META_BYTES) return null
  const body = page.subarray(PAGE_HEADER_BYTES, PAGE_HEADER_BYTES + META_BYTES)
  if (body.readUInt32LE(0) !== MAGIC || body.readUInt32LE(4) !== VERSION) return null
  if (body.readBigUInt64LE(56) !== fnv64a(body.subarray(0, CHECKED_BYTES))) return null
  const pageBytes = body.readUInt32LE(8)
  if (pageBytes < 512 || pageBytes > 64 * 1024 || (pageBytes & (pageBytes - 1)) !== 0) return null
  const freelist = body.readBigUInt64LE(32)
  return {
    pageBytes,
    root: readCount(body, 16),
    freelist: freelist === NO_FREELIST ? null : readCount(body, 32),
    pages: readCount(body, 40),
    transaction: readCount(body, 48),
  }
}

/** A number that can be counted with; 2^53 pages or bytes are no file. */
export function readCount(bytes: Buffer, at: number): number {
  const count = bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32
  if (!Number.isSafeInteger(count)) throw new BboltError(`a number of the file is out of range (${count})`)
  return count
}

const FNV_OFFSET = 0xcbf2_9ce4_8422_2325n
const FNV_PRIME = 0x100_0000_01b3n

export function fnv64a(bytes: Uint8Array): bigint {
  let hash = FNV_OFFSET
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * FNV_PRIME)
  return hash
}
