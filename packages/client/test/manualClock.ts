import type { Clock } from '@kvorum/client'

interface Timer {
  readonly at: number
  readonly callback: () => void
}

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  #now = 1_000
  readonly #timers = new Set<Timer>()

  now(): number {
    return this.#now
  }

  random(): number {
    return 0.5
  }

  timer(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  get pending(): number {
    return this.#timers.size
  }

  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const due = [...this.#timers].filter(timer => timer.at <= end).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#timers.delete(due)
      this.#now = Math.max(this.#now, due.at)
      due.callback()
    }
    this.#now = end
  }
}

/** Real time, but pauses are only noted and end at once. */
export class HastyClock implements Clock {
  readonly pauses: number[] = []
  readonly #chance: number

  constructor(chance = 0.5) {
    this.#chance = chance
  }

  now(): number {
    return performance.now()
  }

  random(): number {
    return this.#chance
  }

  timer(ms: number, callback: () => void): () => void {
    this.pauses.push(ms)
    const timer = setImmediate(callback)
    return () => clearImmediate(timer)
  }
}
