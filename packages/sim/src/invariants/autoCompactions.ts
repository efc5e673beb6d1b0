import type { Revision } from '@kvorum/model'
import { MILLISECOND, type Micros } from '../schedule.js'
import { check } from './violation.js'

/** I53: what members compact by themselves is older than the retention. */
export class AutoCompactions {
  readonly #retention: Micros | null
  readonly #madeAt = new Map<Revision, Micros>()

  /** Null: others compact too, or clocks do not tell. */
  constructor(retention: Micros | null) {
    this.#retention = retention
  }

  made(revision: Revision, now: Micros): void {
    this.#madeAt.set(revision, now)
  }

  compacted(revision: Revision, now: Micros): void {
    const madeAt = this.#madeAt.get(revision) ?? 0
    const retention = this.#retention
    check(retention === null || now - madeAt >= retention - MILLISECOND, 'I53', () => ({
      revision,
      age: now - madeAt,
      retention,
    }))
  }
}
