import {
  compareBytes,
  pointRange,
  prefixRange,
  utf8,
  watchResponseBytes,
  type KeyRange,
  type WatchCreate,
  type WatchResponse,
} from '@kvorum/model'
import { WatchValidator } from '../invariants/watches.js'
import type { Random } from '../random.js'
import { MILLISECOND, SECOND } from '../schedule.js'
import type { Cluster } from './cluster.js'
import { keyPrefix, type Area } from './plan.js'
import type { SimNode } from './simNode.js'
import { watchAs } from './userEdge.js'

/** Clients that watch: from now or from the past, resuming at another node when a stream is lost. */
export class Watchers {
  readonly all: readonly Watching[]

  constructor(cluster: Cluster) {
    const { watchers, kinds } = cluster.plan.swarm.workload
    const count = kinds.includes('watches') ? Math.max(1, watchers) : Math.min(1, watchers)
    this.all = Array.from(
      { length: count },
      (_, i) => new Watching(cluster, cluster.random.stream(`watcher ${i}`), `watch ${i}`),
    )
  }

  start(): void {
    for (const one of this.all) one.start()
  }

  /** Slow clients take what they are sent at once from here on: a bound on catching up speaks of the nodes. */
  hurry(): void {
    for (const one of this.all) one.hurry()
  }
}

/** One watch of one client, on a stream of its own. */
export class Watching {
  readonly group: Area
  readonly #cluster: Cluster
  readonly #random: Random
  readonly #name: string
  #create: WatchCreate
  #validator: WatchValidator
  #node: SimNode | null = null
  #stream: number | null = null
  /** Counts streams, so that late answers of an old one are not taken for the present one's. */
  #attempt = 0
  #restarts = 0
  #slow: boolean
  /** The last progress that the server announced to this stream. */
  progress = 0

  constructor(cluster: Cluster, random: Random, name: string) {
    this.#cluster = cluster
    this.#random = random
    this.#name = name
    this.#slow = cluster.plan.slowWatchers
    this.group = random.pick(cluster.areas)
    this.#create = this.#draw(0)
    this.#validator = this.#judge()
  }

  start(): void {
    this.#cluster.schedule.after(this.#random.int(0, 5 * SECOND), 'watcher', () => this.#open())
  }

  get created(): boolean {
    return this.#stream !== null
  }

  askProgress(): void {
    if (this.#node !== null && this.#stream !== null) this.#node.sendWatch(this.#stream, { kind: 'progress' })
  }

  finish(): void {
    this.#validator.finish()
  }

  hurry(): void {
    this.#slow = false
  }

  #judge(): WatchValidator {
    const truth = this.#cluster.truthOf(this.group)
    const name = `${this.#name}.${this.#restarts}`
    return new WatchValidator(truth, this.#create, name, this.#cluster.plan.swarm.cluster.oracle)
  }

  #draw(startRevision: number): WatchCreate {
    const random = this.#random
    return {
      range: this.#range(random),
      startRevision,
      progressNotify: random.chance(0.5),
      noPut: random.chance(0.1),
      noDelete: random.chance(0.1),
      prevKv: random.chance(0.5),
      watchId: 0,
      fragment: random.chance(0.2),
    }
  }

  /** Where there is one order over all shards, also keys of several of them, and of those that come by splits. */
  #range(random: Random): KeyRange {
    const { areas, plan } = this.#cluster
    const key = (area: Area, most: number): Uint8Array => utf8(`${keyPrefix(area)}${random.int(0, most)}`)
    if (plan.swarm.cluster.wideWatches && random.chance(0.5)) {
      if (random.chance(0.5)) return prefixRange(utf8('g'))
      const [start, end] = [key(random.pick(areas), 99), key(random.pick(areas), 99)].sort(compareBytes)
      return { start: start!, end: Buffer.concat([end!, utf8('x')]) }
    }
    return random.chance(0.6) ? prefixRange(utf8(keyPrefix(this.group))) : pointRange(key(this.group, 2))
  }

  #open(): void {
    const { nodes } = this.#cluster
    const node = this.#random.pick(nodes)
    const attempt = ++this.#attempt
    const stream = node.openStream({
      receive: response => this.#later(attempt, () => this.#receive(response)),
      lost: () => this.#later(attempt, () => this.#lost()),
    })
    if (stream === null) {
      this.#retry()
      return
    }
    this.#node = node
    this.#stream = stream
    this.progress = 0
    node.sendWatch(stream, {
      kind: 'create',
      create: watchAs(node, { ...this.#create, startRevision: this.#validator.resumeFrom }),
    })
  }

  /** In order: delays only grow while something is on its way. */
  #later(attempt: number, run: () => void): void {
    const { schedule } = this.#cluster
    this.#arrival = Math.max(schedule.now + this.#random.int(50, 1_000), this.#arrival + 1)
    schedule.at(this.#arrival, 'watched', () => {
      if (attempt === this.#attempt) run()
    })
  }

  #arrival = 0

  #receive(response: WatchResponse): void {
    this.#consume(response)
    if (response.kind === 'progress') this.progress = response.header.revision
    if (response.watchId === -1 && response.kind === 'progress') {
      this.#validator.observeStreamProgress(response.header.revision)
      return
    }
    // Of the node's answers `fragment` says that the edge may split them; here they arrive whole.
    this.#validator.observe(response.kind === 'events' ? { ...response, fragment: false } : response)
    if (response.kind === 'refused') this.#drop()
    else if (response.kind === 'canceled') {
      // What is gone is gone: a new watch begins at the first revision that is left.
      this.#restarts++
      this.#create = this.#draw(Math.max(response.compactRevision, this.#create.startRevision, 1))
      this.#validator = this.#judge()
      this.#reopen()
    } else if (this.#random.chance(0.002)) this.#drop()
  }

  #consume(response: WatchResponse): void {
    const { schedule } = this.#cluster
    const node = this.#node!
    const stream = this.#stream!
    const bytes = watchResponseBytes(response)
    const delay = this.#slow ? this.#random.int(0, 500 * MILLISECOND) : this.#random.int(0, MILLISECOND)
    const { life } = node
    schedule.after(delay, 'consumed', () => {
      if (node.life === life) node.consumed(stream, bytes)
    })
  }

  #lost(): void {
    this.#stream = null
    this.#validator.resume()
    this.#retry()
  }

  /** The client leaves the stream by itself and goes on elsewhere. */
  #drop(): void {
    this.#validator.resume()
    this.#reopen()
  }

  #reopen(): void {
    if (this.#stream !== null) this.#node?.closeStream(this.#stream)
    this.#stream = null
    this.#attempt++
    this.#retry()
  }

  #retry(): void {
    const attempt = ++this.#attempt
    this.#cluster.schedule.after(this.#random.int(10, 500) * MILLISECOND, 'watcher', () => {
      if (attempt === this.#attempt) this.#open()
    })
  }
}
