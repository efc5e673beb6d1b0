import { META_GROUP, type GroupId, type JoinAnswer, type JoinRequest } from '@kvorum/model'
import type { BalanceOptions } from '@kvorum/node'
import { Recorder } from '../check/history.js'
import type { Truth } from '../check/kvView.js'
import type { ListResult, ListTxn } from '../check/listAppend.js'
import type { KvRequest, KvResult } from '../check/models/kv.js'
import { Coverage } from '../coverage.js'
import { Network } from '../network/network.js'
import type { Station } from '../network/partition.js'
import { Random } from '../random.js'
import { MILLISECOND, Schedule, type Micros } from '../schedule.js'
import type { ClusterOptions, SwarmOptions } from '../swarm.js'
import { Addresses, urlOf } from './addresses.js'
import { structuredFrames, wireFrames } from './frames.js'
import type { Joins } from './nodeConfig.js'
import { Observer } from './observer.js'
import { answerJoin } from './place.js'
import type { Area, RunPlan } from './plan.js'
import { SimNode, type World } from './simNode.js'

/** How long a process that ended by itself stays away. */
const RESTART_AFTER: Micros = 200_000

/** How old everything is that is compacted; null where clients compact too, or clocks tell other times. */
function retentionOf({ upkeep, workload, quota, faults: { clock } }: SwarmOptions): Micros | null {
  const byTime = clock.driftMax === 0 && clock.freeze.every === 0
  if (upkeep === null || workload.compactEvery > 0 || quota !== null || !byTime) return null
  return upkeep.compactAfterMs * MILLISECOND
}

/** Much more hurried than a cluster's: runs are short. */
const BALANCE: BalanceOptions = {
  deadAfterMs: 5_000,
  steadyAfterMs: 1_000,
  everyMs: 500,
  movesMax: 2,
  holdLeaderMs: 5_000,
  transfersMax: 4,
  splitBytes: 0,
  tellLoadsMs: 500,
  busyRequests: Infinity,
  hotForMs: 1_500,
}

/** Null: nobody moves or splits anything by itself. */
function balanceOf({ balanced, splitBytes, busyRequests }: ClusterOptions): BalanceOptions | null {
  if (!balanced && splitBytes === 0) return null
  return { ...BALANCE, splitBytes, busyRequests: busyRequests === 0 ? Infinity : busyRequests }
}

/** What the node notes of it; only for the coverage. */
const SPLIT_BY_ITSELF = 'A shard is to be split'

/** All nodes of a run with what lies between and around them. */
export class Cluster {
  readonly plan: RunPlan
  readonly random: Random
  readonly schedule: Schedule
  readonly network: Network
  readonly observer: Observer
  readonly coverage = new Coverage()
  /** The founders, then newcomers as they come. */
  readonly nodes: SimNode[]
  /** That the cluster begins with; the first one always has the first keys. */
  readonly dataGroups: readonly GroupId[]
  readonly areas: readonly Area[]
  /** By area; one of all together where there is one order over them, or lists of all in one transaction. */
  readonly histories = new Map<Area, Recorder<KvRequest, KvResult>>()
  readonly lists = new Map<Area, Recorder<ListTxn, ListResult>>()
  readonly world: World
  #clients = 0
  #connections = 0

  constructor(plan: RunPlan) {
    this.plan = plan
    this.random = new Random(plan.seed).stream('cluster')
    this.schedule = new Schedule(this.random.stream('schedule'))
    const { nodes } = plan.swarm.cluster
    this.network = new Network(nodes + plan.spares, this.schedule, this.random.stream('network'))
    const now = (): Micros => this.schedule.now
    this.observer = new Observer({
      shards: plan.bootstrap.shards,
      oneOrder: plan.swarm.cluster.oracle,
      oracle: plan.bootstrap.oracle === true,
      drift: plan.swarm.faults.clock.driftMax,
      retention: retentionOf(plan.swarm),
      now,
    })
    this.dataGroups = plan.groups.filter(group => group !== META_GROUP)
    const whole = plan.swarm.cluster.oracle ? new Recorder<KvRequest, KvResult>(now) : null
    this.areas = plan.areas
    const lists = plan.swarm.workload.listsAcross ? new Recorder<ListTxn, ListResult>(now) : null
    for (const area of this.areas) {
      this.histories.set(area, whole ?? new Recorder(now))
      this.lists.set(area, lists ?? new Recorder(now))
    }
    this.world = {
      schedule: this.schedule,
      network: this.network,
      addresses: new Addresses(),
      codec: plan.wire ? wireFrames(this.random.stream('wire')) : structuredFrames(),
      observer: this.observer,
      diskFaults: plan.swarm.faults.disk,
      started: () => undefined,
      noted: ({ text, facts }) => {
        if (text === SPLIT_BY_ITSELF) this.coverage.mark(`split by itself: ${String(facts['reason'])}`)
      },
      ended: node => {
        if (node.status === 'down') this.schedule.after(RESTART_AFTER, 'restart', () => node.start())
      },
    }
    this.nodes = Array.from({ length: nodes }, (_, station) => this.#node(station, null))
  }

  /** A machine that asks to be let in once it is started; null: there is none left. */
  newcomer(): SimNode | null {
    const station = this.nodes.length
    if (station >= this.network.stations) return null
    const random = this.random.stream(`joins ${station}`)
    const ask: Joins['ask'] = (request, answered) => this.#join(random, station, request, answered)
    const node = this.#node(station, { peerUrls: [urlOf(station)], ask })
    this.nodes.push(node)
    return node
  }

  #node(station: Station, joins: Joins | null): SimNode {
    const { plan } = this
    const { heartbeatMs, electionTimeoutMs } = plan.swarm.cluster
    this.world.addresses.set(urlOf(station), station)
    const config = {
      station,
      bootstrap: plan.bootstrap,
      joins,
      electionTimeoutMs,
      heartbeatMs,
      limits: plan.limits,
      longCommand: plan.longCommand,
      maintenance: plan.maintenance,
      log: plan.log,
      recoveredEntriesMax: plan.recoveredEntriesMax,
      balance: balanceOf(plan.swarm.cluster),
    }
    return new SimNode(config, this.world, this.random.stream(`node ${station}`))
  }

  /** A question over the network to one of those who run, and its answer back; either may be lost. */
  #join(random: Random, from: Station, request: JoinRequest, answered: (answer: JoinAnswer) => void): void {
    const asked = random.pick(this.nodes.filter(({ station }) => station !== from))
    const travel = (way: readonly [Station, Station], then: () => void): void => {
      this.schedule.after(random.int(100, 5_000), 'join', () => {
        if (!this.network.link(...way).blocked) then()
      })
    }
    travel([from, asked.station], () =>
      answerJoin(asked, request, answer => travel([asked.station, from], () => answered(answer))),
    )
  }

  /** What was written to the keys of an area, among others. */
  truthOf(area: Area): Truth {
    const { truths } = this.observer
    return truths.whole ?? truths.get(area).truth
  }

  nextClient(): number {
    return ++this.#clients
  }

  nextConnection(): number {
    return ++this.#connections
  }

  leaderOf(group: GroupId): SimNode | undefined {
    return this.nodes.find(node => node.state?.groups.get(group)?.raft?.role === 'leader')
  }
}
