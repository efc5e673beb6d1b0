import { RawClient } from '@kvorum/client'
import type { Cluster } from './cluster.js'
import type { Http2Connection } from './http2/connection.js'
import { HOST } from './loopback.js'
import { METHOD, putRequest } from './messages.js'
import { keyOf } from './requests.js'
import { spaceOfShard } from './shardLoads.js'

/** One put at a time in each. */
export const RANGES = 16
/** The first halves the only shard and so ends dense mode; each of the others halves one of those there are. */
const SPLITS = [8, 4, 12, 2, 6, 10, 14]
const QUIET_MS = 2_000
const AFTER_MS = 500
const TIMEOUT_MS = 60_000

/** The longest that one put waited, in milliseconds, while one split was made. */
export interface SplitPause {
  /** Of those to the shard that was split, either half. */
  readonly split: number
  /** Of those to other shards; NaN where there were none. */
  readonly others: number
}

export interface SplitPauses {
  /** In two seconds without a split, all ranges. */
  readonly quiet: number
  readonly pauses: readonly SplitPause[]
}

interface Wait {
  readonly range: number
  readonly from: number
  readonly to: number
}

/** Puts of one key after another in each of sixteen ranges, while the only shard of a cluster is split in eight. */
export async function splitPauses(cluster: Cluster): Promise<SplitPauses> {
  const client = new RawClient({ endpoints: `http://${HOST}:${cluster.port(0)}` })
  const writers = await Writers.start(cluster)
  try {
    await sleep(AFTER_MS)
    const begun = performance.now()
    await sleep(QUIET_MS)
    const quiet = writers.longest(begun, () => true)
    const pauses: SplitPause[] = []
    for (const at of SPLITS) pauses.push(await onePause(client, writers, at))
    return { quiet, pauses }
  } finally {
    await writers.stop()
    await client.close()
  }
}

async function onePause(client: RawClient, writers: Writers, at: number): Promise<SplitPause> {
  const { first, last } = rangesOf(at)
  const begun = performance.now()
  const before = (await client.call('kvorum.v1.Shard/List', {})).shards.length
  await client.call('kvorum.v1.Shard/Split', { at: Buffer.from(spaceOfShard(at, 1, 0).prefix) })
  await settled(client, before + 1)
  await sleep(AFTER_MS)
  const isOfSplit = (range: number): boolean => range >= first && range < last
  return {
    split: writers.longest(begun, isOfSplit),
    others: writers.longest(begun, range => !isOfSplit(range)),
  }
}

/** What the shard that has `at` in its middle holds: it is as long as the largest power of two in `at` twice. */
function rangesOf(at: number): { readonly first: number; readonly last: number } {
  const half = at & -at
  return { first: at - half, last: at + half }
}

/** Until there are so many shards, none of them being split. */
async function settled(client: RawClient, shards: number): Promise<void> {
  const deadline = performance.now() + TIMEOUT_MS
  for (;;) {
    const list = (await client.call('kvorum.v1.Shard/List', {})).shards
    if (list.length === shards && list.every(({ state }) => state === 0)) return
    if (performance.now() > deadline) throw new Error('a split did not end')
    await sleep(10)
  }
}

/** One put in flight to each range, through the members in turn. */
class Writers {
  #stopped = false
  #waits: Wait[] = []
  readonly #lanes: Promise<void>[]
  readonly #connections: readonly Http2Connection[]

  private constructor(connections: readonly Http2Connection[]) {
    this.#connections = connections
    this.#lanes = Array.from({ length: RANGES }, (_, range) => this.#lane(range))
    // What a lane throws is thrown by `stop`.
    for (const lane of this.#lanes) lane.catch(() => (this.#stopped = true))
  }

  static async start(cluster: Cluster): Promise<Writers> {
    const connections: Http2Connection[] = []
    for (let node = 0; node < cluster.size; node++) connections.push(await cluster.connect(node))
    return new Writers(connections)
  }

  async #lane(range: number): Promise<void> {
    const connection = this.#connections[range % this.#connections.length]!
    const message = putRequest(keyOf(spaceOfShard(range, 1, 0), 0), Buffer.from('value'))
    while (!this.#stopped) {
      const from = performance.now()
      await connection.call(METHOD.put, message, TIMEOUT_MS)
      this.#waits.push({ range, from, to: performance.now() })
    }
  }

  /** Of the puts that were answered since `since`; what was before is forgotten. */
  longest(since: number, isWanted: (range: number) => boolean): number {
    this.#waits = this.#waits.filter(({ to }) => to >= since)
    const wanted = this.#waits.filter(({ range }) => isWanted(range))
    return wanted.length === 0 ? NaN : Math.max(...wanted.map(({ from, to }) => to - from))
  }

  /** Throws where a put failed: none may. */
  async stop(): Promise<void> {
    this.#stopped = true
    try {
      await Promise.all(this.#lanes)
    } finally {
      for (const connection of this.#connections) connection.close()
    }
  }
}

const sleep = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
