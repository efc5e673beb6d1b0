import { compareBytes } from '@kvorum/model'
import {
  BboltError,
  BRANCH_ELEMENT_BYTES,
  BUCKET_FLAG,
  BUCKET_HEADER_BYTES,
  decodeMeta,
  decodePageHeader,
  LEAF_ELEMENT_BYTES,
  type Meta,
  PAGE_BYTES,
  PAGE_FLAGS,
  PAGE_HEADER_BYTES,
  readCount,
} from './format.js'

/** Reads `length` bytes at `offset`; fewer only where the file ends. */
export type ReadBytes = (offset: number, length: number) => Promise<Buffer>

export interface BboltEntry {
  readonly key: Buffer
  readonly value: Buffer
}

export interface BboltBucket {
  readonly name: Buffer
  /** 0: the bucket's only page is `inline`. */
  readonly root: number
  readonly inline: Buffer | null
}

/** A file that is being read. Nothing in it is believed: every number is checked before it is used. */
export interface BboltFile {
  readonly meta: Meta
  readonly read: ReadBytes
}

/** Deeper than any tree of a file that fits a disk. */
const DEPTH_MAX = 32
/** No page with its overflow is larger than this; etcd takes requests of a few MiB. */
const PAGE_RUN_BYTES_MAX = 256 * 1024 * 1024
const PAGE_SIZES = [PAGE_BYTES, 1024, 2048, 8192, 16_384, 32_768, 65_536]

/** Throws BboltError where neither meta page is whole. `bytes`: of the database, without what follows it. */
export async function openBbolt(read: ReadBytes, bytes: number): Promise<BboltFile> {
  const first = decodeMeta(await read(0, PAGE_BYTES))
  const sizes = first === null ? PAGE_SIZES : [first.pageBytes]
  let meta = first
  for (const size of sizes) {
    const second = decodeMeta(await read(size, PAGE_BYTES))
    if (second === null || second.pageBytes !== size) continue
    if (meta === null || second.transaction > meta.transaction) meta = second
  }
  if (meta === null) throw new BboltError('it is not a bbolt database, or both of its meta pages are damaged')
  if (meta.pages * meta.pageBytes > bytes) throw new BboltError('it ends before its last page')
  return { meta, read }
}

/** The buckets by name; buckets within buckets are not what etcd makes. */
export async function readBuckets(file: BboltFile): Promise<BboltBucket[]> {
  const buckets: BboltBucket[] = []
  for await (const entries of leaves(file, file.meta.root, null)) {
    for (const { flags, key, value } of entries) {
      if (flags !== BUCKET_FLAG) throw new BboltError('its root has an entry that is no bucket')
      if (value.length < BUCKET_HEADER_BYTES) throw new BboltError('a bucket is truncated')
      const root = readCount(value, 0)
      const inline = root === 0 ? Buffer.from(value.subarray(BUCKET_HEADER_BYTES)) : null
      buckets.push({ name: Buffer.from(key), root, inline })
    }
  }
  return buckets
}

/** The entries of a bucket in the order of their keys, a page at a time. */
export async function* readEntries(
  file: BboltFile,
  bucket: BboltBucket,
): AsyncGenerator<BboltEntry[], void, undefined> {
  for await (const entries of leaves(file, bucket.root, bucket.inline)) {
    if (entries.some(({ flags }) => flags !== 0)) throw new BboltError('a bucket lies within a bucket')
    yield entries
  }
}

interface LeafEntry extends BboltEntry {
  readonly flags: number
}

/** What is left of the pages on the way down from the root: a tree is walked with one page per level held. */
async function* leaves(
  file: BboltFile,
  root: number,
  inline: Buffer | null,
): AsyncGenerator<LeafEntry[], void, undefined> {
  if (inline !== null) {
    yield leafEntries(checkedPage(inline, 0, PAGE_FLAGS.leaf), null)
    return
  }
  let last: Buffer | null = null
  let pagesLeft = file.meta.pages
  const stack: number[][] = [[root]]
  while (stack.length > 0) {
    const id = stack.at(-1)!.shift()
    if (id === undefined) {
      stack.pop()
      continue
    }
    const page = await readPage(file, id)
    pagesLeft -= 1 + decodePageHeader(page).overflow
    if (pagesLeft < 0 || stack.length > DEPTH_MAX) throw new BboltError('its pages run in a circle')
    if (decodePageHeader(page).flags === PAGE_FLAGS.branch) {
      stack.push(childPages(page))
      continue
    }
    const entries = leafEntries(checkedPage(page, id, PAGE_FLAGS.leaf), last)
    last = entries.at(-1)?.key ?? last
    yield entries
  }
}

async function readPage({ meta, read }: BboltFile, id: number): Promise<Buffer> {
  if (id < 2 || id >= meta.pages) throw new BboltError(`it has no page ${id}`)
  const { pageBytes } = meta
  const first = await read(id * pageBytes, pageBytes)
  if (first.length < pageBytes) throw new BboltError(`page ${id} is truncated`)
  const { id: found, overflow } = decodePageHeader(first)
  if (found !== id) throw new BboltError(`page ${id} says it is page ${found}`)
  if (overflow === 0) return first
  const bytes = (overflow + 1) * pageBytes
  if (id + overflow >= meta.pages || bytes > PAGE_RUN_BYTES_MAX)
    throw new BboltError(`page ${id} is too long`)
  const whole = await read(id * pageBytes, bytes)
  if (whole.length < bytes) throw new BboltError(`page ${id} is truncated`)
  return whole
}

function checkedPage(page: Buffer, id: number, flags: number): Buffer {
  if (page.length < PAGE_HEADER_BYTES) throw new BboltError(`page ${id} is truncated`)
  if (decodePageHeader(page).flags !== flags) throw new BboltError(`page ${id} is of the wrong kind`)
  return page
}

function leafEntries(page: Buffer, before: Buffer | null): LeafEntry[] {
  const { count, id } = decodePageHeader(page)
  if (PAGE_HEADER_BYTES + count * LEAF_ELEMENT_BYTES > page.length) throw outside(id)
  const entries: LeafEntry[] = []
  let last = before
  for (let i = 0; i < count; i++) {
    const at = PAGE_HEADER_BYTES + i * LEAF_ELEMENT_BYTES
    const start = at + page.readUInt32LE(at + 4)
    const middle = start + page.readUInt32LE(at + 8)
    const end = middle + page.readUInt32LE(at + 12)
    if (end > page.length) throw outside(id)
    const key = page.subarray(start, middle)
    if (last !== null && compareBytes(last, key) >= 0) throw new BboltError(`page ${id} is not in order`)
    last = key
    entries.push({ flags: page.readUInt32LE(at), key, value: page.subarray(middle, end) })
  }
  return entries
}

function childPages(page: Buffer): number[] {
  const { count, id } = decodePageHeader(page)
  if (PAGE_HEADER_BYTES + count * BRANCH_ELEMENT_BYTES > page.length) throw outside(id)
  return Array.from({ length: count }, (_, i) =>
    readCount(page, PAGE_HEADER_BYTES + i * BRANCH_ELEMENT_BYTES + 8),
  )
}

const outside = (id: number): BboltError => new BboltError(`page ${id} points outside itself`)
