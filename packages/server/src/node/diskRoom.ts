import { statfs } from 'node:fs/promises'
import { LEVEL_OPTIONS } from '@kvorum/storage'
import type { Logger } from '../logging.js'

/**
 * What the state store may need beyond a batch's own bytes: it writes a full buffer out as a table, and merges
 * tables, whenever it sees fit. It does not survive a write that found no room, so it is not given one.
 */
const STORE_ROOM_BYTES = 2 * LEVEL_OPTIONS.writeBufferBytes
/** A batch goes to the store's own log first, and into a table later. */
const COPIES = 2
const LOOK_MS = 500

/** Bytes that this process may still write to the file system of `path`. */
export async function freeBytesOf(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path)
  return bavail * bsize
}

/** Holds back batches of the state store while the disk is nearly full. The log goes on until it is full. */
export class DiskRoom {
  readonly #freeBytes: () => Promise<number>
  readonly #logger: Logger
  readonly #lookMs: number
  #waiting = false
  #closed = false

  constructor(freeBytes: () => Promise<number>, logger: Logger, lookMs = LOOK_MS) {
    this.#freeBytes = freeBytes
    this.#logger = logger
    this.#lookMs = lookMs
  }

  /** Resolves when a batch of that size fits; rejects once closed. */
  async wait(bytes: number): Promise<void> {
    const needed = STORE_ROOM_BYTES + COPIES * bytes
    for (;;) {
      const free = await this.#freeBytes()
      if (this.#closed) throw new Error('closed while the state store waited for room on the disk')
      if (free >= needed) break
      this.#told(true, free, needed)
      await new Promise(resolve => setTimeout(resolve, this.#lookMs))
    }
    this.#told(false)
  }

  close(): void {
    this.#closed = true
  }

  #told(waiting: boolean, free = 0, needed = 0): void {
    if (waiting === this.#waiting) return
    this.#waiting = waiting
    if (waiting) {
      this.#logger.error(
        { free, needed },
        'The disk is nearly full: the state store waits until there is room',
      )
    } else this.#logger.info({}, 'There is room on the disk again')
  }
}
