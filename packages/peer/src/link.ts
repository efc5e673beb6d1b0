import type { Socket } from 'node:net'
import { LIMITS, refuse, type NodeId } from '@kvorum/model'
import { dial } from './dial.js'
import type { Address, TransportEvents, TransportTiming } from './events.js'
import { encodeFrames, frameOfPiece, type Frame } from './frame.js'
import { describe } from './listener.js'
import { encodePreface, PREFACE_OK, refusalOf, type Preface } from './preface.js'
import { isLarge, PieceQueue } from './replyPieces.js'
import type { PeerTls } from './tls.js'
import type { Parcel } from './types.js'

export interface LinkOptions {
  readonly peer: NodeId
  readonly addresses: readonly Address[]
  /** Dialled after them: see setAlsoAt. */
  readonly alsoAt: readonly Address[]
  readonly preface: Preface
  readonly random: () => number
  readonly timing: TransportTiming
  readonly events: TransportEvents
  readonly tls: PeerTls | null
}

/** What a bulk lane holds back while it is being dialled: what the receiver may have asked for, a little rounded up. */
const WAITING_BYTES_MAX = 2 * LIMITS.snapshotCreditChunks * LIMITS.snapshotChunkBytes

/**
 * One outgoing connection, dialled again with back-off and jitter for as long as it is open.
 *
 *     waiting (back-off) --> dialling --> ready --> lost --+
 *          ^                    | refused, timed out       |
 *          +--------------------+--------------------------+
 *
 * A peer that vanished without a word looks like one that is slow: TCP alone gives up after a quarter of an hour,
 * and after a partition repeats itself at ever longer intervals. So the receiving side acknowledges with single
 * bytes, and a connection that stays silent after something was sent on it is replaced.
 */
export class Link {
  readonly #options: LinkOptions
  /** Those of them that are not disproved. */
  #alsoAt: readonly Address[]
  #given: readonly Address[]
  #socket: Socket | null = null
  #ready = false
  #closed = false
  #attempts = 0
  /** The last reason told why TLS does not come about. */
  #told: string | null = null
  #timer: NodeJS.Timeout | null = null
  #silence: NodeJS.Timeout | null = null
  #waiting: Frame[] = []
  #waitingBytes = 0
  readonly #pieces = new PieceQueue()
  /** A piece is on its way. */
  #feeding = false

  constructor(options: LinkOptions) {
    this.#options = options
    this.#alsoAt = this.#given = options.alsoAt
    this.#dial()
  }

  get queuedBytes(): number {
    return this.#waitingBytes + (this.#socket?.writableLength ?? 0)
  }

  /** Sends, or reports as dropped. A bulk lane that is being dialled holds back a little until that has ended. */
  send(parcels: readonly Parcel[]): void {
    const { preface } = this.#options
    const connected = this.#ready && !this.#closed
    const waits = preface.lane === 'bulk' && !this.#closed
    if ((!connected && !waits) || this.queuedBytes >= LIMITS.peerQueueBytesMax) {
      this.#dropped(parcels)
      return
    }
    const large = parcels.filter(isLarge)
    const unsent = large.filter(reply => !this.#pieces.add(reply))
    const { frames, tooLarge } = encodeFrames(large.length === 0 ? parcels : parcels.filter(isWhole))
    this.#socket?.cork()
    for (const frame of [...frames, ...this.#excuses([...tooLarge, ...unsent])]) {
      if (connected) this.#write(frame)
      else this.#wait(frame)
    }
    this.#socket?.uncork()
    this.#feed()
  }

  get peer(): NodeId {
    return this.#options.peer
  }

  /**
   * Where the peer is by its own word. An address is dropped when somebody else answers there; what is connected
   * stays so.
   */
  setAlsoAt(addresses: readonly Address[]): void {
    if (this.#closed || sameAddresses(this.#given, addresses)) return
    this.#alsoAt = this.#given = addresses
    if (this.#socket === null && this.#timer === null) this.#dial()
  }

  /** The peer is gone, or lives elsewhere: the owner hears of a connection that was up, and nothing after that. */
  abandon(): void {
    const { preface, events, peer } = this.#options
    const wasReady = this.#ready
    this.#dropped([...this.#takeWaiting().flatMap(frame => frame.parcels), ...this.#pieces.clear()])
    void this.close()
    if (wasReady && preface.lane === 'control') events.onDown(peer)
  }

  /** Lets what is queued leave for a moment; nothing is left behind and nothing is told any more. */
  async close(): Promise<void> {
    this.#closed = true
    this.#waiting = []
    this.#waitingBytes = 0
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#heard()
    const socket = this.#socket
    if (socket === null) return
    const linger = setTimeout(() => socket.destroy(), this.#options.timing.lingerMs)
    await new Promise<void>(resolve => {
      socket.once('close', () => resolve())
      if (this.#ready) socket.destroySoon()
      else socket.destroy()
    })
    clearTimeout(linger)
  }

  #write(frame: Frame): void {
    const socket = this.#socket!
    const queued = socket.writableLength
    // An empty queue takes any one frame: the largest one and its header are more than the bound.
    if (queued > 0 && queued + frame.bytes.length > LIMITS.peerQueueBytesMax) {
      this.#dropped(frame.parcels)
      return
    }
    // The loss of a control connection is told as such; a bulk connection has no one who waits for that.
    if (this.#options.preface.lane === 'control') socket.write(frame.bytes)
    else socket.write(frame.bytes, error => error != null && this.#dropped(frame.parcels))
    this.#expectSign(socket)
  }

  /** The next piece of a large answer, when the one before it has left. */
  #feed(): void {
    const socket = this.#socket
    if (socket === null || !this.#ready || this.#closed || this.#feeding) return
    const piece = this.#pieces.next()
    if (piece === null) return
    this.#feeding = true
    socket.write(frameOfPiece(piece), () => {
      if (socket !== this.#socket) return
      this.#feeding = false
      this.#feed()
    })
    this.#expectSign(socket)
  }

  #wait(frame: Frame): void {
    if (this.#waiting.length > 0 && this.#waitingBytes + frame.bytes.length > WAITING_BYTES_MAX) {
      this.#dropped(frame.parcels)
      return
    }
    this.#waiting.push(frame)
    this.#waitingBytes += frame.bytes.length
  }

  #takeWaiting(): Frame[] {
    const waiting = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    return waiting
  }

  #dropped(parcels: readonly Parcel[]): void {
    if (parcels.length > 0 && !this.#closed) this.#options.events.onDropped(this.#options.peer, parcels)
  }

  /** An answer that cannot be sent becomes one that says so: whoever asked must not wait in vain. */
  #excuses(tooLarge: readonly Parcel[]): readonly Frame[] {
    const replies: Parcel[] = []
    for (const parcel of tooLarge) {
      if (parcel.kind === 'reply')
        replies.push({ ...parcel, result: refuse('responseTooLarge', { outcome: 'applied' }) })
    }
    this.#dropped(tooLarge.filter(parcel => parcel.kind !== 'reply'))
    return encodeFrames(replies).frames
  }

  #dial(): void {
    const { preface, timing } = this.#options
    const addresses = [...this.#options.addresses, ...this.#alsoAt]
    const address = addresses[this.#attempts % addresses.length]
    this.#timer = null
    if (address === undefined) return
    const { socket, ready } = dial(address, this.#options.tls)
    this.#socket = socket
    this.#timer = setTimeout(() => socket.destroy(), timing.connectMs)
    socket.on('error', error => {
      if (ready === 'secureConnect') this.#tell(address, error)
      socket.destroy()
    })
    socket.once(ready, () => socket.write(encodePreface(preface)))
    socket.on('data', chunk => {
      if (this.#closed || chunk.length === 0) return
      if (this.#ready) this.#proven()
      else this.#answered(chunk[0]!, socket, address)
      const refusal = chunk.find(byte => byte !== PREFACE_OK)
      if (this.#ready && refusal !== undefined) this.#turnedAway(refusal, socket, address)
    })
    socket.once('close', () => this.#lost())
  }

  /** Says why TLS does not come about, once for each reason: dialling is repeated every second. */
  #tell({ host, port }: Address, error: Error): void {
    const { code } = error as NodeJS.ErrnoException
    const problem = `TLS to it failed: ${describe(error)}`
    if (this.#closed || problem === this.#told || code === 'ECONNREFUSED' || code === 'ECONNRESET') return
    this.#told = problem
    this.#options.events.onStranger(`${host}:${port}`, problem)
  }

  #answered(byte: number, socket: Socket, address: Address): void {
    const { peer, preface, events } = this.#options
    if (this.#timer !== null) clearTimeout(this.#timer)
    if (byte === PREFACE_OK) {
      this.#ready = true
      this.#told = null
      socket.cork()
      for (const frame of this.#takeWaiting()) this.#write(frame)
      socket.uncork()
      this.#feed()
      if (preface.lane === 'control') events.onUp(peer)
      return
    }
    this.#turnedAway(byte, socket, address)
  }

  /** At once, for what the preface says, or later, for what came behind it. */
  #turnedAway(byte: number, socket: Socket, address: Address): void {
    const { peer, events } = this.#options
    const reason = refusalOf(byte)
    const bySomebodyElse = reason === null || reason === 'unknownMember' || reason === 'otherCluster'
    if (bySomebodyElse && this.#alsoAt.includes(address)) {
      this.#alsoAt = this.#alsoAt.filter(other => other !== address)
    } else if (reason === null) {
      events.onStranger(`${address.host}:${address.port}`, 'what listens there is not a kvorum peer')
    } else events.onRefused(peer, reason)
    socket.destroy()
  }

  /** The peer takes what we send: only now is the next loss a first one. */
  #proven(): void {
    this.#attempts = 0
    this.#heard()
  }

  #heard(): void {
    if (this.#silence !== null) clearTimeout(this.#silence)
    this.#silence = null
  }

  #expectSign(socket: Socket): void {
    this.#silence ??= setTimeout(() => {
      // After a stall of our own the sign may lie unread: look at the sockets once before judging.
      const judged = this.#silence
      setImmediate(() => {
        if (this.#silence === judged) socket.destroy()
      })
    }, this.#options.timing.silenceMs)
  }

  #lost(): void {
    const { peer, preface, random, timing, events } = this.#options
    const wasReady = this.#ready
    this.#socket = null
    this.#ready = false
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#heard()
    if (this.#closed) return
    if (wasReady && preface.lane === 'control') events.onDown(peer)
    this.#feeding = false
    this.#dropped([...this.#takeWaiting().flatMap(frame => frame.parcels), ...this.#pieces.clear()])
    const delay = Math.min(timing.reconnectMaxMs, timing.reconnectMinMs * 2 ** Math.min(this.#attempts, 10))
    this.#attempts++
    this.#timer = setTimeout(() => this.#dial(), delay * (0.5 + random() / 2))
  }
}

const isWhole = (parcel: Parcel): boolean => !isLarge(parcel)

const texts = (addresses: readonly Address[] | undefined): string | undefined =>
  addresses?.map(({ host, port, secure = false }) => `${host} ${port} ${secure}`).join()

/** Whether the same is dialled, in the same way and order. */
export const sameAddresses = (
  before: readonly Address[] | undefined,
  now: readonly Address[] | undefined,
): boolean => texts(before) === texts(now)
