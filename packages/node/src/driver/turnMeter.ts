import { createHistogram, performance, type RecordableHistogram } from 'node:perf_hooks'
import { ThreadClock } from './threadClock.js'

/** Below this the CPU time is not asked for a second time: it cannot be more than what passed. */
const LONG_MS = 1

/**
 * How long turns take, by their own CPU time: what a preempted process waits for others does not count, the
 * garbage collected meanwhile does.
 */
export class TurnMeter {
  /** Microseconds. */
  readonly histogram: RecordableHistogram = createHistogram()
  readonly #clock = new ThreadClock()

  /** Seconds, for metrics. */
  counts(): Record<'turnCpuSecondsMax' | 'turnCpuP99Seconds' | 'turnCpuP999Seconds', number> {
    const { histogram } = this
    return {
      turnCpuSecondsMax: histogram.count === 0 ? 0 : histogram.max / 1e6,
      turnCpuP99Seconds: histogram.percentile(99) / 1e6,
      turnCpuP999Seconds: histogram.percentile(99.9) / 1e6,
    }
  }

  measure<Value>(work: () => Value): Value {
    const cpu = this.#clock.now()
    const start = performance.now()
    try {
      return work()
    } finally {
      const passed = performance.now() - start
      const used = passed < LONG_MS ? null : this.#since(cpu)
      this.histogram.record(Math.max(1, Math.round(Math.min(passed * 1_000, used ?? Infinity))))
    }
  }

  #since(start: number | null): number | null {
    const now = this.#clock.now()
    return now === null || start === null ? null : now - start
  }

  close(): void {
    this.#clock.close()
  }
}
