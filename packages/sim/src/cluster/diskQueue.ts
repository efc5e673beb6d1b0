import { DiskError, type DiskOp, type MemoryDisk } from '@kvorum/storage'
import type { Random } from '../random.js'
import { MILLISECOND, type Micros, type Schedule, type Timer } from '../schedule.js'
import type { DiskFaults } from '../swarm.js'

/** A piece of work on the log: yields one operation at a time, is thrown the error of one that failed. */
export type DiskJob = Generator<DiskOp, void, void>

export interface DiskQueueEvents {
  /** A job threw: the store is lost to its owner. */
  failed(error: unknown): void
  /** An error was injected that nobody can recover from within this life. */
  injected(): void
}

/**
 * One life's use of the disk: jobs one after the other, each operation an event of its own, so that a crash can
 * fall between any two. What is synced is known from the operations alone, not from what the jobs say.
 */
export class DiskQueue {
  readonly #disk: MemoryDisk
  readonly #schedule: Schedule
  readonly #random: Random
  readonly #faults: () => DiskFaults
  readonly #events: DiskQueueEvents
  readonly #jobs: (() => DiskJob)[] = []
  readonly #dirty = new Set<string>()
  /** Segments whose names may be lost. */
  readonly #unnamed = new Set<string>()
  #current: DiskJob | null = null
  #timer: Timer | null = null
  #closed = false

  constructor(
    disk: MemoryDisk,
    schedule: Schedule,
    random: Random,
    faults: () => DiskFaults,
    events: DiskQueueEvents,
  ) {
    this.#disk = disk
    this.#schedule = schedule
    this.#random = random
    this.#faults = faults
    this.#events = events
  }

  /** Everything that was written to the log's segments so far is on the disk for certain. */
  get durable(): boolean {
    for (const file of this.#dirty) if (isSegment(file)) return false
    return this.#unnamed.size === 0
  }

  get idle(): boolean {
    return this.#current === null && this.#jobs.length === 0
  }

  add(job: () => DiskJob): void {
    this.#jobs.push(job)
    if (this.#current === null) this.#next()
  }

  close(): void {
    this.#closed = true
    if (this.#timer !== null) this.#schedule.cancel(this.#timer)
  }

  #next(): void {
    const job = this.#jobs.shift()
    if (job === undefined || this.#closed) return
    this.#current = job()
    this.#advance(null)
  }

  #advance(error: unknown): void {
    const current = this.#current!
    let step: IteratorResult<DiskOp, void>
    try {
      step = error === null ? current.next() : current.throw(error)
    } catch (failure) {
      this.close()
      this.#events.failed(failure)
      return
    }
    if (this.#closed) return
    if (step.done === true) {
      this.#current = null
      this.#next()
      return
    }
    const op = step.value
    this.#timer = this.#schedule.after(this.#latency(op), op.kind, () => this.#perform(op))
  }

  #perform(op: DiskOp): void {
    this.#timer = null
    const faults = this.#faults()
    if (faults.errorChance > 0 && this.#random.chance(faults.errorChance)) {
      this.#events.injected()
      this.#disk.failNext({ code: 'EIO', operation: op.kind })
    }
    try {
      this.#disk.runSync([op])
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      this.#note(op)
      this.#advance(error)
      return
    }
    this.#note(op)
    this.#advance(null)
  }

  #note(op: DiskOp): void {
    switch (op.kind) {
      case 'write':
      case 'truncate':
        this.#dirty.add(op.file)
        return
      case 'sync':
        this.#dirty.delete(op.file)
        return
      case 'create':
        if (isSegment(op.file)) this.#unnamed.add(op.file)
        return
      case 'rename':
        if (this.#dirty.delete(op.from)) this.#dirty.add(op.to)
        return
      case 'remove':
        this.#dirty.delete(op.file)
        this.#unnamed.delete(op.file)
        return
      case 'syncDirectory':
        this.#unnamed.clear()
    }
  }

  #latency(op: DiskOp): Micros {
    const random = this.#random
    const faults = this.#faults()
    if (op.kind !== 'sync' && op.kind !== 'syncDirectory') return random.int(5, 60)
    const slow = random.chance(faults.slowSyncChance)
    const mean = random.exponential(faults.syncMean)
    return Math.round(slow ? mean + random.int(MILLISECOND, faults.slowSyncMax) : mean) + 20
  }
}

const isSegment = (file: string): boolean => file.endsWith('.wal')
