import { crc32 } from 'node:zlib'
import { LIMITS, MalformedError } from '@kvorum/model'
import { decodeParcels, encodeParcel, encodePiece } from './codec.js'
import { PieceGatherer, type ReplyPiece } from './replyPieces.js'
import type { Parcel } from './types.js'

/**
 * A frame: magic and format (2 bytes), payload length (4, big-endian), CRC-32 of the payload (4), payload.
 * The payload is a msgpack list of messages. TCP's checksum is weak and memory is not perfect: a frame that
 * does not check ends the connection, and raft sends again.
 */
const MAGIC = 0x4b
const FRAME_FORMAT = 1
export const FRAME_HEADER_BYTES = 10
/** Token (0xdd) and number of messages, always in 4 bytes. */
const LIST_HEADER_BYTES = 5
/**
 * Messages are put into one frame up to this size, so that the first of many can be handled while the last are
 * on their way. It also bounds the values in a frame of many messages (a value takes at least one byte) well
 * below what a receiver accepts; a message larger than this travels alone.
 */
const FRAME_TARGET_BYTES = 1024 * 1024

export interface Frame {
  readonly bytes: Uint8Array
  readonly parcels: readonly Parcel[]
}

export interface Frames {
  readonly frames: readonly Frame[]
  /** Messages that no frame can hold. */
  readonly tooLarge: readonly Parcel[]
}

/** Frames for messages, in their order. */
export function encodeFrames(
  parcels: readonly Parcel[],
  payloadBytesMax: number = LIMITS.frameBytesMax,
): Frames {
  const frames: Frame[] = []
  const tooLarge: Parcel[] = []
  let open = openFrame()
  const close = (): void => {
    if (open.parcels.length > 0) frames.push({ bytes: frameOf(open), parcels: open.parcels })
    open = openFrame()
  }
  for (const parcel of parcels) {
    const encoded = encodeParcel(parcel)
    if (LIST_HEADER_BYTES + encoded.length > payloadBytesMax) {
      tooLarge.push(parcel)
      continue
    }
    if (open.payloadBytes + encoded.length > Math.min(FRAME_TARGET_BYTES, payloadBytesMax)) close()
    open.parcels.push(parcel)
    open.encoded.push(encoded)
    open.payloadBytes += encoded.length
  }
  close()
  return { frames, tooLarge }
}

/** A frame with one piece of an answer. */
export function frameOfPiece(piece: ReplyPiece): Uint8Array {
  const encoded = encodePiece(piece)
  return frameOf({ parcels: [], encoded: [encoded], payloadBytes: LIST_HEADER_BYTES + encoded.length })
}

interface OpenFrame {
  readonly parcels: Parcel[]
  readonly encoded: Uint8Array[]
  payloadBytes: number
}

const openFrame = (): OpenFrame => ({ parcels: [], encoded: [], payloadBytes: LIST_HEADER_BYTES })

function frameOf({ encoded, payloadBytes }: OpenFrame): Uint8Array {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payloadBytes)
  frame[FRAME_HEADER_BYTES] = 0xdd
  let at = frame.writeUInt32BE(encoded.length, FRAME_HEADER_BYTES + 1)
  for (const parcel of encoded) {
    frame.set(parcel, at)
    at += parcel.length
  }
  frame[0] = MAGIC
  frame[1] = FRAME_FORMAT
  frame.writeUInt32BE(payloadBytes, 2)
  frame.writeUInt32BE(crc32(frame.subarray(FRAME_HEADER_BYTES)), 6)
  return frame
}

const GATHER_BYTES_MIN = 16 * 1024

/**
 * Cuts a byte stream back into frames. Everything malformed throws MalformedError: the connection is then
 * useless. A frame that arrived in one piece is read where it lies; one in pieces is gathered in a buffer that
 * doubles, so that a header's claim alone costs nothing and a byte is copied at most about three times.
 */
export class FrameDecoder {
  #gathered: Buffer = Buffer.alloc(0)
  #bytes = 0
  #copied = 0
  readonly #pieces = new PieceGatherer()

  /** Bytes copied so far to join pieces. */
  get copiedBytes(): number {
    return this.#copied
  }

  /** Memory held for a frame that is not complete. */
  get heldBytes(): number {
    return this.#gathered.length
  }

  /** Takes bytes as they arrive; returns the messages of every frame completed by them. */
  push(chunk: Uint8Array): Parcel[] {
    let rest = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const parcels: Parcel[] = []
    while (rest.length > 0) {
      const begun = this.#bytes > 0
      const total = begun ? frameBytes(this.#gathered, this.#bytes) : frameBytes(rest, rest.length)
      if (!begun && total !== null && rest.length >= total) {
        append(parcels, rest.subarray(0, total), this.#pieces)
        rest = rest.subarray(total)
        continue
      }
      rest = rest.subarray(this.#gather(rest, total ?? FRAME_HEADER_BYTES))
      if (this.#bytes !== total) continue
      append(parcels, this.#gathered.subarray(0, total), this.#pieces)
      this.#gathered = Buffer.alloc(0)
      this.#bytes = 0
    }
    return parcels
  }

  /** Takes what is lacking up to `total` bytes; returns how many it took. */
  #gather(bytes: Buffer, total: number): number {
    const taken = Math.min(total - this.#bytes, bytes.length)
    this.#room(this.#bytes + taken, total)
    this.#gathered.set(bytes.subarray(0, taken), this.#bytes)
    this.#bytes += taken
    this.#copied += taken
    return taken
  }

  #room(needed: number, total: number): void {
    if (needed <= this.#gathered.length) return
    const doubled = Math.max(needed, 2 * this.#gathered.length, GATHER_BYTES_MIN)
    const grown = Buffer.allocUnsafeSlow(Math.min(doubled, total))
    this.#gathered.copy(grown, 0, 0, this.#bytes)
    this.#copied += this.#bytes
    this.#gathered = grown
  }
}

/** Length of the frame that begins with the first `length` bytes of `head`; null while its header is incomplete. */
function frameBytes(head: Buffer, length: number): number | null {
  if ((length > 0 && head[0] !== MAGIC) || (length > 1 && head[1] !== FRAME_FORMAT))
    throw new MalformedError('not a frame of this format')
  if (length < FRAME_HEADER_BYTES) return null
  const payload = head.readUInt32BE(2)
  if (payload > LIMITS.frameBytesMax) throw new MalformedError(`a frame of ${payload} bytes is too large`)
  return FRAME_HEADER_BYTES + payload
}

/** Not a spread: a frame can hold more messages than a call can have arguments. */
function append(parcels: Parcel[], frame: Buffer, pieces: PieceGatherer): void {
  const payload = frame.subarray(FRAME_HEADER_BYTES)
  if (crc32(payload) !== frame.readUInt32BE(6)) throw new MalformedError('a frame fails its checksum')
  for (const parcel of decodeParcels(payload)) {
    const whole = parcel.kind === 'replyPiece' ? pieces.take(parcel) : parcel
    if (whole !== null) parcels.push(whole)
  }
}
