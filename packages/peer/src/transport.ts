import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { MalformedError, type ClusterId, type NodeId, type PeerRefusal } from '@kvorum/model'
import { FrameDecoder } from './frame.js'
import { Link, type Address } from './link.js'
import { decodePreface, PREFACE_BYTES, PREFACE_OK, refusalByte, type Lane } from './preface.js'
import type { Parcel } from './types.js'

/**
 * Connections to the other nodes. Every node dials every other: what a node sends goes over connections it
 * dialled, what it receives comes over connections it accepted. Order holds within a lane of one connection;
 * what was in flight when a connection broke is lost, and the owner is told.
 *
 *     send(to, parcels) --> Link (control | bulk) --> TCP --> accept --> decode --> onParcels(from, parcels)
 */
export interface TransportOptions {
  readonly cluster: ClusterId
  readonly self: NodeId
  readonly listen: readonly Address[]
  readonly peers: ReadonlyMap<NodeId, readonly Address[]>
  /** In [0, 1); spreads reconnects. */
  readonly random: () => number
  readonly events: TransportEvents
}

export interface TransportEvents {
  onParcels(from: NodeId, parcels: readonly Parcel[]): void
  /** The connection on which this node sends to `peer` is ready, or is gone (what was queued is lost). */
  onUp(peer: NodeId): void
  onDown(peer: NodeId): void
  /** Not sent, because the queue to that peer is full. */
  onDropped(peer: NodeId, parcels: readonly Parcel[]): void
  /** `peer` answered that it will not talk to us. */
  onRefused(peer: NodeId, reason: PeerRefusal): void
  /** Something odd at the door, for the log: who and why, never content. */
  onStranger(remote: string, problem: string): void
}

/** An accepted connection must say who it is within this time. */
const PREFACE_TIMEOUT_MS = 5_000
/** Connections that have not said yet who they are. */
const STRANGERS_MAX = 256

export class PeerTransport {
  readonly #options: TransportOptions
  readonly #links = new Map<string, Link>()
  readonly #accepted = new Set<Socket>()
  #servers: Server[] = []
  #strangers = 0

  private constructor(options: TransportOptions) {
    this.#options = options
  }

  /** Listens, then begins to dial. Rejects when an address cannot be listened on. */
  static async start(options: TransportOptions): Promise<PeerTransport> {
    const transport = new PeerTransport(options)
    try {
      for (const address of options.listen) transport.#servers.push(await transport.#listen(address))
    } catch (error) {
      await transport.close()
      throw error
    }
    for (const [peer, addresses] of options.peers) transport.#link(peer, addresses, 'control')
    return transport
  }

  /** Where it really listens (a port of 0 was chosen by the system). */
  addresses(): Address[] {
    return this.#servers.map(server => {
      const { address, port } = server.address() as AddressInfo
      return { host: address, port }
    })
  }

  /** Queues messages to `peer`. What does not fit, or has no connection, is dropped and reported. */
  send(peer: NodeId, parcels: readonly Parcel[]): void {
    const bulk = parcels.filter(parcel => parcel.kind === 'snapshotChunk')
    if (bulk.length > 0) {
      const addresses = this.#options.peers.get(peer)
      if (addresses !== undefined) this.#link(peer, addresses, 'bulk').send(bulk)
    }
    const control = bulk.length === 0 ? parcels : parcels.filter(parcel => parcel.kind !== 'snapshotChunk')
    if (control.length > 0) this.#links.get(linkKey(peer, 'control'))?.send(control)
  }

  queuedBytes(peer: NodeId): number {
    return this.#links.get(linkKey(peer, 'control'))?.queuedBytes ?? 0
  }

  async close(): Promise<void> {
    for (const link of this.#links.values()) link.close()
    for (const socket of this.#accepted) socket.destroy()
    await Promise.all(this.#servers.map(server => new Promise<void>(done => server.close(() => done()))))
    this.#servers = []
  }

  #link(peer: NodeId, addresses: readonly Address[], lane: Lane): Link {
    const key = linkKey(peer, lane)
    let link = this.#links.get(key)
    if (link === undefined) {
      const { cluster, self, random, events } = this.#options
      link = new Link({ peer, addresses, preface: { cluster, from: self, to: peer, lane }, random, events })
      this.#links.set(key, link)
    }
    return link
  }

  #listen(address: Address): Promise<Server> {
    const server = createServer({ noDelay: true }, socket => this.#accept(socket))
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(address.port, address.host, () => {
        server.off('error', reject)
        server.on('error', error => this.#options.events.onStranger('listener', error.message))
        resolve(server)
      })
    })
  }

  #accept(socket: Socket): void {
    const remote = `${socket.remoteAddress}:${socket.remotePort}`
    const { events } = this.#options
    socket.on('error', () => socket.destroy())
    if (this.#strangers >= STRANGERS_MAX) {
      socket.destroy()
      return
    }
    this.#accepted.add(socket)
    this.#strangers++
    let head = Buffer.alloc(0)
    let known: { from: NodeId; decoder: FrameDecoder } | null = null
    const timer = setTimeout(() => socket.destroy(), PREFACE_TIMEOUT_MS)
    const settle = (): void => {
      clearTimeout(timer)
      if (known === null) this.#strangers--
    }
    socket.once('close', () => {
      settle()
      this.#accepted.delete(socket)
    })
    socket.on('data', chunk => {
      try {
        let rest = chunk
        if (known === null) {
          head = Buffer.concat([head, chunk])
          if (head.length < PREFACE_BYTES) return
          const from = this.#welcome(socket, head, remote)
          if (from === null) return
          settle()
          known = { from, decoder: new FrameDecoder() }
          rest = head.subarray(PREFACE_BYTES)
        }
        const parcels = known.decoder.push(rest)
        if (parcels.length > 0) events.onParcels(known.from, parcels)
      } catch (error) {
        if (!(error instanceof MalformedError)) throw error
        events.onStranger(remote, error.message)
        socket.destroy()
      }
    })
  }

  /** Answers a preface; null when the connection was turned away. */
  #welcome(socket: Socket, head: Buffer, remote: string): NodeId | null {
    const preface = decodePreface(head)
    const { cluster, self, peers, events } = this.#options
    let refusal: PeerRefusal | null = null
    if (preface.cluster !== cluster) refusal = 'otherCluster'
    else if (preface.to !== self || !peers.has(preface.from)) refusal = 'unknownMember'
    if (refusal === null) {
      socket.write(Buffer.of(PREFACE_OK))
      return preface.from
    }
    events.onStranger(remote, refusal)
    socket.end(Buffer.of(refusalByte(refusal)))
    return null
  }
}

const linkKey = (peer: NodeId, lane: Lane): string => `${peer}/${lane}`
