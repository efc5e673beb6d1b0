import {
  refuse,
  type AuthState,
  type ClientRequest,
  type ClientResult,
  type ClusterId,
  type HeldState,
  type JoinAnswer,
  type JoinRequest,
  type KvNode,
  type Member,
  type Millis,
  type NodeId,
  type NodeStatus,
  type PeerRefusal,
  type RequestOptions,
  type ShardPlan,
  type ShardsView,
  type StoreAnswer,
  type StoreNeed,
  type WatchResponse,
  type WatchStream,
} from '@kvorum/model'
import { authOf } from '../authChanges.js'
import { createNode } from '../create.js'
import { isSettled, joinAnswer } from '../joining.js'
import { isLearnerMember, membersOf, metaLeader } from '../membership.js'
import type { NodeState } from '../state.js'
import { shardPlanOf, shardsViewOf } from '../shardsView.js'
import { statusOf } from '../status.js'
import { firstTurn, turn } from '../turn.js'
import type { Input, NodeInitial, NodeOptions, Orders, Parcel, TurnInput } from '../types.js'
import { heldShard } from './heldShards.js'
import { Inbox } from './inbox.js'
import { addTimes, type Reply } from './stageTimes.js'
import type { ClockPort, LogPort, NodeLogger, StorePort, TransportPort } from './ports.js'
import { TurnMeter } from './turnMeter.js'
import { TurnPace } from './turnPace.js'
import { Views } from './views.js'

export interface RuntimeOptions {
  readonly node: NodeOptions
  readonly initial: NodeInitial
  readonly log: LogPort
  readonly store: StorePort
  /** Called once the node can take messages; the transport must report to `events`. */
  readonly transport: (events: RuntimeEvents) => Promise<TransportPort>
  readonly clock: ClockPort
  readonly logger: NodeLogger
  /** Called at most once; the owner ends the process or closes the node. */
  readonly fatal: (reason: string) => void
}

/** What a transport tells a node; the same shape as peer's events. */
export interface RuntimeEvents {
  onParcels(from: NodeId, parcels: readonly Parcel[]): void
  onUp(peer: NodeId): void
  onDown(peer: NodeId): void
  onDropped(peer: NodeId, parcels: readonly Parcel[]): void
  onRefused(peer: NodeId, reason: PeerRefusal): void
  onStranger(remote: string, problem: string): void
  onJoin(request: JoinRequest): Promise<JoinAnswer>
}

/** Turns in a row without letting the event loop read its sockets. */
const TURNS_IN_A_ROW = 4
/** The log is covered after this long without a write. */
const COVER_AFTER_MS = 50
const DRAIN_MS_MAX = 3_000

/**
 * Runs one node: gathers what happens into an inbox, takes a turn per round of the event loop, and carries out
 * its orders. Completions come back through the same inbox; nothing else touches the state.
 */
export class NodeRuntime implements KvNode {
  readonly cluster: ClusterId
  readonly self: NodeId
  readonly meter = new TurnMeter()
  readonly #options: RuntimeOptions
  readonly #state: NodeState
  readonly #views: Views
  readonly #requests = new Map<number, (result: ClientResult, reply?: Reply) => void>()
  readonly #streams = new Map<number, (response: WatchResponse) => void>()
  readonly #holds = new Map<number, (held: HeldState | null) => void>()
  #transport: TransportPort | null = null
  readonly #inbox = new Inbox()
  readonly #pace = new TurnPace()
  #nextRequest = 1
  #nextStream = 1
  #nextHold = 1
  #scheduled: NodeJS.Immediate | null = null
  #timer: NodeJS.Timeout | null = null
  #timerAt: Millis = Infinity
  #coverTimer: NodeJS.Timeout | null = null
  #pending = 0
  #closed = false
  #failed = false

  private constructor(options: RuntimeOptions) {
    this.#options = options
    this.cluster = options.node.cluster
    this.self = options.node.self
    this.#state = createNode(options.node, options.initial)
    this.#views = new Views(options.store)
  }

  static async start(options: RuntimeOptions): Promise<NodeRuntime> {
    const runtime = new NodeRuntime(options)
    runtime.#transport = await options.transport(runtime.#events())
    runtime.#run(orders => firstTurn(runtime.#state, options.initial.bootstrap, orders))
    return runtime
  }

  request(request: ClientRequest, options: RequestOptions = {}): Promise<ClientResult> {
    if (this.#closed || this.#failed) return Promise.resolve(refuse('stopped'))
    const { signal, stages } = options
    if (signal?.aborted === true) return Promise.resolve(refuse('canceled'))
    const id = this.#nextRequest++
    const timeoutMs = options.timeoutMs ?? 5_000 + 2 * this.#options.node.electionTimeoutMs
    const put = this.#options.clock.monotonic()
    return new Promise(resolve => {
      const abort = (): void => this.#put({ kind: 'cancel', id })
      this.#requests.set(id, (result, reply) => {
        signal?.removeEventListener('abort', abort)
        if (stages !== undefined && reply !== undefined)
          addTimes(stages, reply, put, this.#options.clock.monotonic())
        resolve(result)
      })
      signal?.addEventListener('abort', abort, { once: true })
      this.#put({ kind: 'request', id, request, deadline: put + timeoutMs })
    })
  }

  openWatch(receive: (response: WatchResponse) => void): WatchStream {
    const stream = this.#nextStream++
    this.#streams.set(stream, receive)
    this.#put({ kind: 'watchOpen', stream })
    return {
      send: request => this.#put({ kind: 'watch', stream, request }),
      consumed: bytes => this.#put({ kind: 'watchConsumed', stream, bytes }),
      close: () => {
        if (this.#streams.delete(stream)) this.#put({ kind: 'watchClose', stream })
      },
    }
  }

  status(): NodeStatus {
    const status = statusOf(this.#state, node => this.#transport?.queuedBytes(node as NodeId) ?? 0)
    const counters = { ...status.counters, ...this.meter.counts() }
    return { ...status, counters, diskBytes: this.#options.store.diskBytes() }
  }

  members(): readonly Member[] {
    return membersOf(this.#state)
  }

  shards(): ShardsView | null {
    return shardsViewOf(this.#state)
  }

  shardPlan(): ShardPlan | null {
    return shardPlanOf(this.#state, this.#options.clock.monotonic())
  }

  leaderNode(): NodeId | 0n {
    return metaLeader(this.#state) ?? 0n
  }

  isLearner(): boolean {
    return isLearnerMember(this.#state)
  }

  holdState(): Promise<HeldState | null> {
    if (this.#closed || this.#failed) return Promise.resolve(null)
    const id = this.#nextHold++
    return new Promise(resolve => {
      this.#holds.set(id, resolve)
      this.#put({ kind: 'holdState', id })
    })
  }

  auth(): AuthState | null {
    return authOf(this.#state)
  }

  /** Gives leaderships away, answers what is open, then closes. */
  async stop(): Promise<void> {
    if (this.#closed) return
    this.#put({ kind: 'drain' })
    const until = this.#options.clock.monotonic() + DRAIN_MS_MAX
    while (!this.#failed && this.#busy() && this.#options.clock.monotonic() < until) {
      await new Promise(resolve => setTimeout(resolve, 5))
    }
    this.#closed = true
    this.#disarm()
    for (const resolve of [...this.#requests.values()]) resolve(refuse('stopped', { outcome: 'unknown' }))
    this.#requests.clear()
    this.#refuseHolds()
    await this.#transport?.close()
    // A store that waits for room on a full disk may do so for ever.
    const settledBy = this.#options.clock.monotonic() + DRAIN_MS_MAX
    while (this.#pending > 0 && this.#options.clock.monotonic() < settledBy) {
      await new Promise(resolve => setTimeout(resolve, 1))
    }
    if (!this.#failed) await this.#options.log.cover().catch(() => undefined)
    await this.#options.log.close()
    await this.#options.store.close()
    this.meter.close()
  }

  #busy(): boolean {
    const leads = [...this.#state.groups.values()].some(group => group.raft?.role === 'leader')
    return (leads && this.#state.peers.size > 0) || this.#requests.size > 0 || this.#inbox.length > 0
  }

  #events(): RuntimeEvents {
    return {
      onParcels: (from, parcels) => this.#put({ kind: 'parcels', from, parcels }),
      onUp: node => this.#put({ kind: 'peerUp', node }),
      onDown: node => this.#put({ kind: 'peerDown', node }),
      // Reported from within a turn's orders: it must not change the inbox's round.
      onDropped: (node, parcels) => this.#put({ kind: 'dropped', node, parcels }),
      onRefused: (node, reason) => this.#put({ kind: 'peerRefused', node, reason }),
      onJoin: request => this.#join(request),
      onStranger: (remote, problem) =>
        this.#options.logger.warn({ remote, problem }, 'A connection to the peer port was turned away'),
    }
  }

  /** As the meta group decided it: whoever asks is told what no later answer will contradict. */
  async #join(request: JoinRequest): Promise<JoinAnswer> {
    if (isSettled(this.#state, request)) return joinAnswer(this.#state, request)
    const fresh = await this.request({ kind: 'barrier' })
    return fresh.ok ? joinAnswer(this.#state, request) : { kind: 'later' }
  }

  #put(input: Input): void {
    if (this.#closed || this.#failed) return
    this.#inbox.put(input)
    this.#scheduled ??= setImmediate(() => this.#round())
  }

  #round(): void {
    this.#scheduled = null
    for (let i = 0; i < TURNS_IN_A_ROW; i++) {
      const again = this.#run(input => turn(this.#state, input))
      if (this.#closed || this.#failed) return
      if (this.#inbox.length === 0) {
        if (again) break
        return
      }
    }
    this.#scheduled ??= setImmediate(() => this.#round())
  }

  /** One turn and its orders; whether it wants another at once. */
  #run(take: (input: TurnInput) => Orders): boolean {
    const { clock } = this.#options
    const bounds = this.#pace.bounds()
    const inputs = this.#inbox.take(bounds.inputs)
    try {
      const input = { now: clock.monotonic(), wall: clock.wall(), inputs, applyBytes: bounds.applyBytes }
      const { value: orders, microseconds } = this.meter.measure(() => take(input))
      this.#pace.took(microseconds, orders.again || this.#inbox.length > 0)
      this.#carryOut(orders)
      return orders.again
    } catch (error) {
      this.#fail(`A promise of the store to itself is broken: ${(error as Error).stack ?? String(error)}`)
      return false
    }
  }

  #carryOut(orders: Orders): void {
    for (const note of orders.notes) this.#options.logger[note.level]({ ...note.facts }, note.text)
    if (orders.fatal !== null) {
      for (const { to, parcels } of orders.send) this.#transport?.send(to, parcels)
      this.#fail(orders.fatal)
      return
    }
    for (const { to, parcels } of orders.send) this.#transport?.send(to, parcels)
    if (orders.peers !== null) this.#transport?.setPeers(orders.peers.peers, orders.peers.removed)
    if (orders.persist !== null) this.#persist(orders.persist)
    for (const fetch of orders.fetch) this.#fetch(fetch)
    for (const view of orders.closeViews) this.#views.close(view)
    for (const held of orders.holds) this.#hold(held)
    if (orders.store !== null) this.#store(orders.store)
    for (const read of orders.readLog) this.#readLog(read)
    if (orders.purgeLog) this.#await(this.#options.log.purge(), () => undefined)
    for (const reply of orders.replies) this.#reply(reply)
    for (const { stream, response } of orders.watch) this.#streams.get(stream)?.(response)
    this.#wakeAt(orders.wakeAt)
  }

  #persist(order: NonNullable<Orders['persist']>): void {
    if (this.#coverTimer !== null) clearTimeout(this.#coverTimer)
    this.#coverTimer = null
    this.#await(this.#options.log.append(order), result => {
      this.#put(result === 'durable' ? { kind: 'persisted' } : { kind: 'persistRefused' })
      this.#coverTimer ??= setTimeout(() => {
        this.#coverTimer = null
        this.#await(this.#options.log.cover(), () => undefined)
      }, COVER_AFTER_MS)
    })
  }

  #fetch({ id, need, view }: Orders['fetch'][number]): void {
    const now = this.#views.fetchNow(need, view)
    if (now !== null) this.#put({ kind: 'fetched', id, answer: now })
    else this.#await(this.#views.fetch(need, view), answer => this.#put({ kind: 'fetched', id, answer }))
  }

  #hold({ id, view, revision, shards }: Orders['holds'][number]): void {
    const resolve = this.#holds.get(id)
    this.#holds.delete(id)
    if (view === null) {
      resolve?.(null)
      return
    }
    this.#views.open(view)
    let closed = false
    const fetch = async (need: StoreNeed): Promise<StoreAnswer> => {
      if (closed) throw new Error('the view has been closed')
      return this.#views.fetch(need, view)
    }
    const parts = shards?.map(shard => heldShard(shard, fetch, request => this.request(request)))
    resolve?.({
      revision,
      ...(parts === undefined ? {} : { shards: parts }),
      fetch,
      close: () => {
        closed = true
        this.#views.close(view)
      },
    })
  }

  #refuseHolds(): void {
    for (const resolve of this.#holds.values()) resolve(null)
    this.#holds.clear()
  }

  #store({ id, writes, sync }: NonNullable<Orders['store']>): void {
    this.#await(this.#options.store.batch(writes, { sync }), () => this.#put({ kind: 'stored', id }))
  }

  #readLog({ group, from, to, bytesMax }: Orders['readLog'][number]): void {
    this.#await(this.#options.log.read(group, from, to, bytesMax), read => {
      if ('damaged' in read) this.#put({ kind: 'logDamaged', group, problem: read.damaged })
      else this.#put({ kind: 'logRead', group, entries: read })
    })
  }

  #reply(reply: Reply): void {
    const resolve = this.#requests.get(reply.id)
    this.#requests.delete(reply.id)
    resolve?.(reply.result, reply)
  }

  /** A failing disk is fatal: after a failed sync nobody knows what it holds. */
  #await<Value>(work: Promise<Value>, done: (value: Value) => void): void {
    this.#pending++
    work.then(
      value => {
        this.#pending--
        done(value)
      },
      (error: unknown) => {
        this.#pending--
        if (!this.#closed) this.#fail(`The disk failed: ${(error as Error).message}`)
      },
    )
  }

  #wakeAt(at: Millis): void {
    if (at >= this.#timerAt && this.#timer !== null && this.#timerAt > this.#options.clock.monotonic()) return
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timerAt = at
    this.#timer = null
    if (at === Infinity) return
    const delay = Math.max(0, Math.min(MAX_DELAY_MS, at - this.#options.clock.monotonic()))
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#timerAt = Infinity
      this.#scheduled ??= setImmediate(() => this.#round())
    }, Math.ceil(delay))
  }

  #disarm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    if (this.#coverTimer !== null) clearTimeout(this.#coverTimer)
    if (this.#scheduled !== null) clearImmediate(this.#scheduled)
  }

  #fail(reason: string): void {
    if (this.#failed || this.#closed) return
    this.#failed = true
    this.#disarm()
    for (const resolve of [...this.#requests.values()]) resolve(refuse('stopped', { outcome: 'unknown' }))
    this.#requests.clear()
    this.#refuseHolds()
    this.#options.fatal(reason)
  }
}

/** Longer sleeps wrap around in timers; the node wakes and sleeps again. */
const MAX_DELAY_MS = 60_000
