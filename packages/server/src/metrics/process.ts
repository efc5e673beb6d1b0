import { readdirSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, type Registry } from 'prom-client'

export interface ProcessMetrics {
  read(): void
  close(): void
}

const NANOSECONDS = 1e9
const MICROSECONDS = 1e6
const QUANTILES = [0.5, 0.9, 0.99, 0.999, 1] as const

/** CPU, memory, descriptors and how late the event loop runs. Of this server alone: nothing is global. */
export function createProcessMetrics(registry: Registry): ProcessMetrics {
  const registers = [registry]
  const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers })
  const cpu = new Counter({
    name: 'process_cpu_seconds_total',
    help: 'User and system CPU time of the process.',
    registers,
  })
  const resident = gauge('process_resident_memory_bytes', 'Resident memory of the process.')
  const heap = gauge('nodejs_heap_size_used_bytes', 'Used JavaScript heap.')
  const external = gauge('nodejs_external_memory_bytes', 'Memory of buffers outside the heap.')
  const descriptors = gauge('process_open_fds', 'Open file descriptors.')
  gauge('process_start_time_seconds', 'When the process started, in Unix time.').set(
    Math.round(Date.now() / 1000 - process.uptime()),
  )
  const delay = new Gauge({
    name: 'kvorum_event_loop_delay_seconds',
    help: 'How late the event loop ran timers since the last reading, by quantile.',
    labelNames: ['quantile'],
    registers,
  })
  const histogram = monitorEventLoopDelay({ resolution: 10 })
  histogram.enable()
  return {
    read: () => {
      const used = process.cpuUsage()
      cpu.reset()
      cpu.inc((used.user + used.system) / MICROSECONDS)
      const memory = process.memoryUsage()
      resident.set(memory.rss)
      heap.set(memory.heapUsed)
      external.set(memory.external)
      descriptors.set(openDescriptors())
      for (const quantile of QUANTILES) {
        const late = quantile === 1 ? histogram.max : histogram.percentile(quantile * 100)
        delay.set({ quantile: String(quantile) }, histogram.count === 0 ? 0 : late / NANOSECONDS)
      }
      histogram.reset()
    },
    close: () => {
      histogram.disable()
    },
  }
}

/** 0 where the system does not tell. */
function openDescriptors(): number {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return 0
  }
}
