import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import {
  MalformedError,
  type BootIdentity,
  type ClusterId,
  type NodeId,
  type PeerRefusal,
} from '@kvorum/model'
import type { TransportEvents, TransportTiming } from './events.js'
import { FrameDecoder } from './frame.js'
import { remoteOf } from './listener.js'
import { decodeJoinRequest, encodeJoinAnswer, isJoin, JOIN_BYTES_MAX, mayBeJoin } from './join.js'
import { decodePreface, PREFACE_BYTES, PREFACE_OK, refusalByte, type Preface } from './preface.js'
import type { PeerTls } from './tls.js'

export interface AcceptorOptions {
  readonly cluster: ClusterId
  readonly self: NodeId
  readonly isMember: (node: NodeId) => boolean
  /** Of its peer URLs. */
  readonly hostsOf: (node: NodeId) => readonly string[]
  readonly tls: PeerTls | null
  /** It was a member, and never will be again. */
  readonly isRemoved: (node: NodeId) => boolean
  readonly timing: TransportTiming
  readonly events: TransportEvents
}

/** Connections that have not said yet who they are. */
export const STRANGERS_MAX = 256

interface Accepted {
  readonly socket: Socket
  readonly remote: string
  /** stranger: has not said who it is. refused: turned away, and waited for to leave. joining: asks for an id. */
  phase: 'stranger' | 'refused' | 'joining' | 'peer'
  /** The preface so far. */
  head: Buffer
  preface: Preface | null
  /** What it called itself in its last hello. */
  identity: BootIdentity | null
  readonly decoder: FrameDecoder
  /** The preface's deadline, later the next acknowledgement. */
  timer: NodeJS.Timeout | null
}

/**
 * The receiving half: takes connections, hears who they are, and hands on what they bring.
 *
 * A peer that dials again replaces its older connection of the same lane. Until then both are open, and what the
 * older one still holds may be handed on after what came over the newer one. That is safe: raft holds under
 * messages that are late, repeated or lost; a request is acted on once because it is never sent twice (its sender
 * has given it up as unknown when it lost the connection); answers and chunks carry the number of what they
 * belong to.
 */
export class Acceptor {
  readonly #options: AcceptorOptions
  readonly #open = new Set<Accepted>()
  readonly #peers = new Map<string, Accepted>()
  #strangers = 0
  #closed = false

  constructor(options: AcceptorOptions) {
    this.#options = options
  }

  accept(socket: Socket): void {
    const { timing, events } = this.#options
    socket.on('error', () => socket.destroy())
    const remote = remoteOf(socket)
    if (this.#closed || this.#strangers >= STRANGERS_MAX) {
      socket.destroy()
      if (!this.#closed) events.onStranger(remote, 'too many connections that have not said who they are')
      return
    }
    const accepted: Accepted = {
      socket,
      remote,
      phase: 'stranger',
      head: Buffer.alloc(0),
      preface: null,
      identity: null,
      decoder: new FrameDecoder(),
      timer: setTimeout(() => this.#tooLate(accepted), timing.prefaceMs),
    }
    this.#open.add(accepted)
    this.#strangers++
    socket.once('close', () => this.#gone(accepted))
    socket.on('data', chunk => this.#received(accepted, chunk))
  }

  /**
   * Turns away the connection on which `from` said hello with that identity; nothing it sends is handed on any
   * more. Another process may be at the address where `from` is dialled, so that is no way to tell it.
   */
  refuse(from: NodeId, identity: BootIdentity, reason: PeerRefusal): void {
    for (const accepted of this.#open) {
      if (accepted.phase !== 'peer' || accepted.preface?.from !== from) continue
      if (accepted.identity?.nonce !== identity.nonce) continue
      accepted.phase = 'refused'
      this.#strangers++
      this.#disarm(accepted)
      accepted.timer = setTimeout(() => accepted.socket.destroy(), this.#options.timing.prefaceMs)
      accepted.socket.end(Buffer.of(refusalByte(reason)))
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(
      [...this.#open].map(
        ({ socket }) =>
          new Promise<void>(resolve => {
            socket.once('close', () => resolve())
            socket.destroy()
          }),
      ),
    )
  }

  #received(accepted: Accepted, chunk: Buffer): void {
    if (
      this.#closed ||
      accepted.phase === 'refused' ||
      accepted.phase === 'joining' ||
      accepted.socket.destroyed
    )
      return
    try {
      if (accepted.phase === 'peer') this.#deliver(accepted, chunk)
      else this.#introduced(accepted, chunk)
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error
      this.#options.events.onStranger(accepted.remote, error.message)
      accepted.socket.destroy()
    }
  }

  #introduced(accepted: Accepted, chunk: Buffer): void {
    accepted.head = Buffer.concat([accepted.head, chunk])
    if (mayBeJoin(accepted.head)) {
      if (isJoin(accepted.head)) this.#join(accepted)
      return
    }
    const preface = decodePreface(accepted.head)
    if (preface === null) return
    const { socket, remote, head } = accepted
    accepted.head = Buffer.alloc(0)
    const refusal = this.#judge(preface)
    if (refusal !== null) {
      accepted.phase = 'refused'
      this.#options.events.onStranger(remote, refusal)
      socket.end(Buffer.of(refusalByte(refusal)))
      return
    }
    const doubt = this.#doubt(socket, preface)
    if (doubt !== null) {
      this.#options.events.onStranger(remote, doubt)
      socket.destroy()
      return
    }
    this.#welcome(accepted, preface)
    const rest = head.subarray(PREFACE_BYTES)
    if (rest.length > 0) this.#deliver(accepted, rest)
  }

  #join(accepted: Accepted): void {
    const request = decodeJoinRequest(accepted.head)
    if (request === null) {
      if (accepted.head.length > JOIN_BYTES_MAX) throw new MalformedError('too much to join with')
      return
    }
    accepted.head = Buffer.alloc(0)
    accepted.phase = 'joining'
    const { socket } = accepted
    void this.#options.events.onJoin(request).then(answer => {
      if (!this.#closed && !socket.destroyed) socket.end(encodeJoinAnswer(answer))
    })
  }

  /** Ends the connections of one who is no peer any more; what to tell it is known by then. */
  dropPeer(node: NodeId): void {
    for (const { phase, preface, socket } of this.#open) {
      if (phase === 'peer' && preface?.from === node) socket.destroy()
    }
  }

  #judge(preface: Preface): PeerRefusal | null {
    const { cluster, self, isMember, isRemoved } = this.#options
    if (preface.cluster !== cluster) return 'otherCluster'
    if (preface.to !== self) return 'unknownMember'
    // One who was removed is a peer for as long as a group counts it: its vote may be what the change waits for.
    if (isMember(preface.from)) return null
    return isRemoved(preface.from) ? 'removedMember' : 'unknownMember'
  }

  /** Why the certificate of the connection is not that of the member it speaks for. */
  #doubt(socket: Socket, { from }: Preface): string | null {
    const { tls, hostsOf } = this.#options
    if (tls === null || !(socket instanceof TLSSocket)) return null
    const certificate = socket.getPeerCertificate()
    return tls.judge(certificate.raw === undefined ? null : certificate, hostsOf(from))
  }

  #welcome(accepted: Accepted, preface: Preface): void {
    this.#disarm(accepted)
    this.#strangers--
    accepted.phase = 'peer'
    accepted.preface = preface
    const key = peerKey(preface)
    this.#peers.get(key)?.socket.destroy()
    this.#peers.set(key, accepted)
    accepted.socket.write(Buffer.of(PREFACE_OK))
  }

  #deliver(accepted: Accepted, chunk: Buffer): void {
    const parcels = accepted.decoder.push(chunk)
    accepted.timer ??= setTimeout(() => this.#acknowledge(accepted), this.#options.timing.acknowledgeMs)
    for (const parcel of parcels) if (parcel.kind === 'hello') accepted.identity = parcel.identity
    if (parcels.length > 0) this.#options.events.onParcels(accepted.preface!.from, parcels)
  }

  #acknowledge(accepted: Accepted): void {
    accepted.timer = null
    const { socket } = accepted
    if (socket.writable && socket.writableLength === 0) socket.write(Buffer.of(PREFACE_OK))
  }

  #tooLate(accepted: Accepted): void {
    if (accepted.phase === 'stranger')
      this.#options.events.onStranger(accepted.remote, 'did not say who it is in time')
    accepted.socket.destroy()
  }

  #gone(accepted: Accepted): void {
    this.#disarm(accepted)
    this.#open.delete(accepted)
    if (accepted.phase !== 'peer') this.#strangers--
    if (accepted.preface === null) return
    const key = peerKey(accepted.preface)
    if (this.#peers.get(key) === accepted) this.#peers.delete(key)
  }

  #disarm(accepted: Accepted): void {
    if (accepted.timer !== null) clearTimeout(accepted.timer)
    accepted.timer = null
  }
}

const peerKey = ({ from, lane }: Preface): string => `${from}/${lane}`
