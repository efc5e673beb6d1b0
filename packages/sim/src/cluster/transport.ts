import type { BootIdentity, NodeId, PeerRefusal } from '@kvorum/model'
import type { Parcel } from '@kvorum/peer'
import type { ConnectionId } from '../network/connections.js'
import type { Network, NetworkPort } from '../network/network.js'
import type { Station } from '../network/partition.js'
import type { Random } from '../random.js'
import { MILLISECOND, type Timer } from '../schedule.js'
import type { Addresses } from './addresses.js'
import type { FrameCodec } from './frames.js'
import { nodeOf, stationOf } from './nodeConfig.js'

export interface TransportEvents {
  parcels(from: NodeId, parcels: readonly Parcel[]): void
  up(peer: NodeId): void
  down(peer: NodeId): void
  dropped(peer: NodeId, parcels: readonly Parcel[]): void
  refused(peer: NodeId, reason: PeerRefusal): void
}

export interface TransportWorld {
  readonly network: Network
  readonly addresses: Addresses
  readonly codec: FrameCodec
}

export interface PeerAddress {
  readonly node: NodeId
  readonly urls: readonly string[]
  /** By its own word. */
  readonly alsoAt: readonly string[]
}

type Lane = 'control' | 'bulk'

interface Dialled {
  readonly peer: NodeId
  readonly lane: Lane
  readonly urls: readonly string[]
  connection: ConnectionId | null
  ready: boolean
  attempts: number
  redial: Timer | null
}

interface Accepted {
  readonly from: NodeId
  readonly decoder: ReturnType<FrameCodec['decoder']>
  /** What it called itself in its last hello. */
  identity: BootIdentity | null
}

/** A refusal is one byte on a connection that carries nothing else in that direction. */
const REFUSALS: readonly PeerRefusal[] = [
  'otherCluster',
  'unknownMember',
  'otherDirectory',
  'olderDirectory',
  'copiedDirectory',
  'removedMember',
]

/**
 * The peer transport as production has it, on the simulated network: every node dials every other, sends on what
 * it dialled, receives on what it accepted, snapshot chunks on a connection of their own; a lost connection is
 * dialled again with back-off, and what could not be sent is told. Who is no peer is turned away, and told why.
 */
export class SimTransport implements NetworkPort {
  readonly #network: Network
  readonly #addresses: Addresses
  readonly #self: Station
  readonly #codec: FrameCodec
  readonly #random: Random
  readonly #events: TransportEvents
  readonly #links = new Map<string, Dialled>()
  readonly #byConnection = new Map<ConnectionId, Dialled>()
  readonly #accepted = new Map<ConnectionId, Accepted>()
  #peers = new Map<NodeId, readonly string[]>()
  #alsoAt = new Map<NodeId, readonly string[]>()
  #removed: ReadonlySet<NodeId> = new Set()
  #closed = false

  constructor(world: TransportWorld, self: Station, random: Random, events: TransportEvents) {
    this.#network = world.network
    this.#addresses = world.addresses
    this.#self = self
    this.#codec = world.codec
    this.#random = random
    this.#events = events
  }

  start(peers: readonly PeerAddress[]): void {
    this.#network.attach(this.#self, this)
    this.#peers = addressesOf(peers)
    for (const { node } of peers) this.#link(node, 'control')
  }

  /** Who is a peer from now on, and where; connections to others, or to former addresses, end. */
  setPeers(peers: readonly PeerAddress[], removed: readonly NodeId[]): void {
    if (this.#closed) return
    const before = this.#peers
    this.#peers = addressesOf(peers)
    this.#alsoAt = new Map(peers.map(({ node, alsoAt }) => [node, alsoAt]))
    this.#removed = new Set(removed)
    for (const [key, link] of this.#links) {
      if (this.#peers.get(link.peer)?.join() === link.urls.join()) continue
      this.#links.delete(key)
      this.#abandon(link)
    }
    for (const [connection, { from }] of this.#accepted) {
      if (before.has(from) && !this.#peers.has(from)) this.#hangUp(connection)
    }
    for (const { node } of peers) this.#link(node, 'control')
  }

  close(how: 'reset' | 'silent'): void {
    this.#closed = true
    for (const { redial } of this.#links.values()) if (redial !== null) this.#network.schedule.cancel(redial)
    this.#network.detach(this.#self, how)
  }

  /** Drops every connection and dials again at once (the faults are over; half-open ones would take long). */
  reset(): void {
    for (const link of this.#links.values()) {
      this.#cancelRedial(link)
      if (link.connection !== null) this.#network.cut(link.connection)
      if (link.connection !== null) this.closed(link.connection)
      link.attempts = 0
      this.#cancelRedial(link)
      this.#dial(link)
    }
  }

  /** A refusal goes back on the connection that brought what is refused, and ends it. */
  send(to: NodeId, parcels: readonly Parcel[]): void {
    for (const parcel of parcels) if (parcel.kind === 'refused') this.#refuse(to, parcel)
    const bulk = parcels.filter(parcel => parcel.kind === 'snapshotChunk')
    const control = parcels.filter(({ kind }) => kind !== 'snapshotChunk' && kind !== 'refused')
    if (bulk.length > 0) this.#sendOn(to, 'bulk', bulk)
    if (control.length > 0) this.#sendOn(to, 'control', control)
  }

  opened(connection: ConnectionId, peer: Station, dialled: boolean): void {
    if (!dialled) {
      this.#accept(connection, nodeOf(peer))
      return
    }
    const link = this.#byConnection.get(connection)
    if (link === undefined) return
    link.ready = true
    link.attempts = 0
    if (link.lane === 'control') this.#events.up(link.peer)
  }

  received(from: Station, frame: Uint8Array, connection: ConnectionId | null): void {
    const link = connection === null ? undefined : this.#byConnection.get(connection)
    if (link !== undefined) {
      this.#events.refused(link.peer, REFUSALS[frame[0]!]!)
      return
    }
    const accepted = connection === null ? undefined : this.#accepted.get(connection)
    const parcels = accepted?.decoder.push(frame) ?? []
    for (const parcel of parcels) if (parcel.kind === 'hello') accepted!.identity = parcel.identity
    if (parcels.length > 0) this.#events.parcels(nodeOf(from), parcels)
  }

  closed(connection: ConnectionId): void {
    this.#accepted.delete(connection)
    const link = this.#byConnection.get(connection)
    if (link === undefined) return
    this.#byConnection.delete(connection)
    const wasReady = link.ready
    link.connection = null
    link.ready = false
    if (wasReady && link.lane === 'control') this.#events.down(link.peer)
    if (!this.#closed) this.#redial(link)
  }

  #accept(connection: ConnectionId, from: NodeId): void {
    const refusal = this.#judge(from)
    if (refusal === null) {
      this.#accepted.set(connection, { from, decoder: this.#codec.decoder(), identity: null })
    } else this.#turnAway(connection, refusal)
  }

  /** As the acceptor of production does. */
  #judge(from: NodeId): PeerRefusal | null {
    if (this.#peers.has(from)) return null
    return this.#removed.has(from) ? 'removedMember' : 'unknownMember'
  }

  #turnAway(connection: ConnectionId, reason: PeerRefusal): void {
    this.#accepted.delete(connection)
    this.#network.send(connection, this.#self, Uint8Array.of(REFUSALS.indexOf(reason)))
    this.#network.close(connection, this.#self)
  }

  #refuse(to: NodeId, { identity, reason }: Parcel & { readonly kind: 'refused' }): void {
    for (const [connection, accepted] of [...this.#accepted]) {
      if (accepted.from === to && accepted.identity?.nonce === identity.nonce)
        this.#turnAway(connection, reason)
    }
  }

  #hangUp(connection: ConnectionId): void {
    this.#accepted.delete(connection)
    this.#network.close(connection, this.#self)
  }

  #abandon(link: Dialled): void {
    this.#cancelRedial(link)
    const { connection, ready } = link
    if (connection === null) return
    this.#byConnection.delete(connection)
    this.#network.close(connection, this.#self)
    if (ready && link.lane === 'control') this.#events.down(link.peer)
  }

  #sendOn(peer: NodeId, lane: Lane, parcels: readonly Parcel[]): void {
    const link = this.#link(peer, lane)
    if (link === null || link.connection === null || !link.ready) {
      this.#events.dropped(peer, parcels)
      return
    }
    for (const chunk of this.#codec.encode(parcels)) {
      if (this.#network.send(link.connection, this.#self, chunk)) continue
      this.#events.dropped(peer, parcels)
      return
    }
  }

  /** Null: there is no such peer. */
  #link(peer: NodeId, lane: Lane): Dialled | null {
    const key = `${peer} ${lane}`
    const known = this.#links.get(key)
    const urls = this.#peers.get(peer)
    if (known !== undefined || urls === undefined) return known ?? null
    const link: Dialled = { peer, lane, urls, connection: null, ready: false, attempts: 0, redial: null }
    this.#links.set(key, link)
    this.#dial(link)
    return link
  }

  #dial(link: Dialled): void {
    if (this.#closed) return
    const urls = [...link.urls, ...(this.#alsoAt.get(link.peer) ?? [])]
    const station = this.#addresses.at(urls[link.attempts % urls.length]!)
    // The preface names whom it is meant for: another machine at that address turns it away.
    if (station === null || station !== stationOf(link.peer)) {
      this.#redial(link)
      return
    }
    link.connection = this.#network.connect(this.#self, station)
    this.#byConnection.set(link.connection, link)
  }

  #redial(link: Dialled): void {
    const delay = Math.min(1_000, 50 * 2 ** Math.min(link.attempts++, 10)) * this.#random.between(0.5, 1)
    link.redial = this.#network.schedule.after(delay * MILLISECOND, 'redial', () => {
      link.redial = null
      this.#dial(link)
    })
  }

  #cancelRedial(link: Dialled): void {
    if (link.redial !== null) this.#network.schedule.cancel(link.redial)
    link.redial = null
  }
}

const addressesOf = (peers: readonly PeerAddress[]): Map<NodeId, readonly string[]> =>
  new Map(peers.map(({ node, urls }) => [node, urls]))
