import { utf8 } from '@kvorum/model'
import { encodeMetaCommand } from '@kvorum/placement'
import type { Random } from '../random.js'
import { Client } from './client.js'
import type { Cluster } from './cluster.js'
import { keyPrefix, type Area } from './plan.js'

/** More shards than this only make a run slower. */
const SHARDS_MAX = 12

/** Splits shards at any key, at any time, asking any node; most of what it asks succeeds. */
export class Splitter {
  readonly #cluster: Cluster
  readonly #client: Client
  #stopped = false

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    this.#client = new Client(cluster, cluster.random.stream('splitter'))
  }

  start(): void {
    if (this.#cluster.plan.swarm.cluster.splitEvery > 0) this.#next()
  }

  stop(): void {
    this.#stopped = true
  }

  #next(): void {
    const { schedule, plan } = this.#cluster
    schedule.after(this.#client.random.exponential(plan.swarm.cluster.splitEvery), 'split', () => {
      if (this.#stopped) return
      if (this.#cluster.observer.truths.shards.length >= SHARDS_MAX) this.#next()
      else this.#split()
    })
  }

  #split(): void {
    const { coverage } = this.#cluster
    const { random } = this.#client
    const command = encodeMetaCommand({ kind: 'splitShard', at: utf8(this.#key(random)), group: null })
    this.#client.ask({ kind: 'meta', command }, outcome => {
      coverage.mark(`split ${outcome.kind === 'fail' ? outcome.code : outcome.kind}`)
      this.#next()
    })
  }

  #key(random: Random): string {
    const area: Area = random.pick(this.#cluster.areas)
    const choice = random.float()
    if (choice < 0.2) return keyPrefix(area).slice(0, -1)
    if (choice < 0.3) return `g${area}l/${random.int(0, 9)}`
    return `${keyPrefix(area)}${random.int(0, 99)}`
  }
}
