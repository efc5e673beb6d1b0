import { META_GROUP } from '@kvorum/model'
import { recover, type MemoryDisk } from '@kvorum/storage'
import { CALM_LINK } from '../network/faults.js'
import { drawCuts, type Cut, type Station } from '../network/partition.js'
import type { Random } from '../random.js'
import { MILLISECOND, SECOND, type Micros } from '../schedule.js'
import type { Recurring } from '../swarm.js'
import type { Cluster } from './cluster.js'
import type { SimNode } from './simNode.js'

/** Does to the cluster what the seed drew, until it is told to stop; `heal` undoes all of it. */
export class Nemesis {
  readonly #cluster: Cluster
  readonly #random: Random
  #stopped = false

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    this.#random = cluster.random.stream('nemesis')
  }

  start(): void {
    const { faults } = this.#cluster.plan.swarm
    const { network, nodes } = this.#cluster
    network.setFaults((from, to) => (from === to ? CALM_LINK : faults.links))
    this.#every('partition', faults.partition, time => this.#partition(time))
    this.#every('clog', faults.clog, time => this.#clog(time))
    this.#every('crash', faults.crash, time => this.#crash(time))
    this.#every('pause', faults.pause, time => this.#pause(time))
    this.#every('oracle', faults.oracle, time => this.#oracle(time))
    this.#every('deposed', faults.deposed, time => this.#depose(time))
    this.#every('freeze', faults.clock.freeze, time => this.#freeze(time))
    if (faults.disk.fullChance > 0) {
      const full = { every: 8 * SECOND, lastsMax: 4 * SECOND }
      this.#every('diskFull', full, time => this.#fill(time))
    }
    const { driftMax, wallJumpMax } = faults.clock
    for (const node of nodes) {
      node.clock.setRate(1 + this.#random.between(-driftMax / (1 + driftMax), driftMax))
      if (wallJumpMax > 0) this.#jumps(node, wallJumpMax)
    }
  }

  /** All faults off, everybody up. */
  heal(): void {
    this.#stopped = true
    const { network, nodes, world } = this.#cluster
    network.heal()
    network.calm()
    world.diskFaults = { ...world.diskFaults, syncMean: 2_000, slowSyncChance: 0, errorChance: 0 }
    for (const node of nodes) {
      node.disk.setCapacity(Infinity)
      node.clock.thaw()
      node.clock.setRate(1)
      node.resume()
      node.start()
      node.resetConnections()
    }
  }

  #every(label: string, { every, lastsMax }: Recurring, act: (time: Micros) => void): void {
    if (every === 0) return
    const random = this.#random.stream(label)
    const next = (): void => {
      this.#cluster.schedule.after(random.exponential(every) + 1, label, () => {
        if (this.#stopped) return
        this.#cluster.coverage.mark(label)
        act(random.int(1, lastsMax))
        next()
      })
    }
    next()
  }

  #after(time: Micros, label: string, undo: () => void): void {
    this.#cluster.schedule.after(time, label, () => {
      if (!this.#stopped) undo()
    })
  }

  #victim(): SimNode {
    const { nodes, observer } = this.#cluster
    const leader = this.#cluster.leaderOf(this.#random.pick(observer.truths.shards).group)
    return leader !== undefined && this.#random.chance(0.5) ? leader : this.#random.pick(nodes)
  }

  #partition(time: Micros): void {
    const { network, nodes, plan } = this.#cluster
    const kind = this.#random.pick(plan.swarm.faults.partition.kinds)
    const stations: Station[] = nodes.map(({ station }) => station)
    const cuts = drawCuts(kind, stations, this.#random, this.#victim().station)
    network.block(cuts)
    this.#after(time, 'partitionEnds', () => network.unblock(cuts))
  }

  #clog(time: Micros): void {
    const { network, nodes } = this.#cluster
    if (nodes.length < 2) return
    const [from, to] = this.#random.shuffle(nodes)
    network.clog(from!.station, to!.station, time)
  }

  #crash(time: Micros): void {
    const { nodes, plan } = this.#cluster
    const { powerLoss, allAtOnceChance } = plan.swarm.faults.crash
    const all = this.#random.chance(allAtOnceChance)
    const lost = powerLoss && this.#random.chance(0.8)
    for (const node of all ? nodes : [this.#victim()]) this.#take(node, lost, time)
  }

  #take(node: SimNode, powerLoss: boolean, time: Micros): void {
    if (node.status !== 'up' && node.status !== 'recovering') return
    const { coverage, plan } = this.#cluster
    if (node.status === 'recovering') coverage.mark('crash in recovery')
    node.crash(powerLoss)
    if (this.#random.chance(plan.swarm.faults.disk.bitRotChance)) this.#rot(node)
    const away = this.#random.chance(0.5) ? time : this.#random.int(1, 200 * MILLISECOND)
    this.#after(away, 'restart', () => {
      node.start()
      if (!this.#random.chance(0.15)) return
      const { life } = node
      this.#after(this.#random.int(1, 5 * MILLISECOND), 'crashAgain', () => {
        if (node.life === life) this.#take(node, powerLoss, time)
      })
    })
  }

  /** A bit flips in what was synced long ago; the atlas: one node at most, so that a quorum has good copies. */
  #rot(node: SimNode): void {
    const { nodes, coverage } = this.#cluster
    if (nodes.length < 3 || nodes.some(other => other !== node && other.damaged)) return
    const segments = node.disk.listSync().filter(({ name }) => name.endsWith('.wal'))
    const newest = segments.at(-1)
    if (newest === undefined) return
    // Behind the start of the last batch damage may be a torn tail, which must be cut and not reported.
    const proven = lastBatchAt(node.disk)
    const { name, bytes } = this.#random.pick(segments)
    const end = name === newest.name ? proven : bytes
    if (end <= HEADER_BYTES) return
    node.disk.flip(name, this.#random.int(HEADER_BYTES, end - 1), 1 << this.#random.int(0, 7))
    node.damaged = true
    coverage.mark('bit rot')
  }

  /** Whoever gives out the revisions falls out, while others go on asking. */
  #oracle(time: Micros): void {
    const node = this.#cluster.leaderOf(META_GROUP)
    if (node === undefined) return
    this.#cluster.coverage.mark('oracle falls out')
    if (this.#random.chance(0.5)) this.#take(node, this.#random.chance(0.5), time)
    else this.#pause(time, node)
  }

  /**
   * A leader is cut off from its replicas and from nobody else, and its clock stands still: the others choose another, and
   * it goes on as if it were the leader.
   */
  #depose(time: Micros): void {
    const { nodes, network, observer } = this.#cluster
    const { group } = this.#random.pick(observer.truths.shards)
    const leader = this.#cluster.leaderOf(group)
    if (leader === undefined) return
    const others = nodes.filter(node => node !== leader && node.state?.groups.has(group))
    const cuts = others.flatMap(({ station }): Cut[] => [
      [station, leader.station],
      [leader.station, station],
    ])
    network.block(cuts)
    leader.clock.freeze()
    this.#after(time, 'deposedEnds', () => {
      network.unblock(cuts)
      leader.clock.thaw()
    })
  }

  #pause(time: Micros, node = this.#victim()): void {
    node.pause()
    const { life } = node
    this.#after(time, 'resume', () => {
      if (node.life === life) node.resume()
    })
  }

  #freeze(time: Micros): void {
    const node = this.#victim()
    node.clock.freeze()
    this.#after(time, 'thaw', () => node.clock.thaw())
  }

  #fill(time: Micros): void {
    const { disk } = this.#victim()
    disk.setCapacity(disk.usedBytes + this.#random.int(0, 2_000))
    this.#after(time, 'room', () => disk.setCapacity(Infinity))
  }

  #jumps(node: SimNode, most: number): void {
    const random = this.#random.stream(`jumps ${node.station}`)
    const next = (): void => {
      this.#cluster.schedule.after(random.exponential(5 * SECOND), 'wallJump', () => {
        if (this.#stopped) return
        node.clock.jumpWall(random.int(-most, most))
        next()
      })
    }
    next()
  }
}

/** Of a segment; damage there is another row of the recovery table. */
const HEADER_BYTES = 64

/** Where the last whole batch of the log begins: what recovery would write again; 0 where it cannot tell. */
function lastBatchAt(disk: MemoryDisk): number {
  const recovered = recover(disk.listSync(), disk.readSync.bind(disk), null)
  const rewrite = recovered.kind === 'refused' ? undefined : recovered.repairs.find(op => op.kind === 'write')
  return rewrite?.kind === 'write' ? rewrite.offset : 0
}
