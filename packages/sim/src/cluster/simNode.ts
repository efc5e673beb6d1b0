import {
  incarnation,
  type BootIdentity,
  type ClientRequest,
  type ClientResult,
  type Entry,
  type GroupId,
  type JoinRequest,
  type NodeId,
  type WatchRequest,
} from '@kvorum/model'
import {
  createNode,
  firstTurn,
  REFUSAL_SENTENCES,
  turn,
  type Bootstrap,
  type Input,
  type NodeState,
  type Note,
  type Orders,
  type PersistOrder,
  type RecoveredGroup,
  type TurnInput,
} from '@kvorum/node'
import type { Parcel } from '@kvorum/peer'
import { createLog, MemoryDisk, MemoryEngine, recover, type Recovered } from '@kvorum/storage'
import { NodeClock } from '../clock.js'
import type { Network } from '../network/network.js'
import type { Station } from '../network/partition.js'
import type { Random } from '../random.js'
import { MILLISECOND, SECOND, type Micros, type Schedule, type Timer } from '../schedule.js'
import type { DiskFaults } from '../swarm.js'
import { DiskQueue, type DiskJob } from './diskQueue.js'
import { Failure } from './failure.js'
import { fingerprintOf } from './fingerprint.js'
import type { Addresses } from './addresses.js'
import type { FrameCodec } from './frames.js'
import { LogJobs } from './logJobs.js'
import {
  CLUSTER,
  nodeOf,
  nodeOptions,
  type Answered,
  type NodeConfig,
  type StreamListener,
} from './nodeConfig.js'
import type { Found, FoundGroup, NodeView, Observer } from './observer.js'
import { askToJoin, lastOf, placeByAnswer, placeOf, groupsThatFailClosed } from './place.js'
import { storedState, type StoredState } from './storedState.js'
import { SimTransport } from './transport.js'

/** What all nodes of a run share. */
export interface World {
  readonly schedule: Schedule
  readonly network: Network
  readonly addresses: Addresses
  readonly codec: FrameCodec
  readonly observer: Observer
  diskFaults: DiskFaults
  readonly started: (node: SimNode) => void
  readonly noted: (note: Note) => void
  /** The node's process ended by itself; it comes back after a while unless the run says otherwise. */
  readonly ended: (node: SimNode) => void
}

const NOTES_MAX = 40
const COVER_AFTER: Micros = 50 * MILLISECOND

/**
 * One machine: a disk, a state store and a clock that survive, and the process that comes and goes on them. All
 * orders of the node are carried out as events of the schedule, as the production driver does with promises.
 */
export class SimNode {
  readonly config: NodeConfig
  readonly id: NodeId
  readonly clock: NodeClock
  disk = new MemoryDisk()
  engine = new MemoryEngine()
  readonly random: Random
  readonly world: World
  status: 'down' | 'recovering' | 'up' | 'failed' = 'down'
  state: NodeState | null = null
  life = 0
  paused = false
  /** Of this life: an error was injected that may end it. */
  errorInjected = false
  /** Damage done to durable data by the simulator, ever. */
  damaged = false
  /** Its directory was lost, ever: the others may refuse it for good. */
  wiped = false
  /** Groups that recovery found damaged in this life. */
  corruptGroups: readonly GroupId[] = []
  readonly notes: string[] = []
  #view: NodeView | null = null
  #jobs: LogJobs | null = null
  #queue: DiskQueue | null = null
  #transport: SimTransport | null = null
  #inbox: Input[] = []
  #round: Timer | null = null
  #wake: Timer | null = null
  #wakeAt = Infinity
  #cover: Timer | null = null
  #busyUntil: Micros = 0
  #views = new Map<number, number>()
  #requests = new Map<number, Answered>()
  #streams = new Map<number, StreamListener>()
  #nextRequest = 1
  #nextStream = 1
  #lastRecovery: { fingerprint: string; pristine: boolean } | null = null
  #cleanlyLost = true

  constructor(config: NodeConfig, world: World, random: Random) {
    this.config = config
    this.world = world
    this.random = random
    this.id = nodeOf(config.station)
    this.clock = new NodeClock(() => world.schedule.now, 1_700_000_000_000)
  }

  get station(): Station {
    return this.config.station
  }

  get idle(): boolean {
    return this.#inbox.length === 0 && (this.#queue?.idle ?? true)
  }

  /** The process begins: reads its disks, counts its start, and runs. */
  start(): void {
    if (this.status !== 'down') return
    this.status = 'recovering'
    this.life++
    this.errorInjected = false
    this.paused = false
    const { config } = this
    this.#queue = new DiskQueue(this.disk, this.world.schedule, this.random, () => this.world.diskFaults, {
      failed: error => this.#diskFailed(error),
      injected: () => {
        this.errorInjected = true
      },
    })
    const read = this.disk.readSync.bind(this.disk)
    const expected = { clusterId: CLUSTER, nodeId: this.id }
    const recovered = recover(this.disk.listSync(), read, expected, config.log)
    this.#boot(recovered)
  }

  #boot(recovered: Recovered): void {
    if (recovered.kind === 'refused') {
      if (!this.damaged)
        throw new Failure('the log was refused', { node: this.station, reason: recovered.reason })
      this.#end('failed')
      return
    }
    if (recovered.kind === 'fresh' && this.engine.rowCount > 0 && !this.damaged) {
      throw new Failure('the log is gone but the state store is not', { node: this.station })
    }
    this.#fingerprint(recovered)
    this.#find(recovered)
  }

  /** Who it is and what it begins with: what its flags and its directory say, or what the members do. */
  #find(recovered: Founded): void {
    const directory = recovered.kind === 'recovered' ? incarnation(recovered.log.identity.incarnation) : null
    const place = placeOf(this.config, this.id, this.engine, directory)
    if (place.kind === 'known') this.#open(recovered, place.bootstrap)
    else this.#askToJoin(recovered, place.incarnation)
  }

  #askToJoin(recovered: Founded, own: JoinRequest['incarnation']): void {
    const { life, world } = this
    const waits = (): boolean => this.life === life && this.status === 'recovering'
    askToJoin(this.config.joins!, own, world.schedule, waits, answer => {
      if (answer.kind === 'member') this.#open(recovered, placeByAnswer(answer))
      else {
        this.#note('error', `turned away: ${answer.reason}`)
        this.#end('failed')
      }
    })
  }

  #open(recovered: Founded, bootstrap: Bootstrap): void {
    const known = recovered.kind === 'recovered' ? recovered : null
    const identity = {
      clusterId: CLUSTER,
      nodeId: this.id,
      incarnation: incarnation(this.#random64()),
    }
    const log = known?.log ?? createLog(identity, this.config.log)
    const jobs = new LogJobs(log, this.disk, () => this.world.schedule.now)
    this.#jobs = jobs
    const boot: BootIdentity = {
      incarnation: incarnation(log.identity.incarnation),
      boot: (known?.boot?.boot ?? 0) + 1,
      nonce: this.#random64(),
    }
    const queue = this.#queue!
    queue.add(() => repair(recovered.repairs))
    queue.add(() => {
      this.#lastRecovery!.pristine = false
      return jobs.boot({ boot }, written => {
        if (written) this.#run(recovered, boot, bootstrap)
        else this.#end('down')
      })
    })
  }

  #fingerprint(recovered: Recovered): void {
    const text = fingerprintOf(recovered)
    const before = this.#lastRecovery
    const pristine = before !== null && before.pristine && !this.damaged
    this.world.observer.invariants.observe({
      kind: 'recovered',
      node: this.station,
      fingerprint: text,
      pristine,
    })
    // Of a process that was only killed, unsynced bytes were read which a later power loss may still take.
    this.#lastRecovery = { fingerprint: text, pristine: this.#cleanlyLost }
  }

  #run(recovered: Founded, identity: BootIdentity, bootstrap: Bootstrap): void {
    const { config, world } = this
    const known = recovered.kind === 'recovered' ? recovered : null
    const groups = known?.groups ?? []
    this.corruptGroups = known === null ? [] : groupsThatFailClosed(known, config.bootstrap.shards)
    const found = this.#found(identity, known?.admitted ?? false, groups)
    const state = createNode(nodeOptions(config, this.random.uint32(), world.addresses), {
      now: this.clock.monotonic(),
      identity,
      admitted: known?.admitted ?? false,
      peers: known?.peers ?? [],
      groups: groups.map(group => ({
        ...group,
        entries: lastOf(group.entries, config.recoveredEntriesMax),
      })),
      groupsInDoubt: known?.groupsInDoubt ?? false,
      bootstrap,
    })
    this.state = state
    this.status = 'up'
    this.#view = world.observer.begin(found, state)
    this.#transport = new SimTransport(world, this.station, this.random, {
      parcels: (from, parcels) => this.put({ kind: 'parcels', from, parcels }),
      up: node => this.put({ kind: 'peerUp', node }),
      down: node => this.put({ kind: 'peerDown', node }),
      dropped: (node, parcels) => this.put({ kind: 'dropped', node, parcels }),
      refused: (node, reason) => this.put({ kind: 'peerRefused', node, reason }),
    })
    const others = bootstrap.nodes.filter(({ id }) => id !== this.id)
    this.#transport.start(others.map(({ id, peerUrls }) => ({ node: id, urls: peerUrls, alsoAt: [] })))
    this.#turn(input => firstTurn(state, bootstrap, input), [])
    if (this.status === 'up') world.started(this)
  }

  #found(identity: BootIdentity, admitted: boolean, groups: readonly RecoveredGroup[]): Found {
    const found = new Map<GroupId, FoundGroup>()
    const stored = this.storedStates()
    for (const { group, hardState, base, lastIndex, corrupt } of groups) {
      if (corrupt !== null) continue
      const entries = lastIndex > base.index ? this.#wholeLog(group, base.index + 1, lastIndex) : []
      const marks = entries.map(entry => this.world.observer.mark(entry))
      found.set(group, { group, ...hardState, base, entries: marks, stored: stored.get(group)! })
    }
    const { station, life, damaged } = this
    return { station, life, identity, admitted, damaged, groups: found }
  }

  #wholeLog(group: GroupId, from: number, to: number): readonly Entry[] {
    const read = this.#jobs!.read(group, from, to, Infinity)
    if (read.ok && read.entries.length === to - from + 1) return read.entries
    // Damage that recovery did not find would be found here; the node finds it when it reads.
    if (this.damaged) return []
    throw new Failure('a recovered log cannot be read', { node: this.station, group, from, to })
  }

  /** What the state store holds, by its rows. */
  storedStates(): Map<GroupId, StoredState> {
    const groups = this.world.observer.truths.all
    return new Map(groups.map(({ group, range }) => [group, storedState(this.engine, group, range)]))
  }

  /** Power loss takes what was not synced; without it the process ends and the machine goes on. */
  crash(powerLoss: boolean): void {
    if (this.status === 'down' || this.status === 'failed') return
    this.#stop('down', powerLoss ? 'silent' : 'reset')
    const chance = (): number => this.random.float()
    this.#cleanlyLost = powerLoss
    if (powerLoss) {
      this.disk.crash(chance)
      this.engine.crash(chance)
    } else {
      this.disk.kill()
      this.engine.kill()
      // What the kernel holds of the state store reaches its disk before the machine could lose power.
      this.engine.batchSync([], { sync: true })
    }
  }

  /** Its own decision, or the end of what it can do. */
  #end(status: 'down' | 'failed'): void {
    this.#stop(status, 'reset')
    this.#cleanlyLost = false
    this.disk.kill()
    this.engine.kill()
    this.engine.batchSync([], { sync: true })
    this.world.ended(this)
  }

  #stop(status: 'down' | 'failed', how: 'reset' | 'silent'): void {
    this.status = status
    this.#queue?.close()
    for (const timer of [this.#round, this.#wake, this.#cover]) {
      if (timer !== null) this.world.schedule.cancel(timer)
    }
    this.#round = this.#wake = this.#cover = null
    this.#wakeAt = Infinity
    this.#transport?.close(how)
    this.#transport = null
    if (this.#view !== null) this.world.observer.ended(this.#view)
    this.#view = null
    this.state = null
    this.#jobs = null
    this.#inbox = []
    this.#views.clear()
    const requests = [...this.#requests.values()]
    const streams = [...this.#streams.values()]
    this.#requests.clear()
    this.#streams.clear()
    for (const answered of requests) answered('lost')
    for (const stream of streams) stream.lost()
  }

  /** All that its disks held is gone; whoever runs it does not notice, and starts it as ever. */
  wipe(): void {
    this.disk = new MemoryDisk()
    this.engine = new MemoryEngine()
    this.#lastRecovery = null
    this.#cleanlyLost = true
    this.wiped = true
  }

  /** Its process ended for good, and somebody starts it all the same. */
  revive(): void {
    if (this.status !== 'failed') return
    this.status = 'down'
    this.start()
  }

  pause(): void {
    this.paused = true
  }

  /** Timers run before sockets are read, as in an event loop that was stopped inside a callback. */
  resume(): void {
    if (!this.paused) return
    this.paused = false
    if (this.state === null) return
    if (this.random.chance(0.5)) this.#takeTurn([])
    if (this.status === 'up') this.#plan(1)
  }

  resetConnections(): void {
    this.#transport?.reset()
  }

  /** Null: nobody listens. The answer comes inside a later event. */
  request(request: ClientRequest, timeoutMs: number, answered: Answered): number | null {
    if (this.status !== 'up') return null
    const id = this.#nextRequest++
    this.#requests.set(id, answered)
    this.put({ kind: 'request', id, request, deadline: this.clock.monotonic() + timeoutMs })
    return id
  }

  forget(id: number): void {
    this.#requests.delete(id)
  }

  openStream(listener: StreamListener): number | null {
    if (this.status !== 'up') return null
    const stream = this.#nextStream++
    this.#streams.set(stream, listener)
    this.put({ kind: 'watchOpen', stream })
    return stream
  }

  sendWatch(stream: number, request: WatchRequest): void {
    this.put({ kind: 'watch', stream, request })
  }

  consumed(stream: number, bytes: number): void {
    if (this.#streams.has(stream)) this.put({ kind: 'watchConsumed', stream, bytes })
  }

  closeStream(stream: number): void {
    if (this.#streams.delete(stream)) this.put({ kind: 'watchClose', stream })
  }

  put(input: Input): void {
    if (this.status !== 'up') return
    this.#inbox.push(input)
    this.#plan(this.random.int(1, 40))
  }

  #plan(delay: Micros): void {
    if (this.#round !== null || this.paused) return
    const { schedule } = this.world
    const at = Math.max(schedule.now + delay, this.#busyUntil)
    this.#round = schedule.at(at, 'turn', () => {
      this.#round = null
      if (this.paused) return
      const inputs = this.#inbox
      this.#inbox = []
      this.#takeTurn(inputs)
    })
  }

  #takeTurn(inputs: readonly Input[]): void {
    const state = this.state!
    this.#turn(input => turn(state, input), inputs)
  }

  #turn(take: (input: TurnInput) => Orders, inputs: readonly Input[]): void {
    const { schedule, observer } = this.world
    const state = this.state!
    const view = this.#view!
    let orders: Orders
    try {
      orders = take({ now: this.clock.monotonic(), wall: this.clock.wall(), inputs })
    } catch (error) {
      if (this.damaged) {
        this.#note('error', `ended: ${String(error)}`)
        this.#end('failed')
        return
      }
      throw error
    }
    this.#busyUntil = schedule.now + 10 + 2 * inputs.length
    for (const note of orders.notes) {
      this.world.noted(note)
      this.#note(note.level, `${note.text} ${JSON.stringify(note.facts)}`)
    }
    observer.afterTurn(view, state, orders)
    this.#carryOut(orders)
  }

  #carryOut(orders: Orders): void {
    for (const { to, parcels } of orders.send) this.#transport!.send(to, parcels as Parcel[])
    if (orders.fatal === null && orders.peers !== null)
      this.#transport!.setPeers(orders.peers.peers, orders.peers.removed)
    if (orders.fatal !== null) {
      this.#fatal(orders.fatal)
      return
    }
    if (orders.persist !== null) this.#persist(orders.persist)
    for (const fetch of orders.fetch) this.#fetch(fetch)
    for (const view of orders.closeViews) this.#closeView(view)
    if (orders.store !== null) this.#store(orders.store)
    for (const read of orders.readLog) this.#readLog(read)
    if (orders.purgeLog) this.#queue!.add(() => this.#jobs!.purge())
    for (const { id, result } of orders.replies) this.#reply(id, result)
    for (const { stream, response } of orders.watch) this.#streams.get(stream)?.receive(response)
    if (this.status !== 'up') return
    if (orders.again || this.#inbox.length > 0) this.#plan(orders.again ? this.random.int(1, 20) : 5)
    this.#wakeUp(orders.wakeAt)
  }

  #persist(order: PersistOrder): void {
    const { schedule, observer } = this.world
    const view = this.#view!
    if (this.#cover !== null) schedule.cancel(this.#cover)
    this.#cover = null
    const queue = this.#queue!
    const jobs = this.#jobs!
    queue.add(() =>
      jobs.append(order, written => {
        if (written && queue.durable) observer.persisted(view, order)
        this.put(written ? { kind: 'persisted' } : { kind: 'persistRefused' })
        this.#cover ??= schedule.after(COVER_AFTER, 'cover', () => {
          this.#cover = null
          queue.add(() => jobs.cover())
        })
      }),
    )
  }

  #fetch({ id, need, view }: Orders['fetch'][number]): void {
    let open: number | undefined
    if (view !== null) {
      open = this.#views.get(view)
      if (open === undefined) this.#views.set(view, (open = this.engine.openView()))
    }
    const answer = this.engine.fetchSync(need, open)
    const quick = need.scans.length === 0
    this.#later(quick ? this.random.int(1, 100) : this.random.int(20, 1_000), 'fetched', () =>
      this.put({ kind: 'fetched', id, answer }),
    )
  }

  #closeView(view: number): void {
    const open = this.#views.get(view)
    if (open === undefined) return
    this.#views.delete(view)
    this.engine.closeView(open)
  }

  #store({ id, writes, sync }: NonNullable<Orders['store']>): void {
    const { syncMean, slowSyncChance, slowSyncMax } = this.world.diskFaults
    let time = this.random.int(50, 2_000)
    if (sync) time += Math.round(this.random.exponential(syncMean))
    if (this.random.chance(slowSyncChance)) time += this.random.int(0, slowSyncMax)
    this.#later(time, 'store', () => {
      const { errorChance } = this.world.diskFaults
      if (this.random.chance(errorChance)) {
        this.errorInjected = true
        this.engine.failNext(sync && this.random.chance(0.5) ? 'sync' : 'write')
      }
      try {
        this.engine.batchSync(writes, { sync })
      } catch (error) {
        this.#diskFailed(error)
        return
      }
      if (sync) this.world.observer.storeSynced(this.#view!, this.storedStates())
      this.#later(this.random.int(1, 200), 'stored', () => this.put({ kind: 'stored', id }))
    })
  }

  #readLog({ group, from, to, bytesMax }: Orders['readLog'][number]): void {
    this.#later(this.random.int(20, 2_000), 'logRead', () => {
      const read = this.#jobs!.read(group, from, to, bytesMax)
      if (!read.ok) this.put({ kind: 'logDamaged', group, problem: read.damage })
      else this.put({ kind: 'logRead', group, entries: read.entries })
    })
  }

  #reply(id: number, result: ClientResult): void {
    const answered = this.#requests.get(id)
    this.#requests.delete(id)
    answered?.(result)
  }

  #later(delay: Micros, label: string, run: () => void): void {
    const { life } = this
    this.world.schedule.after(delay, label, () => {
      if (this.life === life && this.status === 'up') run()
    })
  }

  #wakeUp(at: number): void {
    const { schedule } = this.world
    if (this.#wake !== null && at === this.#wakeAt) return
    if (this.#wake !== null) schedule.cancel(this.#wake)
    this.#wake = null
    this.#wakeAt = at
    if (at === Infinity) return
    const local = Math.max(0, at - this.clock.monotonic())
    const delay = Math.min(60 * SECOND, Math.max(1, this.clock.trueDelay(local)))
    this.#wake = schedule.after(delay, 'wake', () => {
      this.#wake = null
      this.#wakeAt = Infinity
      this.#plan(1)
    })
  }

  #diskFailed(error: unknown): void {
    if (!this.errorInjected && !this.damaged) throw error
    this.#note('error', `the disk failed: ${String(error)}`)
    this.#end('down')
  }

  #fatal(reason: string): void {
    this.#note('error', `fatal: ${reason}`)
    const told =
      (reason === REFUSAL_SENTENCES.removedMember && this.world.observer.members.isRemoved(this.id)) ||
      (reason === REFUSAL_SENTENCES.otherDirectory && this.wiped)
    if (!this.damaged && !this.errorInjected && !told)
      throw new Failure('fatal', { node: this.station, reason })
    this.#end('failed')
  }

  #note(level: Note['level'], text: string): void {
    const at = (this.world.schedule.now / SECOND).toFixed(6)
    this.notes.push(`${at} n${this.station} ${level} ${text}`)
    if (this.notes.length > NOTES_MAX) this.notes.shift()
  }

  #random64(): bigint {
    return (BigInt(this.random.uint32()) << 32n) | BigInt(this.random.uint32())
  }
}

type Founded = Exclude<Recovered, { readonly kind: 'refused' }>

function* repair(ops: Iterable<Parameters<MemoryDisk['runSync']>[0][number]>): DiskJob {
  for (const op of ops) yield op
}
