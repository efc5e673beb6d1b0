import { createHistogram, performance, PerformanceObserver, type RecordableHistogram } from 'node:perf_hooks'
import { CollectorPauses } from './collectorPauses.js'
import { ThreadClock } from './threadClock.js'

/** Below this the CPU time is not asked for a second time: it cannot be more than what passed. */
const LONG_MS = 1

/** Turns from this length on wait until the collector's pauses in them are known. */
const WAITS_MS = 5

/** How long turns take, by their own CPU time: what a preempted process waits for others does not count. */
export class TurnMeter {
  /** Microseconds. */
  readonly histogram: RecordableHistogram = createHistogram()
  readonly #clock = new ThreadClock()
  readonly #pauses = new CollectorPauses(microseconds => this.#record(microseconds))
  readonly #observer = new PerformanceObserver(list => {
    for (const { startTime, duration } of list.getEntries()) this.#pauses.paused(startTime, duration)
    this.#pauses.settle(performance.now())
  })

  constructor() {
    this.#observer.observe({ entryTypes: ['gc'] })
  }

  /** Seconds, for metrics. */
  counts(): Record<
    'turnCpuSecondsMax' | 'turnCpuP99Seconds' | 'turnCpuP999Seconds' | 'collectorPauseSecondsMax',
    number
  > {
    const { histogram } = this
    this.#pauses.settle(performance.now())
    return {
      turnCpuSecondsMax: histogram.count === 0 ? 0 : histogram.max / 1e6,
      turnCpuP99Seconds: histogram.percentile(99) / 1e6,
      turnCpuP999Seconds: histogram.percentile(99.9) / 1e6,
      collectorPauseSecondsMax: this.#pauses.longestMs / 1e3,
    }
  }

  /** Runs one turn. Its microseconds include the collector's pauses. */
  measure<Value>(work: () => Value): { readonly value: Value; readonly microseconds: number } {
    const cpu = this.#clock.now()
    const start = performance.now()
    const value = work()
    const end = performance.now()
    const passed = (end - start) * 1_000
    const used = end - start < LONG_MS ? null : this.#since(cpu)
    const microseconds = Math.min(passed, used ?? Infinity)
    if (end - start < WAITS_MS) this.#record(microseconds)
    else this.#pauses.turn({ start, end, microseconds })
    return { value, microseconds }
  }

  #record(microseconds: number): void {
    this.histogram.record(Math.max(1, Math.round(microseconds)))
  }

  #since(start: number | null): number | null {
    const now = this.#clock.now()
    return now === null || start === null ? null : now - start
  }

  close(): void {
    this.#observer.disconnect()
    this.#clock.close()
  }
}
