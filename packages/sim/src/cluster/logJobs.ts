import { assert } from '@kvorum/model'
import type { Entry, GroupId, Index } from '@kvorum/model'
import type { PersistOrder } from '@kvorum/node'
import {
  abandon,
  confirm,
  decodeEntries,
  isNoSpace,
  locate,
  planBatch,
  planCover,
  planDelete,
  planMove,
  planPurge,
  planReleaseReserve,
  planRestoreReserve,
  type DiskOp,
  type LogBatch,
  type LogState,
  type MemoryDisk,
} from '@kvorum/storage'
import { SECOND, type Micros } from '../schedule.js'
import type { DiskJob } from './diskQueue.js'

type Work<Value> = Generator<DiskOp, Value, void>

/** How long after the disk was full the reserve is asked for again. */
const RESTORE_AFTER = 5 * SECOND

/**
 * One life's log: what the server's log port and the log store do with the planners, as jobs of a DiskQueue.
 */
export class LogJobs {
  readonly log: LogState
  readonly #disk: MemoryDisk
  readonly #now: () => Micros
  #restoreAt: Micros | null = null

  constructor(log: LogState, disk: MemoryDisk, now: () => Micros) {
    this.log = log
    this.#disk = disk
    this.#now = now
  }

  *append(order: PersistOrder, done: (written: boolean) => void): DiskJob {
    const { groups, peers, admitted } = order
    const batch: LogBatch = { groups, peers, ...(admitted ? { admitted: true } : {}) }
    let written = yield* this.write(() => planBatch(this.log, batch))
    if (!written && this.#restoreAt === null) {
      this.#restoreAt = this.#now() + RESTORE_AFTER
      yield* this.write(() => planReleaseReserve(this.log))
      written = yield* this.write(() => planBatch(this.log, batch))
    }
    done(written)
  }

  *boot(batch: LogBatch, done: (written: boolean) => void): DiskJob {
    yield* this.write(() => planRestoreReserve(this.log))
    done(yield* this.write(() => planBatch(this.log, batch)))
  }

  *cover(): DiskJob {
    yield* this.write(() => planCover(this.log))
    yield* this.#restore()
  }

  *purge(): DiskJob {
    for (;;) {
      const step = planPurge(this.log)
      if (step === null) break
      if (step.kind === 'delete') {
        if (!(yield* this.write(() => planDelete(this.log, step.below)))) break
        continue
      }
      const read = this.read(step.group, step.from, step.to, Infinity)
      if (!read.ok) break
      if (!(yield* this.write(() => planMove(this.log, step.group, read.entries)))) break
    }
    yield* this.#restore()
  }

  read(
    group: GroupId,
    from: Index,
    to: Index,
    bytesMax: number,
  ): { ok: true; entries: readonly Entry[] } | { ok: false; damage: string } {
    const located = locate(this.log, group, from, to, bytesMax)
    if (located === null) return { ok: true, entries: [] }
    const bytes = located.reads.map(({ file, offset, length }) => this.#disk.readSync(file, offset, length))
    return decodeEntries(this.log, located, bytes)
  }

  *write(plan: () => readonly DiskOp[] | null): Work<boolean> {
    const ops = plan()
    if (ops === null) return true
    try {
      for (const op of ops) yield op
    } catch (error) {
      if (!isNoSpace(error)) throw error
      abandon(this.log)
      return false
    }
    confirm(this.log)
    assert(this.log.planned === null, () => 'a confirmed plan is gone')
    return true
  }

  *#restore(): Work<void> {
    if (this.#restoreAt === null || this.#now() < this.#restoreAt) return
    const written = yield* this.write(() => planRestoreReserve(this.log))
    this.#restoreAt = written ? null : this.#now() + RESTORE_AFTER
  }
}
