import { STAGES, type Stage, type StageTimes } from '@kvorum/model'
import type { Metric, Registry } from 'prom-client'

const NAME = 'kvorum_request_stage_seconds'
const HELP = 'Time of unary requests in each stage of this node; stages that took none are not counted.'
/** Upper bounds, in seconds. */
const BUCKETS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

interface Counts {
  /** By bucket, not added up; the last one is for everything above. */
  readonly buckets: number[]
  sum: number
}

interface Sample {
  readonly metricName: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

/**
 * A histogram by stage. Several stages of every request are counted, so that is an addition and no more; the form
 * of the library, which looks labels up by their text each time, is made when somebody reads it.
 */
export class StageHistogram {
  readonly name = NAME
  readonly help = HELP
  readonly type = 'histogram'
  readonly aggregator = 'sum'
  readonly #counts = Object.fromEntries(
    STAGES.map(stage => [stage, { buckets: BUCKETS.map(() => 0).concat(0), sum: 0 }]),
  ) as Record<Stage, Counts>

  constructor(registry: Registry) {
    registry.registerMetric(this as unknown as Metric)
  }

  observe(times: StageTimes): void {
    for (const stage of STAGES) {
      const seconds = times[stage] / 1000
      if (seconds <= 0) continue
      const counts = this.#counts[stage]
      let bucket = 0
      while (bucket < BUCKETS.length && seconds > BUCKETS[bucket]!) bucket++
      counts.buckets[bucket]! += 1
      counts.sum += seconds
    }
  }

  /** What the registry asks for. */
  get(): Promise<Pick<this, 'name' | 'help' | 'type' | 'aggregator'> & { values: Sample[] }> {
    const { name, help, type, aggregator } = this
    return Promise.resolve({
      name,
      help,
      type,
      aggregator,
      values: STAGES.flatMap(stage => this.#samples(stage)),
    })
  }

  reset(): void {
    for (const counts of Object.values(this.#counts)) {
      counts.buckets.fill(0)
      counts.sum = 0
    }
  }

  #samples(stage: Stage): Sample[] {
    const { buckets, sum } = this.#counts[stage]
    let count = 0
    const cumulative = buckets.map((each, at): Sample => {
      count += each
      return { metricName: `${NAME}_bucket`, labels: { le: BUCKETS[at] ?? '+Inf', stage }, value: count }
    })
    return [
      ...cumulative,
      { metricName: `${NAME}_sum`, labels: { stage }, value: sum },
      { metricName: `${NAME}_count`, labels: { stage }, value: count },
    ]
  }
}
