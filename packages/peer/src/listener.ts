import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls'
import type { ListenerTls } from './tls.js'

export interface ListenerOptions {
  /** Null: no TLS. */
  readonly tls: ListenerTls | null
  /** A connection may end its own side and still be answered. */
  readonly allowHalfOpen: boolean
  /** A handshake that takes longer is given up. */
  readonly handshakeMs: number
  /** Handshakes under way; one more, and the oldest gives way: those that are honest are over soon. */
  readonly handshakesMax: number
  readonly keepAliveMs: number
  /** Whether one more connection may be had; the others are closed. */
  readonly admits: (socket: Socket) => boolean
  /** A connection that may be used: with TLS, its handshake is done and its certificate verified. */
  readonly onSocket: (socket: Socket) => void
  /** A handshake that came to nothing: who, and why. */
  readonly onFailure: (remote: string, problem: string) => void
}

/**
 * Listens on one address, with TLS or without.
 *
 *     system --> admit --> (handshake) --> onSocket
 *
 * The TLS server never listens itself: connections are handed to it, so that those in their handshakes can be
 * counted, and the oldest of them be closed.
 */
export class Listener {
  readonly #options: ListenerOptions
  readonly #server: Server
  readonly #tls: TlsServer | null
  readonly #unfollow: () => void
  /** By both ends' addresses: the order is that of arrival. */
  readonly #handshaking = new Map<string, Socket>()
  readonly #raw = new Set<Socket>()

  constructor(options: ListenerOptions) {
    this.#options = options
    this.#server = createServer({
      allowHalfOpen: options.allowHalfOpen,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: options.keepAliveMs,
    })
    const { tls } = options
    this.#tls = tls === null ? null : this.#secure(tls)
    this.#unfollow = tls?.follow(() => this.#tls?.setSecureContext(tls.options())) ?? (() => {})
    this.#server.on('connection', socket => this.#admit(socket))
  }

  /** Rejects with the system's error where the address cannot be bound. */
  listen(host: string, port: number): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject)
        // Failing accepts (no file descriptors) must not end the process; clients see a refused connection.
        this.#server.on('error', error => this.#options.onFailure('listener', error.message))
        resolve(this.#server.address() as AddressInfo)
      })
    })
  }

  get address(): AddressInfo {
    return this.#server.address() as AddressInfo
  }

  /** Open connections, in their handshakes or past them. */
  get connections(): number {
    return this.#raw.size
  }

  /** Handshakes under way. */
  get handshakes(): number {
    return this.#handshaking.size
  }

  /** No new connections from now on; those in their handshakes are closed. */
  stop(): void {
    this.#unfollow()
    if (this.#server.listening) this.#server.close()
    for (const socket of this.#handshaking.values()) socket.destroy()
  }

  /** Closes every connection that is left. Resolves when the address is free. */
  close(): Promise<void> {
    this.stop()
    for (const socket of this.#raw) socket.destroy()
    return new Promise(resolve => this.#server.close(() => resolve()))
  }

  #secure(tls: ListenerTls): TlsServer {
    const { allowHalfOpen, handshakeMs, onSocket, onFailure } = this.#options
    const server = createTlsServer({ ...tls.options(), allowHalfOpen, handshakeTimeout: handshakeMs })
    server.on('secureConnection', (socket: TLSSocket) => {
      this.#handshaking.delete(endsOf(socket))
      socket.on('error', () => socket.destroy())
      onSocket(socket)
    })
    server.on('tlsClientError', (error, socket) => {
      // Set where the certificate was the reason; the error then only says that the socket is gone.
      const verdict: unknown = socket.authorizationError
      const code = typeof verdict === 'string' ? verdict.toLowerCase().replaceAll('_', ' ') : null
      onFailure(remoteOf(socket), code === null ? describe(error) : `its certificate was refused: ${code}`)
      socket.destroy()
    })
    return server
  }

  #admit(socket: Socket): void {
    const { admits, onSocket, handshakesMax } = this.#options
    // First of all: an error without a listener would end the process.
    socket.on('error', () => socket.destroy())
    if (!admits(socket)) {
      socket.destroy()
      return
    }
    this.#raw.add(socket)
    socket.once('close', () => this.#raw.delete(socket))
    if (this.#tls === null) {
      onSocket(socket)
      return
    }
    const ends = endsOf(socket)
    this.#handshaking.set(ends, socket)
    socket.once('close', () => {
      if (this.#handshaking.get(ends) === socket) this.#handshaking.delete(ends)
    })
    if (this.#handshaking.size > handshakesMax) {
      const [oldest] = this.#handshaking.values()
      oldest!.destroy()
    }
    this.#tls.emit('connection', socket)
  }
}

/** Both ends of a connection: there is no other with the same ones. */
const endsOf = (socket: Socket): string =>
  `${socket.localAddress}|${socket.localPort}|${socket.remoteAddress}|${socket.remotePort}`

export const remoteOf = (socket: Socket): string =>
  `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`

/** The library's reason without its source lines. */
export function describe(error: Error): string {
  const { reason, code, message } = error as Error & { reason?: string; code?: string }
  return reason ?? (code === undefined ? message : `${message} (${code})`).split('\n', 1)[0]!.slice(0, 200)
}
