import { isPoint, LIMITS, type ClientRequest } from '@kvorum/model'
import type { Group } from './state.js'

/**
 * How many requests for single keys the leader of a shard has had since it last told of it, and a sample of the keys:
 * every n-th one, and half as many of them whenever there are too many. Counted only where the oracle gives revisions,
 * since an only shard has no others to be compared with; there every read asks the leader, too.
 */
export interface Demand {
  requests: number
  keys: Uint8Array[]
  /** One of so many requests is sampled. */
  stride: number
}

export const createDemand = (): Demand => ({ requests: 0, keys: [], stride: 1 })

/** Of what a shard's leader is asked. */
export function noteDemand({ demand, revisions }: Group, request: ClientRequest): void {
  if (revisions === null || (request.kind !== 'write' && request.kind !== 'resolve')) return
  const [range] = request.ranges
  if (range === undefined || !isPoint(range)) return
  if (demand.requests++ % demand.stride !== 0) return
  if (demand.keys.length >= LIMITS.sampledKeysMax) {
    demand.keys = demand.keys.filter((_, at) => at % 2 === 0)
    demand.stride *= 2
  }
  // A copy: the key is a part of a request that may be large.
  demand.keys.push(Buffer.from(range.start.subarray(0, LIMITS.middleKeyBytesMax)))
}
