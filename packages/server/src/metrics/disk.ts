import { performance } from 'node:perf_hooks'
import { Histogram, type Registry } from 'prom-client'
import type { LogPort, StorePort } from '@kvorum/node'

/** Doubling from a millisecond to eight seconds, as dashboards of etcd expect. */
const BUCKETS = Array.from({ length: 14 }, (_, exponent) => 0.001 * 2 ** exponent)

/** How long the disk takes, under etcd's names. */
export interface DiskTimes {
  readonly log: (port: LogPort) => LogPort
  readonly store: (port: StorePort) => StorePort
}

export function createDiskTimes(registry: Registry): DiskTimes {
  const histogram = (name: string, help: string): Histogram =>
    new Histogram({ name, help, buckets: BUCKETS, registers: [registry] })
  const synced = histogram(
    'etcd_disk_wal_fsync_duration_seconds',
    'Time of writing to the log and syncing it.',
  )
  const committed = histogram(
    'etcd_disk_backend_commit_duration_seconds',
    'Time of writing a batch to the state store.',
  )
  return {
    log: port => ({ ...port, append: timed(synced, order => port.append(order)) }),
    store: port => ({
      ...port,
      batch: timed(committed, (writes, options) => port.batch(writes, options)),
    }),
  }
}

const timed =
  <Arguments extends readonly unknown[], Value>(
    histogram: Histogram,
    act: (...given: Arguments) => Promise<Value>,
  ) =>
  async (...given: Arguments): Promise<Value> => {
    const begun = performance.now()
    try {
      return await act(...given)
    } finally {
      histogram.observe((performance.now() - begun) / 1000)
    }
  }

/** Nothing is measured. */
export const UNTIMED: DiskTimes = { log: port => port, store: port => port }
