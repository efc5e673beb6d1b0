import { crc32 } from 'node:zlib'
import { LIMITS, MalformedError } from '@kvorum/model'
import { decodeParcels, encodeParcels } from './codec.js'
import type { Parcel } from './types.js'

/**
 * A frame: magic and format (2 bytes), payload length (4, big-endian), CRC-32 of the payload (4), payload.
 * The payload is a msgpack list of messages. TCP's checksum is weak and memory is not perfect: a frame that
 * does not check ends the connection, and raft sends again.
 */
const MAGIC = 0x4b
const FRAME_FORMAT = 1
export const FRAME_HEADER_BYTES = 10

export function encodeFrame(parcels: readonly Parcel[]): Uint8Array {
  const payload = encodeParcels(parcels)
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length)
  frame[0] = MAGIC
  frame[1] = FRAME_FORMAT
  frame.writeUInt32BE(payload.length, 2)
  frame.writeUInt32BE(crc32(payload), 6)
  frame.set(payload, FRAME_HEADER_BYTES)
  return frame
}

/** Cuts a byte stream back into frames. Everything malformed throws MalformedError: the connection is then useless. */
export class FrameDecoder {
  #chunks: Buffer[] = []
  #bytes = 0

  /** Takes bytes as they arrive; returns the messages of every frame completed by them. */
  push(chunk: Uint8Array): Parcel[] {
    this.#chunks.push(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk))
    this.#bytes += chunk.length
    const parcels: Parcel[] = []
    for (;;) {
      const payload = this.#next()
      if (payload === null) return parcels
      parcels.push(...decodeParcels(payload))
    }
  }

  #next(): Buffer | null {
    if (this.#bytes < FRAME_HEADER_BYTES) return null
    const header = this.#peek(FRAME_HEADER_BYTES)
    if (header[0] !== MAGIC || header[1] !== FRAME_FORMAT) throw new MalformedError('not a frame of this format')
    const length = header.readUInt32BE(2)
    if (length > LIMITS.frameBytesMax) throw new MalformedError(`a frame of ${length} bytes is too large`)
    const total = FRAME_HEADER_BYTES + length
    if (this.#bytes < total) return null
    const whole = this.#peek(total)
    this.#chunks = this.#bytes === total ? [] : [this.#chunks[0]!.subarray(total)]
    this.#bytes -= total
    const payload = whole.subarray(FRAME_HEADER_BYTES, total)
    if (crc32(payload) !== whole.readUInt32BE(6)) throw new MalformedError('a frame fails its checksum')
    return payload
  }

  /** The first `bytes` bytes in one piece; the pieces are joined only when they must be. */
  #peek(bytes: number): Buffer {
    if (this.#chunks[0]!.length < bytes) this.#chunks = [Buffer.concat(this.#chunks)]
    return this.#chunks[0]!
  }
}
