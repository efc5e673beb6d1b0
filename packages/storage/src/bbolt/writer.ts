import { assert, compareBytes } from '@kvorum/model'
import {
  BRANCH_ELEMENT_BYTES,
  BUCKET_FLAG,
  BUCKET_HEADER_BYTES,
  encodeMeta,
  encodePageHeader,
  LEAF_ELEMENT_BYTES,
  PAGE_BYTES,
  PAGE_FLAGS,
  PAGE_HEADER_BYTES,
} from './format.js'

/**
 * Writes a bbolt file front to back, from entries that come sorted. A page is given its number when it is full,
 * so pages leave in the order of the file; a branch page follows the pages it names. Besides the page being
 * filled, one list of at most a page's worth of branches is held per level of the tree.
 *
 *     openBucket -> addEntry ... -> closeBucket, bucket after bucket; takePages now and then; finishFile
 *
 * The first HEAD_PAGES pages (two metas and the list of free pages) are known last: they come from finishFile
 * and belong at offset 0; everything taken before belongs behind them.
 */
export interface BboltWriter {
  /** Pages that are full and have not been taken. */
  out: Uint8Array[]
  outBytes: number
  nextPage: number
  readonly root: Tree
  bucket: { readonly name: Uint8Array; readonly tree: Tree } | null
}

export const HEAD_PAGES = 3

interface Entry {
  readonly flags: number
  readonly key: Uint8Array
  readonly value: Uint8Array
}

interface Child {
  readonly key: Uint8Array
  readonly page: number
}

interface Tree {
  entries: Entry[]
  entriesBytes: number
  last: Uint8Array | null
  /** From the level above the leaves up: pages that no branch page names yet. */
  readonly levels: Child[][]
}

const newTree = (): Tree => ({ entries: [], entriesBytes: 0, last: null, levels: [] })

export const createBboltWriter = (): BboltWriter => ({
  out: [],
  outBytes: 0,
  nextPage: HEAD_PAGES,
  root: newTree(),
  bucket: null,
})

/** Buckets come in the order of their names. */
export function openBucket(writer: BboltWriter, name: Uint8Array): void {
  assert(writer.bucket === null, () => 'a bucket is open already')
  writer.bucket = { name, tree: newTree() }
}

/** Entries come in the order of their keys, each once. Neither text may change before its page is taken. */
export function addEntry(writer: BboltWriter, key: Uint8Array, value: Uint8Array): void {
  assert(writer.bucket !== null, () => 'no bucket is open')
  add(writer, writer.bucket.tree, { flags: 0, key, value })
}

export function closeBucket(writer: BboltWriter): void {
  const { bucket } = writer
  assert(bucket !== null, () => 'no bucket is open')
  writer.bucket = null
  const value = bucket.tree.last === null ? emptyBucket() : bucketHeader(finishTree(writer, bucket.tree))
  add(writer, writer.root, { flags: BUCKET_FLAG, key: bucket.name, value })
}

/** The pages that became full since the last call, to be written one behind the other. */
export function takePages(writer: BboltWriter): Uint8Array[] {
  const { out } = writer
  writer.out = []
  writer.outBytes = 0
  return out
}

/** The head of the file. Take the last pages after this. */
export function finishFile(writer: BboltWriter): Uint8Array {
  assert(writer.bucket === null, () => 'a bucket is still open')
  assert(writer.root.last !== null, () => 'a file without buckets')
  const root = finishTree(writer, writer.root)
  const meta = { pageBytes: PAGE_BYTES, root, freelist: HEAD_PAGES - 1, pages: writer.nextPage }
  const freelist = Buffer.alloc(PAGE_BYTES)
  encodePageHeader(freelist, { id: HEAD_PAGES - 1, flags: PAGE_FLAGS.freelist, count: 0, overflow: 0 })
  return Buffer.concat([
    encodeMeta(0, { ...meta, transaction: 0 }),
    encodeMeta(1, { ...meta, transaction: 1 }),
    freelist,
  ])
}

function bucketHeader(root: number): Buffer {
  const header = Buffer.alloc(BUCKET_HEADER_BYTES)
  header.writeBigUInt64LE(BigInt(root), 0)
  return header
}

/** A bucket without entries has no page of its own: an empty leaf stands in its place. */
function emptyBucket(): Buffer {
  const page = Buffer.alloc(PAGE_HEADER_BYTES)
  encodePageHeader(page, { id: 0, flags: PAGE_FLAGS.leaf, count: 0, overflow: 0 })
  return Buffer.concat([bucketHeader(0), page])
}

const leafBytes = ({ key, value }: Entry): number => LEAF_ELEMENT_BYTES + key.length + value.length
const branchBytes = ({ key }: Child): number => BRANCH_ELEMENT_BYTES + key.length

function add(writer: BboltWriter, tree: Tree, entry: Entry): void {
  assert(entry.key.length > 0, () => 'a key of a bbolt file is not empty')
  assert(tree.last === null || compareBytes(tree.last, entry.key) < 0, () => 'keys of a bbolt file ascend')
  tree.last = entry.key
  const bytes = leafBytes(entry)
  if (tree.entries.length > 0 && PAGE_HEADER_BYTES + tree.entriesBytes + bytes > PAGE_BYTES) {
    writeLeaf(writer, tree)
  }
  tree.entries.push(entry)
  tree.entriesBytes += bytes
}

function writeLeaf(writer: BboltWriter, tree: Tree): void {
  const { entries } = tree
  const page = newPage(writer, PAGE_FLAGS.leaf, entries.length, tree.entriesBytes)
  let text = PAGE_HEADER_BYTES + entries.length * LEAF_ELEMENT_BYTES
  entries.forEach(({ flags, key, value }, i) => {
    const at = PAGE_HEADER_BYTES + i * LEAF_ELEMENT_BYTES
    page.bytes.writeUInt32LE(flags, at)
    page.bytes.writeUInt32LE(text - at, at + 4)
    page.bytes.writeUInt32LE(key.length, at + 8)
    page.bytes.writeUInt32LE(value.length, at + 12)
    page.bytes.set(key, text)
    page.bytes.set(value, text + key.length)
    text += key.length + value.length
  })
  // A copy: the key may be a view of much more.
  const first = Buffer.from(entries[0]!.key)
  tree.entries = []
  tree.entriesBytes = 0
  addChild(writer, tree, 0, { key: first, page: page.id })
}

/** bbolt never leaves a branch with one child, and does not expect one. */
const CHILDREN_MIN = 2

function addChild(writer: BboltWriter, tree: Tree, level: number, child: Child): void {
  const children = (tree.levels[level] ??= [])
  children.push(child)
  const fitting = fittingChildren(children)
  if (children.length - fitting >= CHILDREN_MIN) writeBranch(writer, tree, level, fitting)
}

/** How many of the first children fill a page: two at least, whatever their size. */
function fittingChildren(children: readonly Child[]): number {
  let bytes = PAGE_HEADER_BYTES
  let count = 0
  for (const child of children) {
    bytes += branchBytes(child)
    if (count >= CHILDREN_MIN && bytes > PAGE_BYTES) break
    count++
  }
  return count
}

function writeBranch(writer: BboltWriter, tree: Tree, level: number, count: number): void {
  const children = tree.levels[level]!.splice(0, count)
  const bytes = children.reduce((sum, child) => sum + branchBytes(child), 0)
  const page = newPage(writer, PAGE_FLAGS.branch, count, bytes)
  let text = PAGE_HEADER_BYTES + count * BRANCH_ELEMENT_BYTES
  children.forEach((child, i) => {
    const at = PAGE_HEADER_BYTES + i * BRANCH_ELEMENT_BYTES
    page.bytes.writeUInt32LE(text - at, at)
    page.bytes.writeUInt32LE(child.key.length, at + 4)
    page.bytes.writeBigUInt64LE(BigInt(child.page), at + 8)
    page.bytes.set(child.key, text)
    text += child.key.length
  })
  addChild(writer, tree, level + 1, { key: children[0]!.key, page: page.id })
}

/** Closes every level from the leaves up; the page that is left over is the root. */
function finishTree(writer: BboltWriter, tree: Tree): number {
  if (tree.entries.length > 0) writeLeaf(writer, tree)
  for (let level = 0; ; level++) {
    const children = tree.levels[level]!
    const isTop = tree.levels.length === level + 1
    if (isTop && children.length === 1) return children[0]!.page
    while (children.length > 0) writeBranch(writer, tree, level, lastChildren(children))
  }
}

/** As many as fit, unless that left a single one over; of three that do not fit together none is left. */
function lastChildren(children: readonly Child[]): number {
  const fitting = fittingChildren(children)
  if (children.length - fitting !== 1) return fitting
  return fitting > CHILDREN_MIN ? fitting - 1 : children.length
}

function newPage(
  writer: BboltWriter,
  flags: number,
  count: number,
  contentBytes: number,
): { id: number; bytes: Buffer } {
  const pages = Math.ceil((PAGE_HEADER_BYTES + contentBytes) / PAGE_BYTES)
  const id = writer.nextPage
  const bytes = Buffer.alloc(pages * PAGE_BYTES)
  encodePageHeader(bytes, { id, flags, count, overflow: pages - 1 })
  writer.nextPage += pages
  writer.out.push(bytes)
  writer.outBytes += bytes.length
  return { id, bytes }
}
