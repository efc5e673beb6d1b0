import { LIMITS, MalformedError } from '@kvorum/model'
import { parseJsonBytes } from './jsonText.js'

const SPACE = new Set([0x20, 0x09, 0x0a, 0x0d])
const [QUOTE, BACKSLASH, OPEN, CLOSE] = [0x22, 0x5c, 0x7b, 0x7d]

/**
 * The request side of a stream on the JSON gateway: objects one after the other, with or without white space
 * between them, cut into chunks anywhere. One object may take `bytesMax`.
 */
export class JsonSequence {
  readonly #bytesMax: number
  /** The object that has begun and not ended, in the first `#length` bytes. */
  #buffer: Buffer = Buffer.alloc(0)
  #length = 0
  #depth = 0
  #inString = false
  #escaped = false

  constructor(bytesMax: number = LIMITS.requestBytesMax + LIMITS.requestOverheadBytes) {
    this.#bytesMax = bytesMax
  }

  /** Takes the next chunk and answers the objects it completes. Throws MalformedError; then give up. */
  push(chunk: Uint8Array): unknown[] {
    const values: unknown[] = []
    let start = 0
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!
      if (this.#depth === 0) {
        if (SPACE.has(byte)) continue
        if (byte !== OPEN) throw new MalformedError('expected a JSON object')
        start = at
      }
      this.#step(byte)
      if (this.#depth !== 0) continue
      this.#keep(chunk.subarray(start, at + 1))
      values.push(parseJsonBytes(this.#buffer.subarray(0, this.#length)))
      this.#length = 0
    }
    if (this.#depth > 0) this.#keep(chunk.subarray(start))
    return values
  }

  /** The input has ended; half an object is an error. */
  end(): void {
    if (this.#depth > 0) throw new MalformedError('the last JSON object is cut off')
  }

  #step(byte: number): void {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false
      else if (byte === BACKSLASH) this.#escaped = true
      else if (byte === QUOTE) this.#inString = false
    } else if (byte === QUOTE) this.#inString = true
    else if (byte === OPEN) this.#depth++
    else if (byte === CLOSE) this.#depth--
  }

  /** Copies: the chunk belongs to the socket. Grows by doubling, so that tiny chunks cost no more. */
  #keep(piece: Uint8Array): void {
    const length = this.#length + piece.length
    if (length > this.#bytesMax)
      throw new MalformedError(`a JSON object takes more than ${this.#bytesMax} bytes`)
    if (length > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(length, this.#buffer.length * 2))
      this.#buffer.copy(grown, 0, 0, this.#length)
      this.#buffer = grown
    }
    this.#buffer.set(piece, this.#length)
    this.#length = length
  }
}
