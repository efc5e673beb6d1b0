import { assert } from './assert.js'

/**
 * The byte layout shared by everything we encode by hand: unsigned LEB128 varints (up to 2^53), fixed 64-bit
 * big-endian integers for ids, and length-prefixed byte strings. Fixed layouts, not msgpack, because these
 * bytes are compared, hashed and replayed by later versions.
 */
export class ByteWriter {
  #buffer: Buffer
  #length = 0

  constructor(capacity = 256) {
    this.#buffer = Buffer.allocUnsafe(capacity)
  }

  #room(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#buffer.length) return
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }

  u8(value: number): this {
    this.#room(1)
    this.#buffer[this.#length++] = value
    return this
  }

  bool(value: boolean): this {
    return this.u8(value ? 1 : 0)
  }

  u32(value: number): this {
    this.#room(4)
    this.#length = this.#buffer.writeUInt32BE(value, this.#length)
    return this
  }

  u64(value: bigint): this {
    this.#room(8)
    this.#length = this.#buffer.writeBigUInt64BE(BigInt.asUintN(64, value), this.#length)
    return this
  }

  /** A non-negative safe integer. */
  varint(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, () => `${value} cannot be a varint`)
    this.#room(8)
    let rest = value
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#buffer[this.#length++] = rest
    return this
  }

  /** A safe integer of either sign: a flag for the sign, then the size. */
  signed(value: number): this {
    return this.bool(value < 0).varint(Math.abs(value))
  }

  bytes(value: Uint8Array): this {
    this.varint(value.length)
    return this.raw(value)
  }

  raw(value: Uint8Array): this {
    this.#room(value.length)
    this.#buffer.set(value, this.#length)
    this.#length += value.length
    return this
  }

  text(value: string): this {
    return this.bytes(Buffer.from(value, 'utf8'))
  }

  get length(): number {
    return this.#length
  }

  /** The bytes written so far, in a buffer of their own size. */
  finish(): Uint8Array {
    return Buffer.from(this.#buffer.subarray(0, this.#length))
  }
}

/** Bytes that cannot be what they claim to be: truncated, an unknown format or kind, a length that lies. */
export class MalformedError extends Error {
  override readonly name = 'MalformedError'
}

/** Reads what ByteWriter wrote. Byte strings are views of the input. Every lie throws MalformedError. */
export class ByteReader {
  readonly #buffer: Buffer
  #offset = 0

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  #take(bytes: number): number {
    const at = this.#offset
    if (bytes > this.#buffer.length - at) throw new MalformedError(`truncated at ${at}`)
    this.#offset = at + bytes
    return at
  }

  u8(): number {
    return this.#buffer[this.#take(1)]!
  }

  bool(): boolean {
    const value = this.u8()
    if (value > 1) throw new MalformedError(`${value} is not a flag`)
    return value === 1
  }

  u32(): number {
    return this.#buffer.readUInt32BE(this.#take(4))
  }

  u64(): bigint {
    return this.#buffer.readBigUInt64BE(this.#take(8))
  }

  varint(): number {
    let value = 0
    for (let scale = 1; scale <= Number.MAX_SAFE_INTEGER; scale *= 0x80) {
      const byte = this.u8()
      value += (byte & 0x7f) * scale
      if (value > Number.MAX_SAFE_INTEGER) break
      if (byte >= 0x80) continue
      // One number, one encoding: bytes that are compared and hashed must not have synonyms.
      if (byte === 0 && scale > 1) throw new MalformedError('varint padded with zeros')
      return value
    }
    throw new MalformedError('varint beyond 2^53')
  }

  signed(): number {
    const negative = this.bool()
    const value = this.varint()
    if (negative && value === 0) throw new MalformedError('negative zero')
    return negative ? -value : value
  }

  bytes(): Uint8Array {
    const length = this.varint()
    const at = this.#take(length)
    return this.#buffer.subarray(at, at + length)
  }

  text(): string {
    const bytes = Buffer.from(this.bytes())
    const text = bytes.toString('utf8')
    if (!Buffer.from(text).equals(bytes)) throw new MalformedError('a text that is not UTF-8')
    return text
  }

  get remaining(): number {
    return this.#buffer.length - this.#offset
  }

  /** Bytes left over are a lie about the format as well. */
  end(): void {
    if (this.remaining !== 0) throw new MalformedError(`${this.remaining} bytes too many`)
  }
}

/** A count, then so many items. Each takes a byte at least, so that a lie about the count costs nothing. */
export function readMany<Item>(input: ByteReader, read: () => Item): Item[] {
  const count = input.varint()
  if (count > input.remaining)
    throw new MalformedError(`${count} items cannot be in ${input.remaining} bytes`)
  const items: Item[] = []
  for (let i = 0; i < count; i++) items.push(read())
  return items
}
