import {
  ALL_KEYS,
  type AuthState,
  clusterId,
  decodeShardCommand,
  encodeReply,
  equalBytes,
  groupId,
  isEmptyRange,
  leaseId,
  nodeId,
  ok,
  rangeContains,
  refuse,
  sessionId,
  toKeyString,
  watchResponseBytes,
  type ClientRequest,
  type ClientResult,
  type Compare,
  type ErrorCode,
  type KeyValue,
  type KvNode,
  type NodeId,
  type MemberAlarm,
  type NodeStatus,
  type Op,
  type OpReply,
  type RangeOp,
  type Reply,
  type RequestOptions,
  type TxnOp,
  type ShardOperationView,
  type ShardPlan,
  type ShardsView,
  type WatchCreate,
  type WatchEvent,
  type StageTimes,
  type WatchRefusal,
  type WatchRequest,
  type WatchResponse,
  type WatchStream,
} from '@kvorum/model'
import {
  applyMetaCommand,
  createMetaState,
  decodeMetaCommand,
  metaAuthRevision,
  withMetaAuthRevision,
  type MetaState,
} from '@kvorum/placement'

/** Holds no replica of anything. */
export const OTHER_MEMBER = nodeId(0x0b0bn)

/**
 * A node in memory, one replica, no log: enough of the semantics to test an edge with. Tests reach into it to
 * hold answers back, lose the leader or speak on a watch stream.
 */
export class FakeNode implements KvNode {
  readonly cluster = clusterId(0xcafen)
  readonly self = nodeId(0xfedc_ba98_7654_3210n)
  revision = 1
  term = 7
  leader: bigint = this.self
  /** Who leads a shard that this node has no replica of, as is known when it has been asked. */
  elsewhere: NodeId | null = null
  stopped = false
  refusal: ErrorCode | null = null
  /** Of commands of the meta group alone. */
  metaRefusal: ErrorCode | null = null
  /** Of the next watch that is asked for. */
  watchRefusal: WatchRefusal | null = null
  counters: Record<string, number> = {}
  learner = false
  plan: ShardPlan = { replicas: 0, automatic: false, steps: [] }
  /** What is under way, by number of the shard. */
  readonly operations = new Map<number, ShardOperationView>()
  alarms: readonly MemberAlarm[] = []
  /** While set, requests wait for it. */
  held: Promise<void> | null = null
  /** What it says about where the time went. */
  stages: Partial<StageTimes> = {}
  readonly seen: { request: ClientRequest; options: RequestOptions | undefined }[] = []
  readonly streams = new Set<FakeWatch>()
  readonly #keys = new Map<string, KeyValue>()
  readonly #leases = new Map<bigint, number>()
  readonly #history: WatchEvent[] = []
  readonly meta: MetaState = createMetaState(
    [],
    [{ group: groupId(1), range: ALL_KEYS, epoch: 1, replicas: [] }],
  )

  has(key: string): boolean {
    return this.#keys.has(toKeyString(Buffer.from(key)))
  }

  get header() {
    return { revision: this.revision, term: this.term }
  }

  async request(request: ClientRequest, options?: RequestOptions): Promise<ClientResult> {
    this.seen.push({ request, options })
    if (this.held !== null) await this.held
    if (options?.stages !== undefined) Object.assign(options.stages, this.stages)
    if (options?.signal?.aborted === true) return refuse('canceled')
    if (this.refusal !== null) return refuse(this.refusal)
    const reply = this.#answer(request)
    return 'code' in reply ? refuse(reply.code) : ok({ header: this.header, body: encodeReply(reply) })
  }

  #answer(request: ClientRequest): Reply | { code: ErrorCode } {
    switch (request.kind) {
      case 'write': {
        const command = decodeShardCommand(request.command)
        return command.kind === 'write' ? this.#write(command.op) : { code: 'internal' }
      }
      case 'read':
        if (request.op.kind === 'txn') return { kind: 'op', op: this.#apply(request.op, this.revision, []) }
        if (request.op.revision > this.revision) return { code: 'futureRevision' }
        return { kind: 'op', op: this.#page(this.#range(request.op), request.pageBytes) }
      case 'follow':
        this.leader = this.elsewhere ?? this.leader
        return this.elsewhere === null ? { code: 'timeout' } : { kind: 'done' }
      case 'compact':
        return request.revision > this.revision ? { code: 'futureRevision' } : { kind: 'done' }
      case 'leaseGrant':
        if (this.#leases.has(request.id)) return { code: 'leaseExists' }
        this.#leases.set(request.id, request.ttl)
        return { kind: 'leaseGranted', id: request.id, ttl: request.ttl }
      case 'leaseRevoke':
        return this.#leases.delete(request.id) ? { kind: 'done' } : { code: 'leaseNotFound' }
      case 'sessionOpen':
        if (!this.#leases.has(request.lease)) return { code: 'leaseNotFound' }
        return { kind: 'sessionOpened', id: sessionId(2n ** 63n + 7n) }
      case 'leaseKeepAlive':
        return { kind: 'leaseRenewed', id: request.id, ttl: this.#leases.get(request.id) ?? 0 }
      case 'leaseTimeToLive': {
        const granted = this.#leases.get(request.id)
        return {
          kind: 'leaseTimeToLive',
          id: request.id,
          remaining: granted ?? -1,
          granted: granted ?? 0,
          keys: [],
        }
      }
      case 'leaseList':
        return { kind: 'leases', ids: [...this.#leases.keys()].map(leaseId) }
      case 'alarm': {
        const { change, member, alarm } = request
        const others = this.alarms.filter(each => each.member !== member || each.alarm !== alarm)
        const isUp = others.length < this.alarms.length
        this.alarms = change === 'raise' ? [...others, { member, alarm }] : others
        return { kind: 'alarms', alarms: isUp === (change === 'raise') ? [] : [{ member, alarm }] }
      }
      case 'hashKv':
        if (request.revision > this.revision) return { code: 'futureRevision' }
        return {
          kind: 'hashed',
          hash: 77,
          revision: this.revision,
          compactRevision: 0,
          applied: 1,
          digest: 2,
          epoch: 1,
        }
      case 'meta':
        return this.#applyMeta(request)
      case 'authFence':
      case 'oracle':
      case 'resolve':
      case 'history':
      case 'rows':
      case 'transaction':
      case 'transactionRead':
      case 'barrier':
      case 'moveLeader':
        return { kind: 'done' }
    }
  }

  #applyMeta({ command, authority }: Extract<ClientRequest, { kind: 'meta' }>): Reply | { code: ErrorCode } {
    if (this.metaRefusal !== null) return { code: this.metaRefusal }
    this.meta.applied++
    const bytes = authority === undefined ? command : withMetaAuthRevision(command, authority.fence)
    const result = applyMetaCommand(this.meta, decodeMetaCommand(bytes), metaAuthRevision(bytes))
    return result.ok ? result.value : result.error
  }

  auth(): AuthState {
    return this.meta.auth
  }

  #write(op: Op): Reply {
    const events: WatchEvent[] = []
    const reply = this.#apply(op, this.revision + 1, events)
    if (events.length > 0) this.revision++
    this.#history.push(...events)
    for (const stream of this.streams) stream.publish(events)
    return { kind: 'op', op: reply }
  }

  #apply(op: Op, revision: number, events: WatchEvent[]): OpReply {
    switch (op.kind) {
      case 'put': {
        const prev = this.#keys.get(toKeyString(op.key)) ?? null
        const kv: KeyValue = {
          key: Buffer.from(op.key),
          value: Buffer.from(op.value),
          create: prev?.create ?? revision,
          mod: revision,
          version: (prev?.version ?? 0) + 1,
          lease: op.lease,
        }
        this.#keys.set(toKeyString(op.key), kv)
        events.push({ kind: 'put', kv, prev })
        return { kind: 'put', prev: op.prevKv ? prev : null }
      }
      case 'delete': {
        const prevs = this.#matching(op.range)
        for (const prev of prevs) {
          this.#keys.delete(toKeyString(prev.key))
          const kv = { ...prev, value: Buffer.alloc(0), create: 0, version: 0, mod: revision }
          events.push({ kind: 'delete', kv, prev })
        }
        return { kind: 'delete', deleted: prevs.length, prevs: op.prevKv ? prevs : [] }
      }
      case 'range':
        return this.#range(op)
      case 'txn':
        return this.#txn(op, revision, events)
    }
  }

  #txn(op: TxnOp, revision: number, events: WatchEvent[]): OpReply {
    const succeeded = op.compares.every(compare => this.#holds(compare))
    const responses = (succeeded ? op.success : op.failure).map(item => this.#apply(item, revision, events))
    return { kind: 'txn', succeeded, revision, before: this.revision, responses }
  }

  #holds(compare: Compare): boolean {
    const kv = this.#matching(compare.range)[0]
    if (compare.target === 'value') return kv !== undefined && equalBytes(kv.value, compare.operand)
    const actual = kv === undefined ? 0 : compare.target === 'lease' ? kv.lease : kv[compare.target]
    return compare.result === 'equal' ? actual === compare.operand : actual > compare.operand
  }

  #range(op: RangeOp): OpReply {
    const all = this.#matching(op.range).filter(kv => op.maxCreate === 0 || kv.create <= op.maxCreate)
    if (op.target === 'create')
      all.sort((a, b) => (op.order === 'descend' ? b : a).create - (op.order === 'descend' ? a : b).create)
    const kvs = op.countOnly ? [] : all.slice(0, op.limit === 0 ? all.length : op.limit)
    return { kind: 'range', kvs, count: all.length, more: !op.countOnly && kvs.length < all.length }
  }

  #page(reply: OpReply, bytes = Infinity): OpReply {
    if (reply.kind !== 'range' || bytes === Infinity) return reply
    let left = bytes
    const end = reply.kvs.findIndex((kv, i) => (left -= kv.key.length + kv.value.length) < 0 && i > 0)
    const kvs = end < 0 ? reply.kvs : reply.kvs.slice(0, end)
    return { ...reply, kvs, count: kvs.length, more: reply.more || end >= 0 }
  }

  #matching(range: RangeOp['range']): KeyValue[] {
    const kvs = [...this.#keys.values()].filter(kv => rangeContains(range, kv.key))
    return kvs.sort((a, b) => Buffer.compare(a.key, b.key))
  }

  openWatch(receive: (response: WatchResponse) => void): WatchStream {
    const stream = new FakeWatch(this, receive, this.#history)
    this.streams.add(stream)
    return stream
  }

  status(): NodeStatus {
    return {
      header: this.header,
      leader: this.leader,
      term: this.term,
      committed: 42,
      applied: 41,
      revision: this.revision,
      learner: this.learner,
      logicalBytes: 1000,
      diskBytes: 5000,
      quotaBytes: 2048,
      alarms: this.alarms,
      clusterVersion: '0.1.0',
      ready: this.leader !== 0n,
      problems: this.leader === 0n ? ['no leader is known'] : [],
      groups: [],
      peers: [],
      counters: this.counters,
    }
  }

  members() {
    const urls = { peerUrls: ['http://127.0.0.1:2380'], clientUrls: ['http://127.0.0.1:2379'] }
    return [{ id: this.self, name: 'one', learner: this.learner, ...urls }]
  }

  shards(): ShardsView {
    const shards = this.meta.shards.shards.map(({ group, range, epoch }) => ({
      group,
      range,
      epoch,
      leader: this.leader as NodeId,
      replicas: [this.self],
      logicalBytes: 1000,
      operation: this.operations.get(group) ?? ({ kind: 'none' } as const),
    }))
    const node = { node: this.self, name: 'one', learner: false, connected: true, draining: false }
    return {
      mapVersion: this.meta.shards.version,
      replicas: this.plan.replicas,
      shards,
      nodes: [
        { ...node, shards: shards.length, leads: shards.length },
        { ...node, node: OTHER_MEMBER, name: 'two', shards: 0, leads: 0 },
      ],
    }
  }

  shardPlan(): ShardPlan {
    return this.plan
  }

  leaderNode(): NodeId | 0n {
    return this.leader as NodeId | 0n
  }

  isLearner(): boolean {
    return this.learner
  }

  holdState(): Promise<null> {
    return Promise.resolve(null)
  }

  stop(): Promise<void> {
    this.stopped = true
    return Promise.resolve()
  }
}

export class FakeWatch implements WatchStream {
  closed = false
  /** Charged and not yet reported as consumed. */
  waitingBytes = 0
  readonly watches = new Map<number, WatchCreate>()
  readonly #node: FakeNode
  readonly #receive: (response: WatchResponse) => void
  readonly #history: readonly WatchEvent[]

  constructor(node: FakeNode, receive: (response: WatchResponse) => void, history: readonly WatchEvent[]) {
    this.#node = node
    this.#receive = receive
    this.#history = history
  }

  send(request: WatchRequest): void {
    queueMicrotask(() => this.#take(request))
  }

  #take(request: WatchRequest): void {
    const { header } = this.#node
    if (request.kind === 'progress') return this.deliver({ kind: 'progress', header, watchId: -1 })
    if (request.kind === 'cancel') {
      if (!this.watches.delete(request.watchId)) return
      const { watchId, reason = '' } = request
      return this.deliver({ kind: 'canceled', header, watchId, reason, compactRevision: 0 })
    }
    const { create } = request
    const empty = { reason: 'mvcc: watcher range is empty', code: 'malformed' } as const
    const refusal = create.refusal ?? this.#node.watchRefusal ?? (isEmptyRange(create.range) ? empty : null)
    this.#node.watchRefusal = null
    if (refusal !== null)
      return this.deliver({ kind: 'refused', header, watchId: -1, ...refusal, compactRevision: 0 })
    const watchId = create.watchId !== 0 ? create.watchId : this.watches.size
    this.watches.set(watchId, create)
    this.deliver({ kind: 'created', header, watchId })
    if (create.startRevision === 0) return
    const past = this.#history.filter(event => event.kv.mod >= create.startRevision)
    this.#emit(watchId, create, past)
  }

  publish(events: readonly WatchEvent[]): void {
    for (const [watchId, create] of this.watches) this.#emit(watchId, create, events)
  }

  #emit(watchId: number, create: WatchCreate, all: readonly WatchEvent[]): void {
    const events = all
      .filter(event => rangeContains(create.range, event.kv.key))
      .filter(event => !(event.kind === 'put' ? create.noPut : create.noDelete))
      .map(event => (create.prevKv ? event : { ...event, prev: null }))
    if (events.length > 0)
      this.deliver({ kind: 'events', header: this.#node.header, watchId, events, fragment: create.fragment })
  }

  deliver(response: WatchResponse): void {
    if (this.closed) return
    this.waitingBytes += watchResponseBytes(response)
    this.#receive(response)
  }

  consumed(bytes: number): void {
    this.waitingBytes -= bytes
  }

  close(): void {
    this.closed = true
    this.#node.streams.delete(this)
  }
}
