import { LIMITS } from '@kvorum/model'

/** A turn that was long enough to have been interrupted; times in milliseconds of one clock. */
interface LongTurn {
  readonly start: number
  readonly end: number
  /** CPU time that its thread used meanwhile, the collector's share included. */
  readonly microseconds: number
}

interface Pause {
  readonly start: number
  readonly end: number
}

/** The garbage collector's pauses are told some rounds of the event loop after they happened. */
const TOLD_AFTER_MS = 1_000

/**
 * Takes the garbage collector's pauses out of the turns they fell into: the collector runs when the whole process
 * has allocated enough, and whom it interrupts is chance. A pause is told in time that passed; of a preempted
 * turn it is counted with the share of CPU time that the turn had as a whole.
 */
export class CollectorPauses {
  longestMs = 0
  readonly #record: (microseconds: number) => void
  #turns: LongTurn[] = []
  #pauses: Pause[] = []

  constructor(record: (microseconds: number) => void) {
    this.#record = record
  }

  paused(start: number, duration: number): void {
    this.longestMs = Math.max(this.longestMs, duration)
    this.#pauses.push({ start, end: start + duration })
    if (this.#pauses.length > LIMITS.longTurnsMax) this.#pauses.shift()
  }

  turn(turn: LongTurn): void {
    this.#turns.push(turn)
    if (this.#turns.length > LIMITS.longTurnsMax) this.#judge(this.#turns.shift()!)
  }

  /** Judges the turns whose pauses must have been told by now. */
  settle(now: number): void {
    const told = this.#turns.filter(({ end }) => end <= now - TOLD_AFTER_MS)
    this.#turns = this.#turns.slice(told.length)
    for (const turn of told) this.#judge(turn)
    const oldest = this.#turns[0]?.start ?? now - TOLD_AFTER_MS
    this.#pauses = this.#pauses.filter(({ end }) => end > oldest)
  }

  #judge({ start, end, microseconds }: LongTurn): void {
    const passed = end - start
    let paused = 0
    for (const pause of this.#pauses) {
      paused += Math.max(0, Math.min(end, pause.end) - Math.max(start, pause.start))
    }
    this.#record(microseconds * (1 - Math.min(1, paused / passed)))
  }
}
