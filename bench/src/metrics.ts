import type { Cluster } from './cluster.js'

/** What our servers say about themselves, in Prometheus' text format. */
export const METRIC = {
  /** The longest turn's own CPU time since the process started, in seconds. */
  turnCpuMax: 'kvorum_turn_cpu_seconds_max',
  /** Quantiles of the event loop's delay since the metrics were read last, in seconds. */
  eventLoopDelay: 'kvorum_event_loop_delay_seconds',
  /** Raft groups that the node leads, the meta group among them. */
  groupsLed: 'kvorum_groups_led',
} as const

/** The greatest value of a metric over its label sets that contain `label`; NaN where there is none. */
export function metricMax(text: string, name: string, label = ''): number {
  let max = NaN
  for (const line of text.split('\n')) {
    const [, found, labels = '', value] = /^([a-zA-Z_:]+)(\{[^}]*\})? (\S+)/.exec(line) ?? []
    if (found !== name || !labels.includes(label)) continue
    const number = Number(value)
    if (!Number.isNaN(number)) max = Number.isNaN(max) ? number : Math.max(max, number)
  }
  return max
}

/** Reads the nodes' metrics from time to time and remembers the longest turn of any of them. */
export class TurnWatch {
  #max = NaN

  /** The event-loop delay since the last look: the worst node's 99.9th percentile, in seconds. */
  async look(cluster: Cluster): Promise<number> {
    let delay = NaN
    for (let index = 0; index < cluster.size; index++) {
      const text = await cluster.metrics(index)
      this.#max = maxOf(this.#max, metricMax(text, METRIC.turnCpuMax))
      delay = maxOf(delay, metricMax(text, METRIC.eventLoopDelay, 'quantile="0.999"'))
    }
    return delay
  }

  get maxSeconds(): number {
    return this.#max
  }
}

const maxOf = (a: number, b: number): number => (Number.isNaN(a) ? b : Number.isNaN(b) ? a : Math.max(a, b))
