import type { GroupId, Index } from '@kvorum/model'
import { DiskError, isNoSpace } from './disk.js'
import type { Disk, DiskOp } from './disk.js'
import type { LogIdentity } from './log/format.js'
import { planBatch, planCover } from './log/plan.js'
import type { LogBatch } from './log/plan.js'
import { planDelete, planMove, planPurge, releaseTo } from './log/purge.js'
import { decodeEntries, locate } from './log/read.js'
import type { DecodedEntries, Located } from './log/read.js'
import { recoverAsync } from './log/recover.js'
import type { Expected } from './log/directory.js'
import type { Recovered, RecoverOptions } from './log/recover.js'
import { planReleaseReserve, planRestoreReserve } from './log/reserve.js'
import { createLog, logBytes } from './log/state.js'
import type { LogOptions, LogState } from './log/state.js'
import { abandon, confirm } from './log/write.js'

/** 'noSpace': nothing of it counts, and it may be tried again. Any other failure rejects and ends the store. */
export type Written = 'written' | 'noSpace'

/**
 * The log in production: the planners, run on a disk. Writes go one after the other; reads go beside them.
 * A write that fails for another reason than space closes the store for good: after a failed sync nobody knows
 * what is on disk, and trying again would only make it look right.
 */
export class LogStore {
  readonly #disk: Disk
  readonly #log: LogState
  #queue: Promise<unknown> = Promise.resolve()
  #failure: unknown = null

  constructor(disk: Disk, log: LogState) {
    this.#disk = disk
    this.#log = log
  }

  /** Read-only to callers. */
  get log(): LogState {
    return this.#log
  }

  append(batch: LogBatch): Promise<Written> {
    return this.#write(() => planBatch(this.#log, batch))
  }

  /** To be called when the log has been idle for a moment. */
  cover(): Promise<Written> {
    return this.#write(() => planCover(this.#log))
  }

  releaseTo(group: GroupId, index: Index): void {
    releaseTo(this.#log, group, index)
  }

  releaseReserve(): Promise<Written> {
    return this.#write(() => planReleaseReserve(this.#log))
  }

  restoreReserve(): Promise<Written> {
    return this.#write(() => planRestoreReserve(this.#log))
  }

  /** Deletes what nobody needs. Stops early when a group's entries turn out damaged, and says which group. */
  async purge(): Promise<{ readonly written: Written; readonly damaged: GroupId | null }> {
    for (;;) {
      const step = planPurge(this.#log)
      if (step === null) return { written: 'written', damaged: null }
      if (step.kind === 'delete') {
        const written = await this.#write(() => planDelete(this.#log, step.below))
        if (written === 'noSpace') return { written, damaged: null }
        continue
      }
      const read = await this.readEntries(step.group, step.from, step.to, Number.POSITIVE_INFINITY)
      if (!read.ok) return { written: 'written', damaged: step.group }
      const written = await this.#write(() => planMove(this.#log, step.group, read.entries))
      if (written === 'noSpace') return { written, damaged: null }
    }
  }

  /** Durable entries `from` to `to`, both included; at most `bytesMax` bytes of them, one at least. */
  async readEntries(group: GroupId, from: Index, to: Index, bytesMax: number): Promise<DecodedEntries> {
    for (;;) {
      const located = locate(this.#log, group, from, to, bytesMax)
      if (located === null) return { ok: true, entries: [] }
      try {
        return decodeEntries(this.#log, located, await this.#readAll(located))
      } catch (error) {
        // A purge may have moved the entries and removed the file after they were located.
        if (!isGone(error) || sameFiles(located, locate(this.#log, group, from, to, bytesMax))) throw error
      }
    }
  }

  #readAll({ reads }: Located): Promise<Uint8Array[]> {
    return Promise.all(reads.map(({ file, offset, length }) => this.#disk.read(file, offset, length)))
  }

  get bytes(): number {
    return logBytes(this.#log)
  }

  async close(): Promise<void> {
    await this.#queue.catch(() => undefined)
    await this.#disk.close()
  }

  #write(plan: () => readonly DiskOp[] | null): Promise<Written> {
    const written = this.#queue.then(() => this.#run(plan))
    this.#queue = written.catch(() => undefined)
    return written
  }

  async #run(plan: () => readonly DiskOp[] | null): Promise<Written> {
    if (this.#failure !== null) throw this.#failure
    const ops = plan()
    if (ops === null) return 'written'
    try {
      await this.#disk.run(ops)
    } catch (error) {
      if (isNoSpace(error)) {
        abandon(this.#log)
        return 'noSpace'
      }
      this.#failure = error
      throw error
    }
    confirm(this.#log)
    return 'written'
  }
}

const isGone = (error: unknown): boolean =>
  error instanceof DiskError && (error.code === 'ENOENT' || error.code === 'EBADF')

const sameFiles = (a: Located, b: Located | null): boolean =>
  b !== null && a.reads.every(({ file }, at) => b.reads[at]?.file === file)

/** What a directory is: a store that can go on, one to be made with `createStore`, or a reason not to open it. */
export type OpenedLog =
  | {
      readonly kind: 'recovered'
      readonly store: LogStore
      readonly recovered: Recovered & { kind: 'recovered' }
    }
  | { readonly kind: 'fresh' }
  | { readonly kind: 'refused'; readonly reason: string }

/** Reads the log of `disk` and puts its end in order. */
export async function openLog(
  disk: Disk,
  expected: Expected,
  options: RecoverOptions = {},
): Promise<OpenedLog> {
  const read = disk.read.bind(disk)
  const recovered = await recoverAsync(await disk.list(), read, expected, options)
  if (recovered.kind === 'refused') return { kind: 'refused', reason: recovered.reason }
  await disk.run(recovered.repairs)
  if (recovered.kind === 'fresh') return { kind: 'fresh' }
  const store = new LogStore(disk, recovered.log)
  await store.restoreReserve()
  return { kind: 'recovered', store, recovered }
}

/** The store of a directory that `openLog` found fresh. */
export async function createStore(
  disk: Disk,
  identity: LogIdentity,
  options: Partial<LogOptions> = {},
): Promise<LogStore> {
  const store = new LogStore(disk, createLog(identity, options))
  await store.restoreReserve()
  return store
}
