import { readdirSync, readFileSync } from 'node:fs'
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
  const limit = descriptorLimit()
  gauge('process_max_fds', 'Most file descriptors that may be open.').set(limit)
  gauge('os_fd_limit', 'Most file descriptors that may be open.').set(limit)
  const used = gauge('os_fd_used', 'Open file descriptors.')
  const virtual = gauge('process_virtual_memory_bytes', 'Virtual memory of the process.')
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
      const cpuUsed = process.cpuUsage()
      cpu.reset()
      cpu.inc((cpuUsed.user + cpuUsed.system) / MICROSECONDS)
      const memory = process.memoryUsage()
      resident.set(memory.rss)
      heap.set(memory.heapUsed)
      external.set(memory.external)
      const open = openDescriptors()
      descriptors.set(open)
      used.set(open)
      virtual.set(virtualBytes())
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

/** 0 where the system does not tell. */
export const descriptorLimit = (): number => Number(fileMatch('/proc/self/limits', /^Max open files +(\d+)/m))

const virtualBytes = (): number => 1024 * Number(fileMatch('/proc/self/status', /^VmSize:\s+(\d+) kB/m))

function fileMatch(path: string, pattern: RegExp): string {
  try {
    return pattern.exec(readFileSync(path, 'utf8'))?.[1] ?? '0'
  } catch {
    return '0'
  }
}
