/** HTTP/2 framing (RFC 9113): numbers, the outgoing buffer, and the incoming splitter. */

export const FRAME = {
  data: 0,
  headers: 1,
  resetStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

export const FLAG = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const

export const SETTING = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
} as const

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
export const HEADER_BYTES = 9
/** Neither side may send larger frames, because we never allow them. */
export const FRAME_BYTES_MAX = 16_384
export const WINDOW_DEFAULT = 65_535

const CHUNK_BYTES = 256 * 1024

/**
 * Frames on their way out, written one behind the other into large chunks. `take` hands over what has
 * gathered since the last time as one slice, without copying; the bytes of a slice are never touched again.
 */
export class FrameWriter {
  #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  #start = 0
  #end = 0
  /** Slices of chunks that were full before they were taken. */
  #full: Buffer[] = []

  get pending(): boolean {
    return this.#end > this.#start || this.#full.length > 0
  }

  take(): Buffer {
    const slice = this.#chunk.subarray(this.#start, this.#end)
    this.#start = this.#end
    if (this.#full.length === 0) return slice
    const all = Buffer.concat([...this.#full, slice])
    this.#full = []
    return all
  }

  #room(bytes: number): void {
    if (this.#end + bytes <= CHUNK_BYTES) return
    if (this.#end > this.#start) this.#full.push(this.#chunk.subarray(this.#start, this.#end))
    this.#chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
    this.#start = 0
    this.#end = 0
  }

  /** Room for the payload is made; the caller writes exactly `length` bytes with the calls below. */
  header(length: number, type: number, flags: number, stream: number): void {
    this.#room(HEADER_BYTES + length)
    const chunk = this.#chunk
    let at = this.#end
    chunk[at++] = length >>> 16
    chunk[at++] = length >>> 8
    chunk[at++] = length
    chunk[at++] = type
    chunk[at++] = flags
    this.#end = chunk.writeUInt32BE(stream, at)
  }

  u8(value: number): void {
    this.#chunk[this.#end++] = value
  }

  u16(value: number): void {
    this.#end = this.#chunk.writeUInt16BE(value, this.#end)
  }

  u32(value: number): void {
    this.#end = this.#chunk.writeUInt32BE(value, this.#end)
  }

  raw(bytes: Uint8Array): void {
    this.#chunk.set(bytes, this.#end)
    this.#end += bytes.length
  }
}

export type FrameHandler = (type: number, flags: number, stream: number, payload: Buffer) => void

/** Cuts the incoming bytes into frames. Payloads are views, good only during the call. */
export class FrameSplitter {
  #rest: Buffer | null = null

  push(chunk: Buffer, handle: FrameHandler): void {
    const bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    while (bytes.length - at >= HEADER_BYTES) {
      const length = bytes.readUIntBE(at, 3)
      if (length > FRAME_BYTES_MAX) throw new Error(`HTTP/2 frame of ${length} bytes`)
      const end = at + HEADER_BYTES + length
      if (end > bytes.length) break
      const stream = bytes.readUInt32BE(at + 5) & 0x7fffffff
      handle(bytes[at + 3]!, bytes[at + 4]!, stream, bytes.subarray(at + HEADER_BYTES, end))
      at = end
    }
    this.#rest = at === bytes.length ? null : bytes.subarray(at)
  }
}
