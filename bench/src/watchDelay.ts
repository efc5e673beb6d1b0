import { connect } from '@kvorum/client'
import type { Cluster } from './cluster.js'
import { HOST } from './loopback.js'
import { median } from './table.js'
import { spaceOfShard } from './shardLoads.js'
import { keyOf } from './requests.js'

const EVENTS = 400

export interface WatchDelay {
  /** From a put's sending to its answer, and to its event, in milliseconds. */
  readonly answer: number
  readonly event: number
  readonly eventP99: number
}

/** One put at a time into one of the shards after the other, and one watch over all of them, at another node. */
export async function watchDelay(cluster: Cluster, shards: number): Promise<WatchDelay> {
  const writer = await connect({ endpoints: `http://${HOST}:${cluster.port(0)}` })
  const reader = await connect({ endpoints: `http://${HOST}:${cluster.port(1)}` })
  const answers: number[] = []
  const events: number[] = []
  try {
    const watcher = reader.watch({
      start: spaceOfShard(0, 1, 0).prefix,
      end: spaceOfShard(shards, 1, 0).prefix,
    })
    await watcher.started
    const told = watcher[Symbol.asyncIterator]()
    for (let i = 0; i < EVENTS; i++) {
      const key = keyOf(spaceOfShard(i % shards, 1, 0), i)
      const next = told.next()
      const sent = performance.now()
      const answered = writer.put(key, 'value').then(() => answers.push(performance.now() - sent))
      const { value, done } = await next
      events.push(performance.now() - sent)
      if (done === true || !Buffer.from(value.entry.key).equals(key)) throw new Error('another event came')
      await answered
    }
    await watcher.close()
  } finally {
    await Promise.all([writer.close(), reader.close()])
  }
  const sorted = [...events].sort((a, b) => a - b)
  return {
    answer: median(answers),
    event: median(events),
    eventP99: sorted[Math.floor(sorted.length * 0.99)]!,
  }
}
