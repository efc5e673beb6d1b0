import type { GroupId, KeyRange, StoreAnswer, StoreNeed, StorePage, StoreScan } from '@kvorum/model'
import { clearScans, inSnapshot, overlayPut } from '@kvorum/machine'
import type { Turn } from './state.js'
import { runTask } from './tasks.js'

/** Rows of one shard, or of one that was, to be deleted page by page. */
export interface Clearing {
  readonly group: GroupId
  readonly range: KeyRange
  /** False ends it: whoever wanted it does not any more. */
  readonly goesOn: () => boolean
  /** A page was deleted. */
  readonly cleared: (turn: Turn) => void
  readonly done: (turn: Turn) => void
}

/**
 * Deletes all rows of the shard but the marks that speak of this store. Rows are found as the store lists them: what
 * is in front of it has to be in it first.
 */
export function clearRows(turn: Turn, clearing: Clearing): void {
  clearPage(turn, clearing, clearScans(clearing))
}

function clearPage(turn: Turn, clearing: Clearing, scans: StoreScan[]): void {
  if (scans.length === 0) {
    clearing.done(turn)
    return
  }
  runTask(turn, {
    group: clearing.group,
    view: null,
    step: readPage(scans[0]!, turn.state.options.limits.pageRowsMax),
    done: (later, page) => {
      if (!clearing.goesOn()) return
      for (const { key } of page.rows) {
        if (inSnapshot(clearing, key)) overlayPut(later.state.overlay, { key, value: null })
      }
      clearing.cleared(later)
      const last = page.rows.at(-1)
      const rest =
        page.more && last !== undefined
          ? [{ ...scans[0]!, gte: Buffer.concat([last.key, Buffer.of(0)]) }, ...scans.slice(1)]
          : scans.slice(1)
      clearPage(later, clearing, rest)
    },
    failed: () => undefined,
    holdsLayers: true,
  })
}

function* readPage(scan: StoreScan, rowsMax: number): Generator<StoreNeed, StorePage, StoreAnswer> {
  const { pages } = yield { gets: [], scans: [{ ...scan, values: false, rowsMax }] }
  return pages[0]!
}
