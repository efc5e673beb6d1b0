import {
  compareBytes,
  fromKeyString,
  type StorePage,
  type StoreRow,
  type StoreScan,
  type StoreWrite,
  toKeyString,
} from '@kvorum/model'
import type { LayerTree } from './overlay.js'

/** Rows of the store with the layers over them. */
export interface MergedPage {
  readonly rows: readonly StoreRow[]
  /**
   * Where the scan goes on: its next `gte`, or with `reverse` its next `lt`. Null: the range is exhausted.
   * A page may have no row and still go on, where layers delete what the store has.
   */
  readonly next: Uint8Array | null
}

/** What one page knows: every row between the scan's start and `end`. */
interface Covered {
  readonly end: string
  readonly next: Uint8Array | null
}

export function mergePage(layers: readonly LayerTree[], scan: StoreScan, page: StorePage): MergedPage {
  const last = page.more ? page.rows[page.rows.length - 1] : undefined
  const next = last === undefined ? null : afterRow(scan, last.key)
  if (layers.length === 0) return { rows: page.rows, next }
  const end = next ?? (scan.reverse ? scan.gte : scan.lt)
  const overrides = collect(layers, scan, { end: toKeyString(end), next })
  if (overrides.writes.length === 0 && overrides.covered.next === next) return { rows: page.rows, next }
  return scan.reverse ? mergeReverse(scan, page, overrides) : mergeForward(scan, page, overrides)
}

/** The position just behind a row, in the scan's direction. */
function afterRow(scan: StoreScan, key: Uint8Array): Uint8Array {
  return scan.reverse ? key : Buffer.concat([key, ZERO])
}
const ZERO = Buffer.from([0])

interface Overrides {
  readonly writes: readonly StoreWrite[]
  readonly covered: Covered
}

/** The newest write per row in the covered range, in scan order; the range shrinks if they are very many. */
function collect(layers: readonly LayerTree[], scan: StoreScan, covered: Covered): Overrides {
  const sources = layers.map(tree => openSource(tree, scan, covered.end))
  const writes: StoreWrite[] = []
  const writesMax = 2 * scan.rowsMax
  let bytes = 0
  for (;;) {
    const newest = firstSource(sources, scan.reverse)
    if (newest === null) return { writes, covered }
    const { key, write } = newest
    writes.push(write)
    bytes += write.value?.length ?? 0
    for (const source of sources) if (source.head?.key === key) source.advance()
    if (writes.length < writesMax && bytes < scan.bytesMax) continue
    const next = afterRow(scan, fromKeyString(key))
    return { writes, covered: { end: toKeyString(next), next } }
  }
}

interface Head {
  readonly key: string
  readonly write: StoreWrite
}
interface Source {
  head: Head | null
  advance(): void
}

function openSource(tree: LayerTree, scan: StoreScan, end: string): Source {
  const pairs = scan.reverse
    ? tree.entriesReversed(toKeyString(scan.lt), undefined, true)
    : tree.entries(toKeyString(scan.gte))
  const source: Source = {
    head: null,
    advance() {
      const step = pairs.next()
      if (step.done === true) {
        source.head = null
        return
      }
      const [key, write] = step.value
      const inside = scan.reverse ? key >= end : key < end
      source.head = inside ? { key, write } : null
    },
  }
  source.advance()
  return source
}

/** The first row of all sources; of equal ones the newest layer's. */
function firstSource(sources: readonly Source[], reverse: boolean): Head | null {
  let first: Head | null = null
  for (const { head } of sources) {
    if (head === null) continue
    if (first === null || (reverse ? head.key > first.key : head.key < first.key)) first = head
  }
  return first
}

function mergeForward(scan: StoreScan, page: StorePage, { writes, covered }: Overrides): MergedPage {
  const end = fromKeyString(covered.end)
  return merge(
    scan,
    page,
    writes,
    covered.next,
    (a, b) => compareBytes(a, b),
    key => compareBytes(key, end) < 0,
  )
}

function mergeReverse(scan: StoreScan, page: StorePage, { writes, covered }: Overrides): MergedPage {
  const end = fromKeyString(covered.end)
  return merge(
    scan,
    page,
    writes,
    covered.next,
    (a, b) => compareBytes(b, a),
    key => compareBytes(key, end) >= 0,
  )
}

function merge(
  scan: StoreScan,
  page: StorePage,
  writes: readonly StoreWrite[],
  next: Uint8Array | null,
  order: (a: Uint8Array, b: Uint8Array) => number,
  inside: (key: Uint8Array) => boolean,
): MergedPage {
  const rows: StoreRow[] = []
  let bytes = 0
  let w = 0
  let r = 0
  for (;;) {
    const write = writes[w]
    let stored = page.rows[r]
    if (stored !== undefined && !inside(stored.key)) stored = undefined
    if (write === undefined && stored === undefined) return { rows, next }
    const which = write === undefined ? 1 : stored === undefined ? -1 : order(write.key, stored.key)
    if (which <= 0) w++
    if (which >= 0) r++
    const value = which <= 0 ? write!.value : stored!.value
    const key = which <= 0 ? write!.key : stored!.key
    if (value === null) continue
    rows.push({ key, value: scan.values ? value : EMPTY_VALUE })
    bytes += scan.values ? value.length : 0
    if (rows.length < scan.rowsMax && bytes < scan.bytesMax) continue
    const more = writes[w] !== undefined || page.rows[r] !== undefined || next !== null
    return { rows, next: more ? afterRow(scan, key) : null }
  }
}
const EMPTY_VALUE: Uint8Array = Buffer.alloc(0)
