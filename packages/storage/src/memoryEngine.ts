import sortedBtree from 'sorted-btree'
import { copyBytes, EMPTY, fromKeyString, toKeyString } from '@kvorum/model'
import type {
  KeyRange,
  StoreAnswer,
  StoreNeed,
  StorePage,
  StoreRow,
  StoreScan,
  StoreWrite,
} from '@kvorum/model'
import { EngineError, GETS_NOW_MAX, takesRow } from './engine.js'
import type { Engine, ViewId } from './engine.js'

/** Keys are strings of one character per byte, so that `<` compares bytes. Copies of a tree share its nodes. */
const BTree = sortedBtree.default
type Tree = InstanceType<typeof BTree<string, Uint8Array>>

/** Unsynced batches remembered apart; older ones count as flushed, as LevelDB would have done by then. */
const UNSYNCED_MAX = 1024

const compareKeys = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/**
 * LevelDB's behaviour in memory. Deterministic; the core is synchronous (batchSync, fetchSync), the Engine
 * methods are the same with promises around them.
 */
export class MemoryEngine implements Engine {
  #rows: Tree = new BTree(undefined, compareKeys)
  #durable: Tree = this.#rows.clone()
  #unsynced: (readonly StoreWrite[])[] = []
  #views = new Map<ViewId, Tree>()
  #lastView = 0
  #fault: 'write' | 'sync' | null = null
  #failure: EngineError | null = null
  #closed = false

  batchSync(writes: readonly StoreWrite[], options: { readonly sync: boolean }): void {
    this.#assertOpen()
    if (this.#failure !== null) throw this.#failure
    if (this.#fault === 'write') this.#fail()
    const batch = writes.map(({ key, value }) => ({
      key: copyBytes(key),
      value: value === null ? null : copyBytes(value),
    }))
    applyWrites(this.#rows, batch)
    this.#unsynced.push(batch)
    // The rows of a batch whose sync fails can be read, but a crash may lose them.
    if (options.sync && this.#fault === 'sync') this.#fail()
    if (options.sync) this.#flush()
    else if (this.#unsynced.length > UNSYNCED_MAX) applyWrites(this.#durable, this.#unsynced.shift()!)
  }

  fetchSync(need: StoreNeed, view?: ViewId): StoreAnswer {
    this.#assertOpen()
    const rows = view === undefined ? this.#rows : this.#views.get(view)
    if (rows === undefined) throw new EngineError('closed', `View ${view} is not open.`)
    return answer(rows, need)
  }

  async batch(writes: readonly StoreWrite[], options: { readonly sync: boolean }): Promise<void> {
    this.batchSync(writes, options)
  }

  async fetch(need: StoreNeed, view?: ViewId): Promise<StoreAnswer> {
    return this.fetchSync(need, view)
  }

  fetchNow(need: StoreNeed): StoreAnswer | null {
    return need.scans.length > 0 || need.gets.length > GETS_NOW_MAX ? null : this.fetchSync(need)
  }

  openView(): ViewId {
    this.#assertOpen()
    const view = ++this.#lastView
    this.#views.set(view, this.#rows.clone())
    return view
  }

  closeView(view: ViewId): void {
    this.#views.delete(view)
  }

  async approximateBytes(range: KeyRange): Promise<number> {
    this.#assertOpen()
    let bytes = 0
    const from = toKeyString(range.start)
    const to = range.end === null ? null : toKeyString(range.end)
    for (const [key, value] of this.#rows.entries(from)) {
      if (to !== null && key >= to) break
      bytes += key.length + value.length
    }
    return bytes
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#views.clear()
  }

  get rowCount(): number {
    return this.#rows.size
  }

  get openViews(): number {
    return this.#views.size
  }

  /** Power loss: some suffix of the unsynced batches is gone. Afterwards the store is open again, without views. */
  crash(random: () => number): void {
    const kept = Math.floor(random() * (this.#unsynced.length + 1))
    for (const batch of this.#unsynced.slice(0, kept)) applyWrites(this.#durable, batch)
    this.#unsynced = []
    this.#rows = this.#durable.clone()
    this.#reopen()
  }

  /** The process ends, the machine goes on: nothing that was written is lost yet. */
  kill(): void {
    this.#reopen()
  }

  /** The next batch fails: before anything was written, or (with `sync`) after. */
  failNext(fault: 'write' | 'sync'): void {
    this.#fault = fault
  }

  /** A value changes on disk without anybody noticing. */
  corrupt(key: Uint8Array, value: Uint8Array): void {
    const row = { key: copyBytes(key), value: copyBytes(value) }
    applyWrites(this.#rows, [row])
    applyWrites(this.#durable, [row])
  }

  /** An engine of its own in the same state, without views. */
  copy(): MemoryEngine {
    const engine = new MemoryEngine()
    engine.#rows = this.#rows.clone()
    engine.#durable = this.#durable.clone()
    engine.#unsynced = [...this.#unsynced]
    engine.#failure = this.#failure
    return engine
  }

  #flush(): void {
    this.#unsynced = []
    this.#durable = this.#rows.clone()
  }

  #fail(): never {
    this.#fault = null
    this.#failure = new EngineError('io', 'The state store could not be written (EIO).')
    throw this.#failure
  }

  #reopen(): void {
    this.#views.clear()
    this.#failure = null
    this.#fault = null
    this.#closed = false
  }

  #assertOpen(): void {
    if (this.#closed) throw new EngineError('closed', 'The state store is closed.')
  }
}

function applyWrites(rows: Tree, writes: readonly StoreWrite[]): void {
  for (const { key, value } of writes) {
    if (value === null) rows.delete(toKeyString(key))
    else rows.set(toKeyString(key), value)
  }
}

function answer(rows: Tree, need: StoreNeed): StoreAnswer {
  return {
    values: need.gets.map(key => {
      const value = rows.get(toKeyString(key))
      return value === undefined ? null : copyBytes(value)
    }),
    pages: need.scans.map(scan => page(rows, scan)),
  }
}

function page(tree: Tree, scan: StoreScan): StorePage {
  const rows: StoreRow[] = []
  const from = toKeyString(scan.gte)
  const to = toKeyString(scan.lt)
  const fill = { rows: 0, bytes: 0 }
  for (const [key, value] of scan.reverse ? tree.entriesReversed(to, undefined, true) : tree.entries(from)) {
    if (scan.reverse ? key < from : key >= to) break
    const bytes = key.length + (scan.values ? value.length : 0)
    if (!takesRow(fill, scan, bytes)) return { rows, more: true }
    rows.push({ key: fromKeyString(key), value: scan.values ? copyBytes(value) : EMPTY })
  }
  return { rows, more: false }
}
