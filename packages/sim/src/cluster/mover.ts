import { META_GROUP, type NodeId } from '@kvorum/model'
import { encodeMetaCommand, type MetaCommand } from '@kvorum/placement'
import { Client } from './client.js'
import type { Cluster } from './cluster.js'
import { nodeOf } from './nodeConfig.js'

/**
 * Moves replicas of shards to other nodes, some or all of them at once, and now and then drains a node and takes that
 * back: by what any node knows of where they are, which may be old.
 */
export class Mover {
  readonly #cluster: Cluster
  readonly #client: Client
  readonly #drained = new Set<NodeId>()
  #stopped = false

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    this.#client = new Client(cluster, cluster.random.stream('mover'))
  }

  start(): void {
    if (this.#cluster.plan.swarm.cluster.moveEvery > 0) this.#next()
  }

  /** Nobody is drained any more, so that everything finds a place. */
  stop(): void {
    this.#stopped = true
    for (const node of this.#drained) this.#undrain(node)
  }

  #next(): void {
    const { schedule, plan } = this.#cluster
    schedule.after(this.#client.random.exponential(plan.swarm.cluster.moveEvery) + 1, 'move', () => {
      if (this.#stopped) return
      const command = this.#client.random.chance(0.15) ? this.#drain() : this.#move()
      if (command === null) this.#next()
      else this.#ask(command, () => this.#next())
    })
  }

  #ask(command: MetaCommand, then: (done: boolean) => void): void {
    const { coverage } = this.#cluster
    this.#client.ask({ kind: 'meta', command: encodeMetaCommand(command) }, outcome => {
      coverage.mark(`${command.kind} ${outcome.kind === 'fail' ? outcome.code : outcome.kind}`)
      // Who is no member any more is not drained either.
      then(outcome.kind === 'ok' || (outcome.kind === 'fail' && outcome.code === 'memberNotFound'))
    })
  }

  #move(): MetaCommand | null {
    const { random } = this.#client
    const metas = this.#cluster.nodes.flatMap(
      ({ state }) => state?.groups.get(META_GROUP)?.machine.meta ?? [],
    )
    if (metas.length === 0) return null
    const placed = random.pick(random.pick(metas).placement.shards)
    const others = this.#nodes().filter(node => !placed.nodes.includes(node))
    if (others.length === 0) return null
    const stay = placed.nodes.filter(() => random.chance(0.7))
    const come = random.shuffle(others).slice(0, Math.max(1, placed.nodes.length - stay.length))
    const nodes = [...come, ...stay].slice(0, placed.nodes.length).sort((a, b) => (a < b ? -1 : 1))
    return { kind: 'placeShard', group: placed.group, before: placed.nodes, nodes, override: false }
  }

  #drain(): MetaCommand {
    const { random } = this.#client
    const node = random.pick(this.#nodes())
    const drain = !this.#drained.delete(node)
    if (drain) this.#drained.add(node)
    return { kind: 'drainNode', node, drain }
  }

  #undrain(node: NodeId): void {
    this.#ask({ kind: 'drainNode', node, drain: false }, done => {
      if (!done) this.#cluster.schedule.after(200_000, 'move', () => this.#undrain(node))
    })
  }

  /** Not those whose disks are gone for good; one that is only away is as good as any. */
  #nodes(): NodeId[] {
    return this.#cluster.nodes.filter(({ wiped }) => !wiped).map(({ station }) => nodeOf(station))
  }
}
