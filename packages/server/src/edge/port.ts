import type { AddressInfo, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { LIMITS } from '@kvorum/model'
import { Listener, remoteOf, type ListenerTls } from '@kvorum/peer'
import type { Endpoint } from '../config/urls.js'
import { readAhead } from './readAhead.js'

/**
 * One listener for gRPC and HTTP/1.1. A connection's first bytes tell them apart: HTTP/2 with prior knowledge
 * begins with "PRI", which begins no HTTP/1.1 request. With TLS the handshake has chosen (ALPN).
 *
 *   listener -> admit -> (handshake) -> peek -> route -> grpc | http
 */
export interface PortTargets {
  readonly grpc: (socket: Socket) => void
  readonly http: (socket: Socket) => void
}

/** What a port needs of TLS beyond its listener. */
export interface PortTls extends ListenerTls {
  /** Why a connection whose handshake is done may not be used; null: it may. */
  readonly refusal: (socket: TLSSocket) => string | null
  /** Handshakes that came to nothing, and connections refused after theirs. */
  readonly onFailure: (remote: string, problem: string) => void
}

export interface PortOptions {
  /** A connection that has not said which protocol it speaks after this long is closed. */
  readonly firstByteMs: number
  readonly connectionsMax: number
  /** Of those, from one remote address. */
  readonly connectionsPerHostMax: number
  readonly handshakesMax: number
}

export const PORT_DEFAULTS: PortOptions = {
  firstByteMs: 10_000,
  connectionsMax: LIMITS.connectionsMax,
  connectionsPerHostMax: LIMITS.connectionsPerHostMax,
  handshakesMax: LIMITS.handshakesMax,
}

/** Seconds of silence after which the system probes whether a client is still there. */
const TCP_KEEPALIVE_MS = 30_000
const PREFACE = Buffer.from('PRI')

export type Protocol = keyof PortTargets

export class ClientPort {
  readonly #listener: Listener
  readonly #tls: PortTls | null
  readonly #targets: PortTargets
  readonly #options: PortOptions
  readonly #perHost = new Map<string, number>()
  /** Those that have not said what they speak. */
  readonly #silent = new Set<Socket>()

  constructor(targets: PortTargets, options: PortOptions = PORT_DEFAULTS, tls: PortTls | null = null) {
    this.#targets = targets
    this.#options = options
    this.#tls = tls
    this.#listener = new Listener({
      tls,
      // An HTTP/1.1 client may end its side after the request and still wait for the answer.
      allowHalfOpen: true,
      handshakeMs: options.firstByteMs,
      handshakesMax: options.handshakesMax,
      keepAliveMs: TCP_KEEPALIVE_MS,
      admits: socket => this.#admits(socket),
      onSocket: socket => this.#route(socket),
      onFailure: (remote, problem) => tls?.onFailure(remote, problem),
    })
  }

  /** Rejects with the system's error where the address cannot be bound. */
  listen({ host, port }: Endpoint): Promise<AddressInfo> {
    return this.#listener.listen(host, port)
  }

  get connections(): number {
    return this.#listener.connections
  }

  /** No new connections from now on; those that have not spoken yet are closed. */
  stopListening(): void {
    this.#listener.stop()
  }

  /** Cuts every connection that is left. */
  destroy(): void {
    void this.#listener.close()
  }

  /** Where all places are taken, the one that has been silent for longest gives way. */
  #admits(socket: Socket): boolean {
    const host = socket.remoteAddress ?? ''
    const ofHost = this.#perHost.get(host) ?? 0
    if (ofHost >= this.#options.connectionsPerHostMax) return false
    if (this.connections >= this.#options.connectionsMax) {
      const [longest] = this.#silent
      if (longest === undefined) return false
      longest.destroy()
    }
    this.#perHost.set(host, ofHost + 1)
    socket.once('close', () => {
      const left = this.#perHost.get(host)! - 1
      if (left === 0) this.#perHost.delete(host)
      else this.#perHost.set(host, left)
    })
    return true
  }

  #route(socket: Socket): void {
    const refusal = socket instanceof TLSSocket ? (this.#tls?.refusal(socket) ?? null) : null
    if (refusal !== null) {
      this.#tls?.onFailure(remoteOf(socket), refusal)
      socket.destroy()
      return
    }
    const chosen = socket instanceof TLSSocket && socket.alpnProtocol === 'h2'
    if (chosen) return this.#hand(socket, 'grpc')
    this.#silent.add(socket)
    socket.once('close', () => this.#silent.delete(socket))
    peek(socket, this.#options.firstByteMs, protocol => {
      this.#silent.delete(socket)
      // HTTP/2 over TLS has to be chosen in the handshake.
      this.#hand(socket, socket instanceof TLSSocket ? 'http' : protocol)
    })
  }

  #hand(socket: Socket, protocol: Protocol): void {
    // An HTTP/2 session does not end by itself when its client's side has ended.
    if (protocol === 'grpc') socket.allowHalfOpen = false
    this.#targets[protocol](socket)
  }
}

/** Reads until the protocol is certain, puts everything back, and tells. Says nothing if the socket ends first. */
function peek(socket: Socket, firstByteMs: number, decided: (protocol: Protocol) => void): void {
  readAhead(socket, firstByteMs, (seen, ahead) => {
    const protocol = protocolOf(seen)
    if (protocol === null) return
    ahead.handOver(seen)
    decided(protocol)
  })
}

/** null: the bytes so far may be the start of either. */
export function protocolOf(seen: Uint8Array): Protocol | null {
  const length = Math.min(seen.length, PREFACE.length)
  if (Buffer.compare(seen.subarray(0, length), PREFACE.subarray(0, length)) !== 0) return 'http'
  return length === PREFACE.length ? 'grpc' : null
}
