import { STAGES, type Millis, type StageTimes } from '@kvorum/model'
import type { Orders } from '../types.js'

export type Reply = Orders['replies'][number]

/** What the node noted from turn to turn, and what lies before the first and after the last: the rest of the time. */
export function addTimes(into: StageTimes, { arrived, times }: Reply, put: Millis, taken: Millis): void {
  let between = 0
  for (const stage of STAGES) {
    into[stage] += times[stage]
    between += times[stage]
  }
  into.queue += Math.max(0, arrived - put)
  into.reply += Math.max(0, taken - arrived - between)
}
