import { assert, LIMITS } from '@kvorum/model'
import { MILLISECOND, SECOND, type Micros } from '../schedule.js'
import { arrival } from './link.js'
import type { Network, NetworkPort } from './network.js'
import type { Station } from './partition.js'

/** Never reused within a run. */
export type ConnectionId = number

interface Flight {
  readonly frame: Uint8Array
  readonly time: Micros
}

/** One end. A side that is closed neither sends nor hears anything more. */
interface Side {
  readonly station: Station
  /** The process this end belongs to; null until it is accepted. */
  port: NetworkPort | null
  state: 'opening' | 'open' | 'closed'
  /** Sent and not arrived, in order. Only the first has an event; that is what keeps the order. */
  readonly flights: Flight[]
  /** moving: the first flight has an event. stalled: it waits for a blocked link. lost: a cut swallows all. */
  traffic: 'idle' | 'moving' | 'stalled' | 'lost'
  /** Counts stalls, so that a time-out knows whether it means the present one. */
  stalls: number
  unsentBytes: number
}

interface Connection {
  readonly id: ConnectionId
  /** The dialling side, then the accepting one. */
  readonly sides: readonly [Side, Side]
}

/** What one side may have on its way before `send` refuses. */
const BUFFER_BYTES_MAX = LIMITS.peerQueueBytesMax
const DIAL_TIMEOUT: Micros = 3 * SECOND
/** A side that is not told finds out by its keepalive within this time at the latest. */
const HALF_OPEN_MAX: Micros = 30 * SECOND
/** How long a sender waits for a blocked link before it gives the connection up. */
const STALL_MIN: Micros = 5 * SECOND
const STALL_MAX: Micros = 30 * SECOND

/** All connections of a network (see Network for the model). */
export class Connections {
  readonly #network: Network
  readonly #connections = new Map<ConnectionId, Connection>()
  #lastId = 0

  constructor(network: Network) {
    this.#network = network
  }

  dial(from: Station, to: Station): ConnectionId {
    assert(from !== to, () => `station ${from} dials itself`)
    const dialler = side(from, this.#network.port(from))
    assert(dialler.port !== null, () => `station ${from} is down and cannot dial`)
    const connection: Connection = { id: ++this.#lastId, sides: [dialler, side(to, null)] }
    this.#connections.set(connection.id, connection)
    this.#after(DIAL_TIMEOUT, 'dialTimeout', () => {
      if (dialler.state !== 'opening') return
      this.#tellClosed(connection, dialler)
      this.#halfOpen(connection, connection.sides[1])
    })
    this.#travel(from, to, 'dial', () => this.#accept(connection))
    return connection.id
  }

  send(id: ConnectionId, from: Station, frame: Uint8Array): boolean {
    const found = this.#find(id, from)
    if (found === null) return false
    const { connection, near, far } = found
    if (near.state !== 'open') return false
    if (near.unsentBytes + frame.length > BUFFER_BYTES_MAX) return false
    const network = this.#network
    const link = network.link(near.station, far.station)
    network.counts.sent++
    near.unsentBytes += frame.length
    if (network.random.chance(link.faults.cutChance)) this.cut(id)
    else this.#transmit(connection, near, far, frame)
    return true
  }

  unsentBytes(id: ConnectionId, from: Station): number {
    return this.#find(id, from)?.near.unsentBytes ?? 0
  }

  close(id: ConnectionId, from: Station): void {
    const found = this.#find(id, from)
    if (found === null || found.near.state === 'closed') return
    this.#shut(found.connection, found.near)
    this.#notify(found.connection, found.far)
  }

  cut(id: ConnectionId): void {
    const connection = this.#connections.get(id)
    if (connection === undefined) return
    this.#network.counts.cut++
    for (const end of connection.sides) {
      // Whatever is on its way is lost, in both directions, also where a side goes on believing in it.
      end.flights.length = 0
      end.traffic = 'lost'
      this.#notify(connection, end)
    }
  }

  /** The process at `station` is gone: its ends close unheard. */
  dropStation(station: Station, how: 'reset' | 'silent'): void {
    for (const connection of this.#connections.values()) {
      const [a, b] = connection.sides
      for (const [near, far] of [
        [a, b],
        [b, a],
      ] as const) {
        if (near.station !== station || near.state === 'closed' || near.port === null) continue
        this.#shut(connection, near)
        if (how === 'reset') this.#notify(connection, far)
        else this.#halfOpen(connection, far)
      }
    }
  }

  /** The link carries again: what waited for it goes on, in order. */
  resume(from: Station, to: Station): void {
    for (const connection of this.#connections.values()) {
      const [a, b] = connection.sides
      const [near, far] = a.station === from ? [a, b] : [b, a]
      if (near.station !== from || far.station !== to || near.traffic !== 'stalled') continue
      this.#advance(connection, near, far)
    }
  }

  #accept(connection: Connection): void {
    const [dialler, accepter] = connection.sides
    if (dialler.state === 'closed') return
    const port = this.#network.port(accepter.station)
    if (port === null) {
      this.#notify(connection, dialler)
      return
    }
    accepter.port = port
    accepter.state = 'open'
    port.opened(connection.id, dialler.station, false)
    this.#travel(accepter.station, dialler.station, 'dialReply', () => {
      if (dialler.state !== 'opening') return
      dialler.state = 'open'
      dialler.port?.opened(connection.id, accepter.station, true)
    })
  }

  #transmit(connection: Connection, near: Side, far: Side, frame: Uint8Array): void {
    if (near.traffic === 'lost') return
    const network = this.#network
    const link = network.link(near.station, far.station)
    near.flights.push({ frame, time: arrival(link, network.schedule.now, frame.length, network.random) })
    if (near.traffic === 'idle') this.#advance(connection, near, far)
  }

  #advance(connection: Connection, near: Side, far: Side): void {
    const first = near.flights[0]
    if (first === undefined) {
      near.traffic = 'idle'
      return
    }
    const { schedule } = this.#network
    near.traffic = 'moving'
    schedule.at(Math.max(first.time, schedule.now + 1), 'frame', () => this.#arrive(connection, near, far))
  }

  #arrive(connection: Connection, near: Side, far: Side): void {
    const network = this.#network
    if (near.traffic !== 'moving') return
    if (network.link(near.station, far.station).blocked) {
      this.#stall(connection, near)
      return
    }
    // The accepting side may speak before its dialler knows that the connection stands; TCP keeps that.
    if (far.state === 'opening') {
      network.schedule.after(MILLISECOND, 'frame', () => this.#arrive(connection, near, far))
      return
    }
    const { frame } = near.flights.shift()!
    near.unsentBytes = Math.max(0, near.unsentBytes - frame.length)
    this.#advance(connection, near, far)
    if (far.state === 'open') {
      network.deliver(near.station, far.station, frame, connection.id)
    } else {
      network.counts.dropped++
      this.#notify(connection, near, 0)
    }
  }

  #stall(connection: Connection, near: Side): void {
    const { random, counts } = this.#network
    counts.stalled++
    near.traffic = 'stalled'
    const stall = ++near.stalls
    this.#after(random.int(STALL_MIN, STALL_MAX), 'stallTimeout', () => {
      if (near.traffic === 'stalled' && near.stalls === stall) this.cut(connection.id)
    })
  }

  /** Tells a side that the connection is over, if the link towards it carries and luck allows. */
  #notify(connection: Connection, end: Side, halfOpenChance?: number): void {
    if (end.state === 'closed') return
    const network = this.#network
    const other = connection.sides[0] === end ? connection.sides[1] : connection.sides[0]
    const link = network.link(other.station, end.station)
    if (network.random.chance(halfOpenChance ?? link.faults.halfOpenChance)) {
      this.#halfOpen(connection, end)
      return
    }
    // A close comes after the data that is already on its way.
    const time = arrival(link, network.schedule.now, 0, network.random)
    const last = other.flights.at(-1)?.time ?? 0
    network.schedule.at(Math.max(time, last + 1), 'closing', () => {
      if (link.blocked) this.#halfOpen(connection, end)
      else this.#tellClosed(connection, end)
    })
  }

  #halfOpen(connection: Connection, end: Side): void {
    if (end.state === 'closed' || end.port === null) return
    this.#network.counts.halfOpen++
    const time = this.#network.random.int(1, HALF_OPEN_MAX)
    this.#after(time, 'keepalive', () => this.#tellClosed(connection, end))
  }

  #tellClosed(connection: Connection, end: Side): void {
    if (end.state === 'closed') return
    const port = end.port
    this.#shut(connection, end)
    port?.closed(connection.id)
  }

  #shut(connection: Connection, end: Side): void {
    end.state = 'closed'
    // What is on the wire still arrives; what waited in the buffer of a blocked link is gone.
    if (end.traffic === 'stalled') {
      end.flights.length = 0
      end.traffic = 'lost'
    }
    end.unsentBytes = 0
    const [dialler, accepter] = connection.sides
    const gone = (one: Side): boolean => one.state === 'closed' || one.port === null
    if (gone(dialler) && gone(accepter)) this.#connections.delete(connection.id)
  }

  #find(id: ConnectionId, from: Station): { connection: Connection; near: Side; far: Side } | null {
    const connection = this.#connections.get(id)
    if (connection === undefined) return null
    const [a, b] = connection.sides
    if (a.station === from) return { connection, near: a, far: b }
    return b.station === from ? { connection, near: b, far: a } : null
  }

  /** Something small crosses a link, or is lost where the link is blocked. */
  #travel(from: Station, to: Station, label: string, then: () => void): void {
    const { schedule, random } = this.#network
    const link = this.#network.link(from, to)
    schedule.at(arrival(link, schedule.now, 0, random), label, () => {
      if (!link.blocked) then()
    })
  }

  #after(delay: Micros, label: string, run: () => void): void {
    this.#network.schedule.after(delay, label, run)
  }
}

const side = (station: Station, port: NetworkPort | null): Side => ({
  station,
  port,
  state: 'opening',
  flights: [],
  traffic: 'idle',
  stalls: 0,
  unsentBytes: 0,
})
