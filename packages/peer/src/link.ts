import { connect, type Socket } from 'node:net'
import { LIMITS, type NodeId } from '@kvorum/model'
import { encodeFrame } from './frame.js'
import { encodePreface, PREFACE_OK, refusalOf, type Preface } from './preface.js'
import type { TransportEvents } from './transport.js'
import type { Parcel } from './types.js'

export interface Address {
  readonly host: string
  readonly port: number
}

interface LinkOptions {
  readonly peer: NodeId
  readonly addresses: readonly Address[]
  readonly preface: Preface
  readonly random: () => number
  readonly events: TransportEvents
}

const RECONNECT_MIN_MS = 50
const RECONNECT_MAX_MS = 1_000
const CONNECT_TIMEOUT_MS = 3_000

/** One outgoing connection, dialled again with back-off and jitter for as long as it is open. */
export class Link {
  readonly #options: LinkOptions
  #socket: Socket | null = null
  #ready = false
  #closed = false
  #attempts = 0
  #timer: NodeJS.Timeout | null = null

  constructor(options: LinkOptions) {
    this.#options = options
    this.#dial()
  }

  get queuedBytes(): number {
    return this.#socket?.writableLength ?? 0
  }

  send(parcels: readonly Parcel[]): void {
    const { peer, events } = this.#options
    const socket = this.#socket
    if (socket === null || !this.#ready || socket.writableLength > LIMITS.peerQueueBytesMax) {
      events.onDropped(peer, parcels)
      return
    }
    socket.write(encodeFrame(parcels))
  }

  close(): void {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#socket?.destroy()
  }

  #dial(): void {
    const { addresses, preface } = this.#options
    const address = addresses[this.#attempts % addresses.length]
    if (address === undefined) return
    const socket = connect({ host: address.host, port: address.port, noDelay: true, keepAlive: true })
    this.#socket = socket
    const timeout = setTimeout(() => socket.destroy(), CONNECT_TIMEOUT_MS)
    socket.on('error', () => socket.destroy())
    socket.once('connect', () => socket.write(encodePreface(preface)))
    socket.on('data', chunk => {
      if (this.#ready || chunk.length === 0) return
      clearTimeout(timeout)
      this.#answered(chunk[0]!, socket)
    })
    socket.once('close', () => {
      clearTimeout(timeout)
      this.#lost()
    })
  }

  #answered(byte: number, socket: Socket): void {
    const { peer, preface, events } = this.#options
    if (byte === PREFACE_OK) {
      this.#ready = true
      this.#attempts = 0
      if (preface.lane === 'control') events.onUp(peer)
      return
    }
    events.onRefused(peer, refusalOf(byte) ?? 'otherCluster')
    socket.destroy()
  }

  #lost(): void {
    const { peer, preface, random, events } = this.#options
    const wasReady = this.#ready
    this.#socket = null
    this.#ready = false
    if (wasReady && preface.lane === 'control') events.onDown(peer)
    if (this.#closed) return
    const delay = Math.min(RECONNECT_MAX_MS, RECONNECT_MIN_MS * 2 ** Math.min(this.#attempts, 10))
    this.#attempts++
    this.#timer = setTimeout(() => this.#dial(), delay * (0.5 + random() / 2))
  }
}
