import type { KeyRange, StoreAnswer, StoreNeed, StoreScan, StoreWrite } from '@kvorum/model'

/** A view that is open; numbers are not used twice. */
export type ViewId = number

/**
 * The state store: an ordered map of byte strings, written in atomic batches, read at one moment. LevelEngine
 * carries it out, MemoryEngine is a model of it for the simulator; one suite of tests holds for both.
 *
 * What is in it can always be built again from log and peers, so batches are written without sync, and a crash
 * may lose the newest ones: always a suffix of them, never one in the middle. `sync` makes a batch and all
 * before it durable. After a batch failed every later one fails: what is on disk is not known any more.
 */
export interface Engine {
  /** Batches are applied in the order of the calls. Later writes of one key in a batch win. */
  batch(writes: readonly StoreWrite[], options: { readonly sync: boolean }): Promise<void>
  /**
   * Sees every batch that had resolved when it was called, none that was ordered later, or the moment at which
   * `view` was opened. Byte strings of the answer are the caller's.
   */
  fetch(need: StoreNeed, view?: ViewId): Promise<StoreAnswer>
  /** The same at once; null where only `fetch` can answer (any scan, or more than a few gets). */
  fetchNow(need: StoreNeed): StoreAnswer | null
  openView(): ViewId
  /** A view pins old data: close it. Closing twice is allowed; fetches under way finish. */
  closeView(view: ViewId): void
  /** About the bytes that the range takes on disk. */
  approximateBytes(range: KeyRange): Promise<number>
  /** Waits for what is under way. */
  close(): Promise<void>
}

/** Gets that `fetchNow` takes on at once; more would hold up everybody else. */
export const GETS_NOW_MAX = 16

export type EngineErrorCode = 'locked' | 'corrupt' | 'io' | 'closed'

/** The store cannot go on. `message` is one sentence for the operator. */
export class EngineError extends Error {
  override readonly name = 'EngineError'
  readonly code: EngineErrorCode
  constructor(code: EngineErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Where a page stops: the rule of StoreScan, in one place for every engine. */
export interface PageFill {
  rows: number
  bytes: number
}

/** Whether a row of so many bytes still fits the page. The first always does. */
export function takesRow(fill: PageFill, scan: StoreScan, bytes: number): boolean {
  if (fill.rows > 0 && (fill.rows >= scan.rowsMax || fill.bytes + bytes > scan.bytesMax)) return false
  fill.rows++
  fill.bytes += bytes
  return true
}
