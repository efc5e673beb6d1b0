import { createHistogram, performance, type RecordableHistogram } from 'node:perf_hooks'

/**
 * How long turns take. A turn's own CPU time is at most the time that passed and at most the CPU time of the
 * whole process, so the lesser of the two is an upper bound that a preempted process does not inflate.
 */
export class TurnMeter {
  /** Microseconds. */
  readonly histogram: RecordableHistogram = createHistogram()

  measure<Value>(work: () => Value): Value {
    const cpu = process.cpuUsage()
    const start = performance.now()
    try {
      return work()
    } finally {
      const passed = (performance.now() - start) * 1000
      const { user, system } = process.cpuUsage(cpu)
      this.histogram.record(Math.max(1, Math.round(Math.min(passed, user + system))))
    }
  }
}
