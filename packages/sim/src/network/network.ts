import { assert } from '@kvorum/model'
import type { Random } from '../random.js'
import { SECOND, type Micros, type Schedule } from '../schedule.js'
import { Connections, type ConnectionId } from './connections.js'
import { CALM_LINK, type LinkFaults } from './faults.js'
import { arrival, createLink, type Link } from './link.js'
import type { Cut, Station } from './partition.js'

const FRAMES_IN_FLIGHT_MAX = 200_000

/** What a running process hears from the network. One instance per life: a restart attaches a new one. */
export interface NetworkPort {
  /** A connection stands. `dialled` tells the side that asked for it from the one that accepted. */
  opened(connection: ConnectionId, peer: Station, dialled: boolean): void
  /** `connection` null: a datagram. */
  received(from: Station, frame: Uint8Array, connection: ConnectionId | null): void
  /** Also the answer to a `connect` that came to nothing. Nothing follows for this id. */
  closed(connection: ConnectionId): void
}

export interface NetworkCounts {
  sent: number
  delivered: number
  dropped: number
  duplicated: number
  replayed: number
  cut: number
  halfOpen: number
  stalled: number
}

/**
 * The network between stations: directed links that carry opaque frames, by connection (in order, or not at all
 * after a cut, as TCP does) or as datagrams (each on its own luck). All chance comes from one random stream.
 *
 * A blocked link does not kill connections: their frames wait in the sender's buffer and arrive when the link
 * heals, unless one side gives up before. Dialling again, and with which back-off, is the node's business.
 */
export class Network {
  readonly counts: NetworkCounts = {
    sent: 0,
    delivered: 0,
    dropped: 0,
    duplicated: 0,
    replayed: 0,
    cut: 0,
    halfOpen: 0,
    stalled: 0,
  }
  readonly schedule: Schedule
  readonly random: Random
  readonly #links: Link[][]
  readonly #ports: (NetworkPort | null)[]
  readonly #connections: Connections
  #framesInFlight = 0

  constructor(stations: number, schedule: Schedule, random: Random) {
    this.schedule = schedule
    this.random = random
    this.#links = Array.from({ length: stations }, () => Array.from({ length: stations }, createLink))
    this.#ports = new Array<NetworkPort | null>(stations).fill(null)
    this.#connections = new Connections(this)
  }

  get stations(): number {
    return this.#ports.length
  }

  link(from: Station, to: Station): Link {
    const link = this.#links[from]?.[to]
    assert(link !== undefined, () => `no link from ${from} to ${to}`)
    return link
  }

  port(station: Station): NetworkPort | null {
    return this.#ports[station] ?? null
  }

  /** A process started. */
  attach(station: Station, port: NetworkPort): void {
    assert(this.port(station) === null, () => `station ${station} is attached already`)
    this.#ports[station] = port
  }

  /** The process ended. 'silent': the machine is gone and nobody tells its peers. */
  detach(station: Station, how: 'reset' | 'silent'): void {
    this.#ports[station] = null
    this.#connections.dropStation(station, how)
  }

  /** Answered later by `opened` or `closed`. */
  connect(from: Station, to: Station): ConnectionId {
    return this.#connections.dial(from, to)
  }

  /** False: this side is closed, or its buffer is full and the frame was not taken. */
  send(connection: ConnectionId, from: Station, frame: Uint8Array): boolean {
    return this.#connections.send(connection, from, frame)
  }

  /** Bytes of this side that have not arrived. */
  unsentBytes(connection: ConnectionId, from: Station): number {
    return this.#connections.unsentBytes(connection, from)
  }

  /** Closes this side; the other one hears of it if the links let it. */
  close(connection: ConnectionId, from: Station): void {
    this.#connections.close(connection, from)
  }

  /** Kills the connection under both sides. */
  cut(connection: ConnectionId): void {
    this.#connections.cut(connection)
  }

  datagram(from: Station, to: Station, frame: Uint8Array): void {
    const link = this.link(from, to)
    const { faults } = link
    this.counts.sent++
    const copies = this.random.chance(faults.duplicateChance) ? 2 : 1
    this.counts.duplicated += copies - 1
    if (this.random.chance(faults.dropChance) || link.blocked) this.counts.dropped++
    else
      for (let i = 0; i < copies; i++) this.#datagramAt(this.#datagramArrival(link, frame), from, to, frame)
    if (this.random.chance(faults.replayChance)) {
      this.counts.replayed++
      this.#datagramAt(this.schedule.now + this.random.int(1, faults.replayAfterMax), from, to, frame)
    }
  }

  setFaults(faults: (from: Station, to: Station) => LinkFaults): void {
    for (let from = 0; from < this.stations; from++) {
      for (let to = 0; to < this.stations; to++) this.link(from, to).faults = faults(from, to)
    }
  }

  block(cuts: readonly Cut[]): void {
    for (const [from, to] of cuts) this.link(from, to).blocked = true
  }

  unblock(cuts: readonly Cut[]): void {
    for (const [from, to] of cuts) {
      this.link(from, to).blocked = false
      this.#connections.resume(from, to)
    }
  }

  /** Nothing arrives over this link for a while; what was sent arrives afterwards. */
  clog(from: Station, to: Station, time: Micros): void {
    const link = this.link(from, to)
    link.cloggedUntil = Math.max(link.cloggedUntil, this.schedule.now + time)
  }

  /** Every link carries again. Fault chances stay; see `calm`. */
  heal(): void {
    for (let from = 0; from < this.stations; from++) {
      for (let to = 0; to < this.stations; to++) {
        this.link(from, to).cloggedUntil = 0
        this.unblock([[from, to]])
      }
    }
  }

  calm(): void {
    this.setFaults(() => CALM_LINK)
  }

  #datagramArrival(link: Link, frame: Uint8Array): Micros {
    const time = arrival(link, this.schedule.now, frame.length, this.random)
    return this.random.chance(link.faults.reorderChance) ? time + this.random.int(1, SECOND) : time
  }

  #datagramAt(time: Micros, from: Station, to: Station, frame: Uint8Array): void {
    // Beyond this bound the network loses frames, as a real one does.
    if (this.#framesInFlight >= FRAMES_IN_FLIGHT_MAX) {
      this.counts.dropped++
      return
    }
    this.#framesInFlight++
    this.schedule.at(time, 'datagram', () => {
      this.#framesInFlight--
      const port = this.port(to)
      if (port === null || this.link(from, to).blocked) {
        this.counts.dropped++
        return
      }
      this.deliver(from, to, frame, null)
    })
  }

  /** For Connections: hands a frame to the port of `to`. */
  deliver(from: Station, to: Station, frame: Uint8Array, connection: ConnectionId | null): void {
    this.counts.delivered++
    this.schedule.trace.number(from).number(to).bytes(frame)
    this.port(to)?.received(from, frame, connection)
  }
}
