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
  /** Pieces of the object that has begun and not ended. */
  #pieces: Uint8Array[] = []
  #bytes = 0
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
        start = at + (SPACE.has(byte) ? 1 : 0)
        if (SPACE.has(byte)) continue
        if (byte !== OPEN) throw new MalformedError('expected a JSON object')
      }
      this.#step(byte)
      if (this.#depth !== 0) continue
      this.#keep(chunk.subarray(start, at + 1))
      values.push(parseJsonBytes(Buffer.concat(this.#pieces)))
      this.#pieces = []
      this.#bytes = 0
      start = at + 1
    }
    if (this.#depth > 0) this.#keep(Buffer.from(chunk.subarray(start)))
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

  #keep(piece: Uint8Array): void {
    this.#bytes += piece.length
    if (this.#bytes > this.#bytesMax)
      throw new MalformedError(`a JSON object takes more than ${this.#bytesMax} bytes`)
    this.#pieces.push(piece)
  }
}
