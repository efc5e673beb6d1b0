import type { Parcel } from '@kvorum/peer'
import type { ConnectionId } from '../network/connections.js'
import type { Network, NetworkPort } from '../network/network.js'
import type { Station } from '../network/partition.js'
import type { Random } from '../random.js'
import { MILLISECOND, type Timer } from '../schedule.js'
import type { FrameCodec } from './frames.js'

export interface TransportEvents {
  parcels(from: Station, parcels: readonly Parcel[]): void
  up(peer: Station): void
  down(peer: Station): void
  dropped(peer: Station, parcels: readonly Parcel[]): void
}

type Lane = 'control' | 'bulk'

interface Dialled {
  readonly peer: Station
  readonly lane: Lane
  connection: ConnectionId | null
  ready: boolean
  attempts: number
  redial: Timer | null
}

/**
 * The peer transport as production has it, on the simulated network: every node dials every other, sends on what
 * it dialled, receives on what it accepted, snapshot chunks on a connection of their own; a lost connection is
 * dialled again with back-off, and what could not be sent is told.
 */
export class SimTransport implements NetworkPort {
  readonly #network: Network
  readonly #self: Station
  readonly #codec: FrameCodec
  readonly #random: Random
  readonly #events: TransportEvents
  readonly #links = new Map<string, Dialled>()
  readonly #byConnection = new Map<ConnectionId, Dialled>()
  readonly #decoders = new Map<ConnectionId, ReturnType<FrameCodec['decoder']>>()
  #closed = false

  constructor(network: Network, self: Station, codec: FrameCodec, random: Random, events: TransportEvents) {
    this.#network = network
    this.#self = self
    this.#codec = codec
    this.#random = random
    this.#events = events
  }

  start(peers: readonly Station[]): void {
    this.#network.attach(this.#self, this)
    for (const peer of peers) this.#link(peer, 'control')
  }

  close(how: 'reset' | 'silent'): void {
    this.#closed = true
    for (const { redial } of this.#links.values()) if (redial !== null) this.#network.schedule.cancel(redial)
    this.#network.detach(this.#self, how)
  }

  /** Drops every connection and dials again at once (the faults are over; half-open ones would take long). */
  reset(): void {
    for (const link of this.#links.values()) {
      if (link.redial !== null) this.#network.schedule.cancel(link.redial)
      link.redial = null
      if (link.connection !== null) this.#network.cut(link.connection)
      if (link.connection !== null) this.closed(link.connection)
      link.attempts = 0
      if (link.redial !== null) this.#network.schedule.cancel(link.redial)
      link.redial = null
      this.#dial(link)
    }
  }

  send(to: Station, parcels: readonly Parcel[]): void {
    const bulk = parcels.filter(parcel => parcel.kind === 'snapshotChunk')
    const control = bulk.length === 0 ? parcels : parcels.filter(parcel => parcel.kind !== 'snapshotChunk')
    if (bulk.length > 0) this.#sendOn(this.#link(to, 'bulk'), bulk)
    if (control.length > 0) this.#sendOn(this.#link(to, 'control'), control)
  }

  opened(connection: ConnectionId, _peer: Station, dialled: boolean): void {
    if (!dialled) {
      this.#decoders.set(connection, this.#codec.decoder())
      return
    }
    const link = this.#byConnection.get(connection)
    if (link === undefined) return
    link.ready = true
    link.attempts = 0
    if (link.lane === 'control') this.#events.up(link.peer)
  }

  received(from: Station, frame: Uint8Array, connection: ConnectionId | null): void {
    const decoder = connection === null ? undefined : this.#decoders.get(connection)
    const parcels = decoder?.push(frame) ?? []
    if (parcels.length > 0) this.#events.parcels(from, parcels)
  }

  closed(connection: ConnectionId): void {
    this.#decoders.delete(connection)
    const link = this.#byConnection.get(connection)
    if (link === undefined) return
    this.#byConnection.delete(connection)
    const wasReady = link.ready
    link.connection = null
    link.ready = false
    if (wasReady && link.lane === 'control') this.#events.down(link.peer)
    if (this.#closed) return
    const delay = Math.min(1_000, 50 * 2 ** Math.min(link.attempts++, 10)) * this.#random.between(0.5, 1)
    link.redial = this.#network.schedule.after(delay * MILLISECOND, 'redial', () => {
      link.redial = null
      this.#dial(link)
    })
  }

  #sendOn(link: Dialled, parcels: readonly Parcel[]): void {
    const { connection } = link
    if (connection === null || !link.ready) {
      this.#events.dropped(link.peer, parcels)
      return
    }
    for (const chunk of this.#codec.encode(parcels)) {
      if (this.#network.send(connection, this.#self, chunk)) continue
      this.#events.dropped(link.peer, parcels)
      return
    }
  }

  #link(peer: Station, lane: Lane): Dialled {
    const key = `${peer} ${lane}`
    let link = this.#links.get(key)
    if (link === undefined) {
      link = { peer, lane, connection: null, ready: false, attempts: 0, redial: null }
      this.#links.set(key, link)
      this.#dial(link)
    }
    return link
  }

  #dial(link: Dialled): void {
    if (this.#closed) return
    link.connection = this.#network.connect(this.#self, link.peer)
    this.#byConnection.set(link.connection, link)
  }
}
