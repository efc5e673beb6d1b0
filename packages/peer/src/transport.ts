import { LIMITS, type ClusterId, type NodeId } from '@kvorum/model'
import { Acceptor } from './acceptor.js'
import { TIMING, type Address, type Peers, type TransportEvents, type TransportTiming } from './events.js'
import { Link, sameAddresses } from './link.js'
import { Listener } from './listener.js'
import type { Lane } from './preface.js'
import type { PeerTls } from './tls.js'
import { isLarge } from './replyPieces.js'
import type { Parcel } from './types.js'

/**
 * Connections to the other nodes. Every node dials every other: what a node sends goes over connections it
 * dialled, what it receives comes over connections it accepted. Order holds within a lane of one connection;
 * what was in flight when a connection broke is lost, and the owner is told.
 *
 *     send(to, parcels) --> Link (control | bulk) --> TCP --> Acceptor --> decode --> onParcels(from, parcels)
 */
export interface TransportOptions {
  readonly cluster: ClusterId
  readonly self: NodeId
  readonly listen: readonly Address[]
  /** At first; see setPeers. */
  readonly peers: Peers
  /** In [0, 1); spreads reconnects. */
  readonly random: () => number
  readonly events: TransportEvents
  /** For the addresses that are secure; without it none of them can be used. */
  readonly tls?: PeerTls | null
  /** Other times than the usual ones; for tests and for odd networks. */
  readonly timing?: Partial<TransportTiming>
}

export class PeerTransport {
  readonly #options: TransportOptions
  readonly #timing: TransportTiming
  readonly #acceptor: Acceptor
  readonly #links = new Map<string, Link>()
  #listeners: Listener[] = []
  #peers: Peers
  #alsoAt: Peers = new Map()
  #removed: ReadonlySet<NodeId> = new Set()
  #closed = false

  private constructor(options: TransportOptions) {
    const { cluster, self, events } = options
    this.#options = options
    this.#peers = options.peers
    this.#timing = { ...TIMING, ...options.timing }
    this.#acceptor = new Acceptor({
      cluster,
      self,
      hostsOf: node => (this.#peers.get(node) ?? []).map(({ host }) => host),
      tls: options.tls ?? null,
      isMember: node => this.#peers.has(node),
      isRemoved: node => this.#removed.has(node),
      timing: this.#timing,
      events,
    })
  }

  /** Listens, then begins to dial. Rejects when an address cannot be listened on. */
  static async start(options: TransportOptions): Promise<PeerTransport> {
    const transport = new PeerTransport(options)
    try {
      for (const address of options.listen) await transport.#listen(address)
    } catch (error) {
      await transport.close()
      throw error
    }
    for (const peer of options.peers.keys()) transport.#link(peer, 'control')
    return transport
  }

  /**
   * Who is a peer from now on, and where; and who was one and is told so whenever it calls. Connections to others,
   * or to former addresses, end. `alsoAt` is where peers are by their own word: dialled after their addresses, and
   * never instead of them. Where one of a peer's addresses is secure, only secure ones are added to them.
   */
  setPeers(peers: Peers, removed: ReadonlySet<NodeId>, alsoAt: Peers = new Map()): void {
    if (this.#closed) return
    const before = this.#peers
    this.#peers = peers
    this.#alsoAt = alsoAt
    this.#removed = removed
    for (const [key, link] of this.#links) {
      if (sameAddresses(before.get(link.peer), peers.get(link.peer))) {
        link.setAlsoAt(this.#saidOf(link.peer))
        continue
      }
      this.#links.delete(key)
      link.abandon()
    }
    for (const node of before.keys()) if (!peers.has(node)) this.#acceptor.dropPeer(node)
    for (const peer of peers.keys()) this.#link(peer, 'control')
  }

  /** Where it really listens (a port of 0 was chosen by the system). */
  addresses(): Address[] {
    return this.#listeners.map(({ address: { address, port } }) => ({ host: address, port }))
  }

  /**
   * Queues messages to `peer`. What does not fit, or has no connection, is dropped and reported. Snapshot chunks and
   * large answers have a lane of their own, dialled when it is first needed; a few of them wait for that. A refusal
   * goes back on the connection that brought what is refused, and ends it.
   */
  send(peer: NodeId, parcels: readonly Parcel[]): void {
    for (const parcel of parcels) {
      if (parcel.kind === 'refused') this.#acceptor.refuse(peer, parcel.identity, parcel.reason)
    }
    const bulk = parcels.filter(isBulk)
    const control = parcels.filter(parcel => !isBulk(parcel) && parcel.kind !== 'refused')
    if (control.length > 0) this.#sendOn('control', peer, control)
    if (bulk.length > 0) this.#sendOn('bulk', peer, bulk)
  }

  /** Bytes that wait to leave for `peer`. */
  queuedBytes(peer: NodeId): number {
    const lanes: readonly Lane[] = ['control', 'bulk']
    return lanes.reduce((sum, lane) => sum + (this.#links.get(linkKey(peer, lane))?.queuedBytes ?? 0), 0)
  }

  /** Nothing is left open, and no event follows. May be called more than once. */
  async close(): Promise<void> {
    this.#closed = true
    for (const listener of this.#listeners) listener.stop()
    await Promise.all([...this.#links.values()].map(link => link.close()))
    await this.#acceptor.close()
    await Promise.all(this.#listeners.map(listener => listener.close()))
  }

  #sendOn(lane: Lane, peer: NodeId, parcels: readonly Parcel[]): void {
    if (this.#closed) return
    const link = this.#link(peer, lane)
    if (link === null) this.#options.events.onDropped(peer, parcels)
    else link.send(parcels)
  }

  /** Null: there is no such peer. */
  #link(peer: NodeId, lane: Lane): Link | null {
    const key = linkKey(peer, lane)
    const known = this.#links.get(key)
    const { cluster, self, random, events } = this.#options
    const addresses = this.#peers.get(peer)
    if (known !== undefined || addresses === undefined) return known ?? null
    const preface = { cluster, from: self, to: peer, lane }
    const tls = this.#options.tls ?? null
    const alsoAt = this.#saidOf(peer)
    const link = new Link({ peer, addresses, alsoAt, preface, random, timing: this.#timing, events, tls })
    this.#links.set(key, link)
    return link
  }

  /** A peer's word must not bring anybody to send in the clear what is meant to be encrypted. */
  #saidOf(peer: NodeId): readonly Address[] {
    const said = this.#alsoAt.get(peer) ?? []
    const encrypts = (this.#peers.get(peer) ?? []).some(({ secure }) => secure === true)
    return said.filter(({ secure }) => secure === true || !encrypts).slice(0, LIMITS.peerUrlsSaidMax)
  }

  async #listen({ host, port, secure = false }: Address): Promise<void> {
    const { events, tls = null } = this.#options
    if (secure && tls === null) throw new Error('a secure address needs certificates')
    const listener = new Listener({
      tls: secure ? tls!.listener : null,
      allowHalfOpen: false,
      handshakeMs: this.#timing.prefaceMs,
      handshakesMax: LIMITS.peerHandshakesMax,
      keepAliveMs: 0,
      admits: () => !this.#closed,
      onSocket: socket => this.#acceptor.accept(socket),
      onFailure: (remote, problem) => {
        if (!this.#closed) events.onStranger(remote, problem)
      },
    })
    await listener.listen(host, port)
    this.#listeners.push(listener)
  }
}

const isBulk = (parcel: Parcel): boolean => parcel.kind === 'snapshotChunk' || isLarge(parcel)

const linkKey = (peer: NodeId, lane: Lane): string => `${peer}/${lane}`
