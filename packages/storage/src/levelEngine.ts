import { ClassicLevel } from 'classic-level'
import { assert, EMPTY } from '@kvorum/model'
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

/** `level` exports the same class; its types leave out approximateSize, so it is imported from where it lives. */
type Database = ClassicLevel<Uint8Array, Uint8Array>
type Snapshot = ReturnType<Database['snapshot']>

/** LevelDB lets nobody begin to read from a snapshot that is being closed; so it is closed after its last reader. */
interface View {
  readonly snapshot: Snapshot
  readers: number
  closed: boolean
}

export interface LevelOptions {
  /** Bytes of uncompressed blocks kept for reading. */
  readonly cacheBytes: number
  /** Bytes written before they become a sorted table. */
  readonly writeBufferBytes: number
}

export const LEVEL_OPTIONS: LevelOptions = {
  cacheBytes: 16 * 1024 * 1024,
  writeBufferBytes: 8 * 1024 * 1024,
}

/** Rows read from LevelDB at a time, and the bytes it may gather for them. */
const READ_ROWS_MAX = 256
const READ_BYTES_MAX = 256 * 1024

/** The range end behind every key that a store has. */
const LAST_KEY = Buffer.alloc(64, 0xff)

/** Rows handed over in one go. */
const SLICE_ROWS = 512

const nextRound = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** The state store on LevelDB. */
export class LevelEngine implements Engine {
  readonly #db: Database
  readonly #views = new Map<ViewId, View>()
  #lastView = 0
  /** Batches one after the other: two at once could be written in any order. */
  #writes: Promise<void> = Promise.resolve()
  #failure: EngineError | null = null
  #closed = false
  /** Fetches and closing snapshots. */
  readonly #working = new Set<Promise<unknown>>()

  private constructor(db: Database) {
    this.#db = db
  }

  static async open(location: string, options: Partial<LevelOptions> = {}): Promise<LevelEngine> {
    const { cacheBytes, writeBufferBytes } = { ...LEVEL_OPTIONS, ...options }
    const db: Database = new ClassicLevel<Uint8Array, Uint8Array>(location, {
      keyEncoding: 'view',
      valueEncoding: 'view',
      cacheSize: cacheBytes,
      writeBufferSize: writeBufferBytes,
    })
    try {
      await db.open()
    } catch (error) {
      throw openError(location, error)
    }
    return new LevelEngine(db)
  }

  batch(writes: readonly StoreWrite[], options: { readonly sync: boolean }): Promise<void> {
    const written = this.#writes.then(async () => {
      this.#assertOpen()
      if (this.#failure !== null) throw this.#failure
      try {
        await this.#write(writes, options.sync)
      } catch (error) {
        throw (this.#failure = ioError('written', error))
      }
    })
    this.#writes = written.catch(() => undefined)
    return written
  }

  /** Handing rows to LevelDB takes this thread's time: a large batch is handed over in slices. */
  async #write(writes: readonly StoreWrite[], sync: boolean): Promise<void> {
    // LevelDB takes no empty batch; a sync with nothing to write still has to reach the disk.
    if (writes.length === 0 && !sync) return
    const batch = this.#db.batch()
    if (writes.length === 0) batch.del(LAST_KEY)
    for (const [at, { key, value }] of writes.entries()) {
      if (value === null) batch.del(key)
      else batch.put(key, value)
      if (at % SLICE_ROWS === SLICE_ROWS - 1) await nextRound()
    }
    await batch.write({ sync })
  }

  fetch(need: StoreNeed, view?: ViewId): Promise<StoreAnswer> {
    // The moment is now: the snapshot is taken before anything is waited for.
    let from: View
    try {
      this.#assertOpen()
      from = view === undefined ? newView(this.#db.snapshot(), true) : this.#viewOf(view)
    } catch (error) {
      return Promise.reject(error instanceof EngineError ? error : ioError('read', error))
    }
    from.readers++
    const done = this.#answer(need, from.snapshot).finally(() => {
      from.readers--
      if (from.closed && from.readers === 0) this.#work(from.snapshot.close())
    })
    this.#work(done)
    return done
  }

  fetchNow(need: StoreNeed): StoreAnswer | null {
    if (need.scans.length > 0 || need.gets.length > GETS_NOW_MAX) return null
    this.#assertOpen()
    try {
      return { values: need.gets.map(key => this.#db.getSync(key) ?? null), pages: [] }
    } catch (error) {
      throw ioError('read', error)
    }
  }

  openView(): ViewId {
    this.#assertOpen()
    const view = ++this.#lastView
    this.#views.set(view, newView(this.#db.snapshot(), false))
    return view
  }

  closeView(view: ViewId): void {
    const found = this.#views.get(view)
    if (found === undefined) return
    this.#views.delete(view)
    found.closed = true
    if (found.readers === 0) this.#work(found.snapshot.close())
  }

  async approximateBytes(range: KeyRange): Promise<number> {
    this.#assertOpen()
    return this.#db.approximateSize(range.start, range.end ?? LAST_KEY)
  }

  get openViews(): number {
    return this.#views.size
  }

  async close(): Promise<void> {
    if (this.#closed) return
    await this.#writes
    this.#closed = true
    for (const view of this.#views.keys()) this.closeView(view)
    while (this.#working.size > 0) await Promise.allSettled(this.#working)
    await this.#db.close()
  }

  /** Whoever closes waits for it; nobody else does. */
  #work(promise: Promise<unknown>): void {
    const settled: Promise<unknown> = promise
      .catch(() => undefined)
      .finally(() => this.#working.delete(settled))
    this.#working.add(settled)
  }

  async #answer(need: StoreNeed, snapshot: Snapshot): Promise<StoreAnswer> {
    try {
      const values = need.gets.length === 0 ? [] : await this.#db.getMany([...need.gets], { snapshot })
      const pages: StorePage[] = []
      for (const scan of need.scans) pages.push(await this.#page(scan, snapshot))
      return { values: values.map(value => value ?? null), pages }
    } catch (error) {
      throw error instanceof EngineError ? error : ioError('read', error)
    }
  }

  async #page(scan: StoreScan, snapshot: Snapshot): Promise<StorePage> {
    const { gte, lt, reverse } = scan
    const range = { gte, lt, reverse, snapshot, highWaterMarkBytes: READ_BYTES_MAX }
    const rows: StoreRow[] = []
    const fill = { rows: 0, bytes: 0 }
    const take = (key: Uint8Array, value: Uint8Array): boolean => {
      if (!takesRow(fill, scan, key.length + value.length)) return false
      rows.push({ key, value })
      return true
    }
    const more = scan.values
      ? await drain(this.#db.iterator(range), scan, ([key, value]) => take(key, value))
      : await drain(this.#db.keys(range), scan, key => take(key, EMPTY))
    return { rows, more }
  }

  #viewOf(view: ViewId): View {
    const found = this.#views.get(view)
    if (found === undefined) throw new EngineError('closed', `View ${view} is not open.`)
    return found
  }

  #assertOpen(): void {
    if (this.#closed) throw new EngineError('closed', 'The state store is closed.')
  }
}

const newView = (snapshot: Snapshot, closed: boolean): View => ({ snapshot, readers: 0, closed })

interface Cursor<Item> {
  nextv(size: number): Promise<Item[]>
  close(): Promise<void>
}

/** Feeds rows to `take` until it refuses one (true: there is more) or the range ends (false). */
async function drain<Item>(
  cursor: Cursor<Item>,
  scan: StoreScan,
  take: (item: Item) => boolean,
): Promise<boolean> {
  assert(scan.rowsMax > 0, () => 'a page of no rows')
  try {
    // One row beyond the page tells whether there is more.
    for (let left = scan.rowsMax + 1; ;) {
      const items = await cursor.nextv(Math.min(left, READ_ROWS_MAX))
      if (items.length === 0) return false
      for (const item of items) if (!take(item)) return true
      left = Math.max(1, left - items.length)
    }
  } finally {
    await cursor.close()
  }
}

const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return 'unknown error'
  const { cause } = error
  const code = cause instanceof Error && 'code' in cause ? cause.code : 'code' in error ? error.code : null
  return typeof code === 'string' ? code : 'unknown error'
}

const ioError = (what: 'written' | 'read', error: unknown): EngineError =>
  new EngineError('io', `The state store could not be ${what} (${reasonOf(error)}).`, { cause: error })

function openError(location: string, error: unknown): EngineError {
  const reason = reasonOf(error)
  const cause = { cause: error }
  switch (reason) {
    case 'LEVEL_LOCKED':
      return new EngineError('locked', `Another process uses the state store ${location}.`, cause)
    case 'LEVEL_CORRUPTION':
      return new EngineError(
        'corrupt',
        `The state store ${location} is damaged; it can be built again from the other members.`,
        cause,
      )
    default:
      return new EngineError('io', `The state store ${location} could not be opened (${reason}).`, cause)
  }
}
