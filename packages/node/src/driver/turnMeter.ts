import { createHistogram, performance, type RecordableHistogram } from 'node:perf_hooks'

/**
 * How long turns take. A turn's own CPU time is at most the time that passed and at most the CPU time of the
 * whole process, so the lesser of the two is an upper bound that a preempted process does not inflate.
 */
export class TurnMeter {
  /** Microseconds. */
  readonly histogram: RecordableHistogram = createHistogram()

  /** Seconds, for metrics. */
  counts(): Record<'turnCpuSecondsMax' | 'turnCpuP99Seconds' | 'turnCpuP999Seconds', number> {
    const { histogram } = this
    return {
      turnCpuSecondsMax: histogram.count === 0 ? 0 : histogram.max / 1e6,
      turnCpuP99Seconds: histogram.percentile(99) / 1e6,
      turnCpuP999Seconds: histogram.percentile(99.9) / 1e6,
    }
  }

  /** Asking for the CPU time costs as much as a small turn, so small turns are measured by the time that passed. */
  measure<Value>(large: boolean, work: () => Value): Value {
    const cpu = large ? process.cpuUsage() : null
    const start = performance.now()
    try {
      return work()
    } finally {
      const passed = (performance.now() - start) * 1000
      const used = cpu === null ? passed : processTime(process.cpuUsage(cpu))
      this.histogram.record(Math.max(1, Math.round(Math.min(passed, used))))
    }
  }
}

const processTime = ({ user, system }: NodeJS.CpuUsage): number => user + system
