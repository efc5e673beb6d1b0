import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { LIMITS } from '@kvorum/model'
import type { Endpoint } from '../config/urls.js'

/**
 * One listener for gRPC and HTTP/1.1. A connection's first bytes tell them apart: HTTP/2 with prior knowledge
 * begins with "PRI", which begins no HTTP/1.1 request.
 *
 *   listener -> admit -> peek -> route -> grpc | http
 *
 * With TLS the handshake's ALPN result takes the place of `peek`: `listener` becomes a tls.Server and calls
 * `route` with what ALPN chose.
 */
export interface PortTargets {
  readonly grpc: (socket: Socket) => void
  readonly http: (socket: Socket) => void
}

export interface PortOptions {
  /** A connection that has not said which protocol it speaks after this long is closed. */
  readonly firstByteMs: number
  readonly connectionsMax: number
}

export const PORT_DEFAULTS: PortOptions = { firstByteMs: 10_000, connectionsMax: LIMITS.connectionsMax }

/** Seconds of silence after which the system probes whether a client is still there. */
const TCP_KEEPALIVE_MS = 30_000
const PREFACE = Buffer.from('PRI')

export type Protocol = keyof PortTargets

export class ClientPort {
  readonly #listener: Server
  readonly #sockets = new Set<Socket>()
  readonly #targets: PortTargets
  readonly #options: PortOptions

  constructor(targets: PortTargets, options: PortOptions = PORT_DEFAULTS) {
    this.#targets = targets
    this.#options = options
    // Half-open: an HTTP/1.1 client may end its side after the request and still wait for the answer.
    this.#listener = createServer({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: TCP_KEEPALIVE_MS,
    })
    this.#listener.on('connection', socket => this.#admit(socket))
  }

  /** Rejects with the system's error where the address cannot be bound. */
  listen(endpoint: Endpoint): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      this.#listener.once('error', reject)
      this.#listener.listen({ host: endpoint.host, port: endpoint.port }, () => {
        this.#listener.off('error', reject)
        // Failing accepts (no file descriptors) must not end the process; clients see a refused connection.
        this.#listener.on('error', () => {})
        resolve(this.#listener.address() as AddressInfo)
      })
    })
  }

  get connections(): number {
    return this.#sockets.size
  }

  /** No new connections from now on; those that have not spoken yet are closed. */
  stopListening(): void {
    if (this.#listener.listening) this.#listener.close()
  }

  /** Cuts every connection that is left. */
  destroy(): void {
    this.stopListening()
    for (const socket of this.#sockets) socket.destroy()
  }

  #admit(socket: Socket): void {
    // First of all: an error without a listener would end the process.
    socket.on('error', () => socket.destroy())
    if (this.#sockets.size >= this.#options.connectionsMax) {
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    peek(socket, this.#options.firstByteMs, protocol => {
      // An HTTP/2 session does not end by itself when its client's side has ended.
      if (protocol === 'grpc') socket.allowHalfOpen = false
      this.#targets[protocol](socket)
    })
  }
}

/** Reads until the protocol is certain, puts everything back, and tells. Says nothing if the socket ends first. */
function peek(socket: Socket, firstByteMs: number, decided: (protocol: Protocol) => void): void {
  let seen: Buffer = Buffer.alloc(0)
  const timer = setTimeout(() => socket.destroy(), firstByteMs)
  const stop = (): void => {
    clearTimeout(timer)
    socket.off('readable', look)
    socket.off('end', ended)
    socket.off('close', stop)
  }
  const ended = (): void => {
    stop()
    socket.destroy()
  }
  const look = (): void => {
    const chunk = socket.read() as Buffer | null
    if (chunk === null) return
    seen = Buffer.concat([seen, chunk])
    const protocol = protocolOf(seen)
    if (protocol === null) return
    stop()
    socket.unshift(seen)
    decided(protocol)
  }
  socket.on('readable', look)
  socket.on('end', ended)
  socket.on('close', stop)
}

/** null: the bytes so far may be the start of either. */
export function protocolOf(seen: Uint8Array): Protocol | null {
  const length = Math.min(seen.length, PREFACE.length)
  if (Buffer.compare(seen.subarray(0, length), PREFACE.subarray(0, length)) !== 0) return 'http'
  return length === PREFACE.length ? 'grpc' : null
}
