import {
  type Checksum,
  equalBytes,
  type Revision,
  type StoreAnswer,
  type StoreNeed,
  type StorePage,
  type StoreScan,
  toKeyString,
} from '@kvorum/model'
import { mergePage, type MergedPage } from './mergePage.js'
import { type LayerTree, layersGet, type OverlaySnapshot } from './overlay.js'
import type { Step } from './step.js'

/** What was fetched ahead of need, together with the layers of the moment the fetch was ordered. */
export interface Prefetched {
  readonly need: StoreNeed
  readonly answer: StoreAnswer
  readonly overlay: OverlaySnapshot
}

/**
 * Rows as one reader or one command sees them: layers over the store, and what the versions in them mean.
 * `revision` is the newest visible one. `past`: versions newer than that may have moved into the current table
 * already, so that the past table has to be asked as well.
 */
export interface View {
  readonly checksum: Checksum
  readonly revision: Revision
  past(): boolean
  /** A row in the layers of now; undefined where they do not know it. */
  lookup(key: Uint8Array): Uint8Array | null | undefined
  layers(): readonly LayerTree[]
  readonly ahead: Ahead | null
}

/** Answers that are known before they are asked for. */
export interface Ahead {
  readonly prefetched: Prefetched | null
  /** By key string: rows fetched in one go for several operations. */
  readonly rows: Map<string, Uint8Array | null>
}

/** Up to this many prefetched rows a search in a list is cheaper than a map. */
const LIST_MAX = 6

export function createAhead(prefetched: Prefetched | null): Ahead {
  const rows = new Map<string, Uint8Array | null>()
  if (prefetched === null || prefetched.need.gets.length <= LIST_MAX) return { prefetched, rows }
  const { need, answer, overlay } = prefetched
  need.gets.forEach((key, i) => {
    const row = layersGet(overlay.layers, key)
    rows.set(toKeyString(key), row === undefined ? (answer.values[i] ?? null) : row)
  })
  return { prefetched: { ...prefetched, need: { gets: [], scans: need.scans } }, rows }
}

function aheadGet(ahead: Ahead | null, key: Uint8Array): Uint8Array | null | undefined {
  if (ahead === null) return undefined
  if (ahead.rows.size > 0) {
    const row = ahead.rows.get(toKeyString(key))
    if (row !== undefined) return row
  }
  if (ahead.prefetched === null) return undefined
  const { need, answer, overlay } = ahead.prefetched
  for (let i = 0; i < need.gets.length; i++) {
    if (!equalBytes(need.gets[i]!, key)) continue
    const row = layersGet(overlay.layers, key)
    return row === undefined ? (answer.values[i] ?? null) : row
  }
  return undefined
}

/** A row if it can be known without asking the store. */
export function knownRow(view: View, key: Uint8Array): Uint8Array | null | undefined {
  const row = view.lookup(key)
  return row === undefined ? aheadGet(view.ahead, key) : row
}

export function* getRows(view: View, keys: readonly Uint8Array[]): Step<(Uint8Array | null)[]> {
  const rows: (Uint8Array | null | undefined)[] = keys.map(key => knownRow(view, key))
  const missing = keys.filter((_, i) => rows[i] === undefined)
  if (missing.length > 0) {
    const answer = yield { gets: missing, scans: [] }
    let next = 0
    for (let i = 0; i < rows.length; i++) if (rows[i] === undefined) rows[i] = answer.values[next++] ?? null
  }
  return rows as (Uint8Array | null)[]
}

/** Fetches rows that several operations will ask for, so that they need no fetch each. */
export function* warmRows(view: View, keys: readonly Uint8Array[]): Step<void> {
  if (view.ahead === null) return
  const missing = keys.filter(key => knownRow(view, key) === undefined)
  if (missing.length < 2) return
  const answer = yield { gets: missing, scans: [] }
  missing.forEach((key, i) => view.ahead!.rows.set(toKeyString(key), answer.values[i] ?? null))
}

/** Pages of several scans, all of one moment. */
export function* scanRows(view: View, scans: readonly StoreScan[]): Step<MergedPage[]> {
  const ahead = scans.map(scan => aheadPage(view.ahead, scan))
  if (ahead.every(page => page !== null)) {
    const layers = view.layers()
    return ahead.map((page, i) => mergePage([...layers, ...page.layers], scans[i]!, page.page))
  }
  const layers = view.layers()
  const answer = yield { gets: [], scans }
  return scans.map((scan, i) => mergePage(layers, scan, answer.pages[i]!))
}

function aheadPage(
  ahead: Ahead | null,
  scan: StoreScan,
): { page: StorePage; layers: readonly LayerTree[] } | null {
  const prefetched = ahead?.prefetched
  if (prefetched === null || prefetched === undefined) return null
  const at = prefetched.need.scans.findIndex(
    other =>
      other.values === scan.values &&
      other.reverse === scan.reverse &&
      other.rowsMax === scan.rowsMax &&
      equalBytes(other.gte, scan.gte) &&
      equalBytes(other.lt, scan.lt),
  )
  const page = prefetched.answer.pages[at]
  return at === -1 || page === undefined ? null : { page, layers: prefetched.overlay.layers }
}
