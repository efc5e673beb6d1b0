import { crc32 } from 'node:zlib'
import {
  clusterId,
  compareBytes,
  incarnation,
  LIMITS,
  nodeId,
  replicaId,
  toKeyString,
  type ClientRequest,
  type ClientResult,
  type Entry,
  type HardState,
  type LogBase,
  type GroupId,
  type KeyRange,
  type NodeId,
  type StoreAnswer,
  type StoreNeed,
  type StorePage,
  type StoreRow,
  type StoreScan,
  type WatchRequest,
  type WatchResponse,
} from '@kvorum/model'
import { initialPlaces } from '@kvorum/placement'
import {
  createNode,
  firstTurn,
  NO_MAINTENANCE,
  turn,
  foundingMeta,
  type Bootstrap,
  type Input,
  type MaintenanceOptions,
  type NodeLimits,
  type NodeOptions,
  type NodeState,
  type Orders,
  type Parcel,
  type PeerRecord,
  type RecoveredGroup,
} from '@kvorum/node'

import { decodeMetaRow, FIRST_MAP, META_ROW } from '@kvorum/placement'

export interface MiniOptions {
  readonly nodes?: number
  readonly ranges?: readonly KeyRange[]
  /** Replicas of each shard; absent: one on every node. */
  readonly replicas?: number
  readonly balance?: NodeOptions['balance']
  /** Revisions come from the oracle; else every shard counts its own. */
  readonly oracle?: boolean
  readonly limits?: Partial<NodeLimits>
  readonly maintenance?: Partial<MaintenanceOptions>
  readonly longCommand?: NodeOptions['longCommand']
  readonly slowApplyMs?: number
}

/**
 * A cluster with everything around the nodes made perfect: messages arrive in order after one millisecond,
 * writes are durable after one, the store answers at once. Enough to test what the nodes do; the simulator is
 * for what happens to them.
 */
export class MiniCluster {
  readonly nodes: MiniNode[] = []
  readonly cut = new Set<string>()
  /** Those that never arrive, wherever they are sent. */
  isLost: (parcel: Parcel) => boolean = () => false
  /** Where a node is reached, if it is not where it began. */
  readonly homes = new Map<NodeId, string>()
  /** A node that ends itself fails the test, unless it is about that. */
  nodesMayEnd = false
  now = 1

  constructor(options: MiniOptions = {}) {
    const replicas = Array.from({ length: options.nodes ?? 3 }, (_, i) => ({
      id: replicaId(i + 1),
      node: nodeId(BigInt(i + 1)),
    }))
    const ranges = options.ranges ?? [{ start: new Uint8Array(0), end: null }]
    const places = initialPlaces(
      replicas.map(({ node }) => node),
      ranges.length,
      options.replicas ?? replicas.length,
    )
    const bootstrap: Bootstrap = {
      nodes: replicas.map(({ node }) => ({
        id: node,
        name: '',
        peerUrls: [`http://n${node}`],
        clientUrls: [],
        learner: false,
        serverVersion: '',
      })),
      metaConfig: foundingMeta(replicas, options.replicas !== undefined),
      shards: ranges.map((range, i) => ({
        group: (i + 1) as GroupId,
        range,
        epoch: 1,
        replicas: replicas.filter(({ node }) => places[i]!.includes(node)),
      })),
      ...(options.replicas === undefined ? {} : { replicas: options.replicas, placed: true }),
      ...(options.oracle === true ? { oracle: true } : {}),
      joined: null,
    }
    for (const { node } of replicas) this.nodes.push(new MiniNode(this, node, bootstrap, options))
    for (const node of this.nodes) node.start()
    for (const node of this.nodes)
      for (const other of this.nodes) if (node !== other) node.put({ kind: 'peerUp', node: other.id })
  }

  /** Lets `ms` milliseconds pass. */
  run(ms: number): void {
    for (const until = this.now + ms; this.now < until;) {
      this.now++
      for (const node of this.nodes) node.step()
    }
  }

  /** Lets time pass until it holds; fails after `ms`. */
  until(condition: () => boolean, ms = 10_000): void {
    for (const end = this.now + ms; this.now < end; this.run(1)) if (condition()) return
    throw new Error('the condition never held')
  }

  leaderOf(group: number): MiniNode | undefined {
    return this.nodes.find(
      node => node.up && node.state.groups.get(group as GroupId)?.raft?.role === 'leader',
    )
  }

  /** Sends a request to a node and lets time pass until it is answered. */
  ask(node: MiniNode, request: ClientRequest, ms = 7_000): ClientResult {
    const id = node.request(request, ms)
    this.until(() => node.results.has(id), ms + 1_000)
    return node.results.get(id)!
  }
}

const DEFAULT_LIMITS: NodeLimits = { ...LIMITS, snapshotEntries: 10_000 }

export class MiniNode {
  readonly results = new Map<number, ClientResult>()
  readonly replies = new Map<number, Orders['replies'][number]>()
  readonly watched: WatchResponse[] = []
  readonly held: Orders['holds'] = []
  readonly notes: string[] = []
  /** Where the others are, as the transport was told last. */
  #places: NonNullable<Orders['peers']>['peers'] = []
  readonly log = new Map<GroupId, Entry[]>()
  readonly #disk = new Map<GroupId, { hardState: HardState; base: LogBase }>()
  readonly #peers = new Map<NodeId, PeerRecord>()
  #admitted = false
  #boot = 1
  readonly rows = new Map<string, StoreRow>()
  state: NodeState
  up = true
  /** Why it ended itself. */
  fatal: string | null = null
  /** Milliseconds until the state store answers. */
  storeDelay = 1
  /** Milliseconds until a write is durable. */
  diskDelay = 1
  turns = 0
  #inbox: { readonly at: number; readonly input: Input }[] = []
  #wakeAt = 0
  #next = 1

  readonly cluster: MiniCluster
  readonly id: NodeId
  readonly bootstrap: Bootstrap
  options: NodeOptions

  constructor(
    cluster: MiniCluster,
    id: NodeId,
    bootstrap: Bootstrap,
    { limits = {}, maintenance = {}, longCommand, slowApplyMs, balance }: MiniOptions,
  ) {
    this.cluster = cluster
    this.id = id
    this.bootstrap = bootstrap
    this.options = {
      cluster: clusterId(1n),
      self: id,
      name: `n${id}`,
      clientUrls: [],
      serverVersion: '3.5.21',
      seed: Number(id) * 7919,
      electionTimeoutMs: 100,
      heartbeatMs: 10,
      progressNotifyMs: 1_000,
      limits: { ...DEFAULT_LIMITS, ...limits },
      maintenance: { ...NO_MAINTENANCE, ...maintenance },
      checksum: (bytes, seed) => crc32(bytes, seed),
      ...(longCommand === undefined ? {} : { longCommand }),
      ...(slowApplyMs === undefined ? {} : { slowApplyMs }),
      ...(balance === undefined ? {} : { balance }),
    }
    this.state = this.#created(bootstrap)
  }

  start(): void {
    this.#begin(this.bootstrap)
  }

  #begin(bootstrap: Bootstrap): void {
    const { now } = this.cluster
    this.#carryOut(firstTurn(this.state, bootstrap, { now, wall: now, inputs: [] }))
  }

  #created(bootstrap: Bootstrap): NodeState {
    return createNode(this.options, {
      now: this.cluster.now,
      identity: { incarnation: incarnation(this.id), boot: this.#boot, nonce: this.id },
      admitted: this.#admitted,
      peers: [...this.#peers.values()],
      groups: this.#recovered(),
      bootstrap,
    })
  }

  /** The process ends. What it had written is there; what the state store had not been given yet is not. */
  kill(): void {
    this.up = false
    for (const other of this.cluster.nodes) if (other !== this) other.put({ kind: 'peerDown', node: this.id })
  }

  /** Whether it would find the other one where it has been told to look. */
  reaches(to: NodeId): boolean {
    const place = this.#places.find(({ node }) => node === to)
    const first = `http://n${to}`
    const home = this.cluster.homes.get(to) ?? first
    return place === undefined ? home === first : [...place.urls, ...place.alsoAt].includes(home)
  }

  #move(places: NonNullable<Orders['peers']>['peers']): void {
    const before = new Set(this.cluster.nodes.filter(({ id }) => this.reaches(id)))
    this.#places = places
    for (const { id } of this.cluster.nodes) {
      const reached = this.reaches(id)
      if (id === this.id || reached === [...before].some(node => node.id === id)) continue
      this.put({ kind: reached ? 'peerUp' : 'peerDown', node: id })
    }
  }

  /** A new process begins with what the last one left. */
  restart(): void {
    const row = this.rows.get(toKeyString(META_ROW))
    const meta = row === undefined ? null : decodeMetaRow(row.value)
    const bootstrap =
      meta === null
        ? this.bootstrap
        : {
            ...this.bootstrap,
            nodes: meta.nodes,
            shards: meta.shards.shards,
            mapChanged: meta.shards.version > FIRST_MAP,
            placed: meta.placement.shards.length > 0,
          }
    this.#boot++
    this.#inbox = []
    this.#places = bootstrap.nodes.map(({ id, peerUrls }) => ({ node: id, urls: peerUrls, alsoAt: [] }))
    const home = this.cluster.homes.get(this.id)
    if (home !== undefined) this.options = { ...this.options, peerUrls: [home] }
    this.state = this.#created(bootstrap)
    this.up = true
    this.#begin(bootstrap)
    for (const other of this.cluster.nodes) {
      if (other === this || !other.up) continue
      if (other.reaches(this.id)) other.put({ kind: 'peerUp', node: this.id })
      if (this.reaches(other.id)) this.put({ kind: 'peerUp', node: other.id })
    }
  }

  #recovered(): RecoveredGroup[] {
    return [...this.#disk].map(([group, { hardState, base }]) => {
      const entries = this.log.get(group) ?? []
      const runs = entries.filter(({ term }, i) => entries[i - 1]?.term !== term)
      return {
        group,
        hardState,
        base,
        termRuns: runs.map(({ index, term }) => ({ first: index, term })),
        lastIndex: entries.at(-1)?.index ?? base.index,
        configs: entries.filter(({ kind }) => kind === 'config').map(({ index, data }) => ({ index, data })),
        entries,
        lastTime: entries.at(-1)?.time ?? 0,
        corrupt: null,
      }
    })
  }

  put(input: Input, delay = 1): void {
    this.#inbox.push({ at: this.cluster.now + delay, input })
  }

  request(request: ClientRequest, ms = 7_000): number {
    const id = this.#next++
    this.put({ kind: 'request', id, request, deadline: this.cluster.now + ms })
    return id
  }

  watch(stream: number, request: WatchRequest): void {
    if (!this.state.hub.streams.has(stream)) this.put({ kind: 'watchOpen', stream }, 0)
    this.put({ kind: 'watch', stream, request })
  }

  step(): void {
    if (!this.up) {
      this.#inbox = []
      return
    }
    const { now } = this.cluster
    const due = this.#inbox.filter(({ at }) => at <= now)
    if (due.length === 0 && this.#wakeAt > now) return
    this.#inbox = this.#inbox.filter(({ at }) => at > now)
    this.turns++
    this.#carryOut(turn(this.state, { now, wall: now, inputs: due.map(({ input }) => input) }))
  }

  #carryOut(orders: Orders): void {
    if (orders.fatal !== null) {
      if (!this.cluster.nodesMayEnd) throw new Error(orders.fatal)
      this.fatal = orders.fatal
      this.up = false
    }
    for (const { to, parcels } of orders.send) {
      if (this.cluster.cut.has(`${this.id}>${to}`) || !this.reaches(to)) continue
      const target = this.cluster.nodes.find(node => node.id === to)
      const arriving = parcels.filter(parcel => !this.cluster.isLost(parcel))
      if (arriving.length > 0) target?.put({ kind: 'parcels', from: this.id, parcels: arriving })
    }
    if (orders.peers !== null) this.#move(orders.peers.peers)
    if (orders.persist !== null) this.#persist(orders.persist)
    for (const { id, need } of orders.fetch)
      this.put({ kind: 'fetched', id, answer: this.#fetch(need) }, this.storeDelay)
    if (orders.store !== null) {
      for (const { key, value } of orders.store.writes) {
        if (value === null) this.rows.delete(toKeyString(key))
        else this.rows.set(toKeyString(key), { key, value })
      }
      this.put({ kind: 'stored', id: orders.store.id })
    }
    for (const { group, from, to } of orders.readLog) {
      const entries = (this.log.get(group) ?? []).filter(({ index }) => index >= from && index <= to)
      this.put({ kind: 'logRead', group, entries })
    }
    for (const reply of orders.replies) {
      this.results.set(reply.id, reply.result)
      this.replies.set(reply.id, reply)
    }
    for (const { response } of orders.watch) this.watched.push(response)
    this.held.push(...orders.holds)
    for (const { text } of orders.notes) this.notes.push(text)
    this.#wakeAt = orders.again ? this.cluster.now : orders.wakeAt
  }

  /** What its store holds now. */
  fetchNow(need: StoreNeed): StoreAnswer {
    return this.#fetch(need)
  }

  #persist(order: NonNullable<Orders['persist']>): void {
    if (order.admitted) this.#admitted = true
    for (const peer of order.peers) this.#peers.set(peer.node, peer)
    for (const { group, persist } of order.groups) {
      const known = this.#disk.get(group) ?? {
        hardState: { term: 0, vote: replicaId(0), commit: 0 },
        base: { index: 0, term: 0 },
      }
      const { hardState, reset } = persist
      this.#disk.set(group, { hardState: hardState ?? known.hardState, base: reset?.base ?? known.base })
      let entries = this.log.get(group) ?? []
      if (persist.reset !== null) {
        const { base, keep } = persist.reset
        entries = keep ? entries.filter(({ index }) => index > base.index) : []
      }
      const first = persist.entries[0]?.index
      if (first !== undefined) entries = [...entries.filter(({ index }) => index < first), ...persist.entries]
      this.log.set(group, entries)
    }
    this.put({ kind: 'persisted' }, this.diskDelay)
  }

  #fetch(need: StoreNeed): StoreAnswer {
    return {
      values: need.gets.map(key => this.rows.get(toKeyString(key))?.value ?? null),
      pages: need.scans.map(scan => this.#scan(scan)),
    }
  }

  #scan({ gte, lt, reverse, values, rowsMax }: StoreScan): StorePage {
    const rows = [...this.rows.values()]
      .filter(({ key }) => compareBytes(key, gte) >= 0 && compareBytes(key, lt) < 0)
      .sort((a, b) => compareBytes(a.key, b.key) * (reverse ? -1 : 1))
      .map(row => (values ? row : { key: row.key, value: new Uint8Array(0) }))
    return { rows: rows.slice(0, rowsMax), more: rows.length > rowsMax }
  }
}
