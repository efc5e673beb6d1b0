import { isUtf8 } from 'node:buffer'
import { MalformedError } from '@kvorum/model'
import { saturate } from './integer.js'
import { DELIMITED, FIXED32, FIXED64, VARINT } from './schema.js'

/** Reads protobuf's wire format. Byte strings are views of the input; every lie throws MalformedError. */
export class WireReader {
  readonly #buffer: Buffer
  at = 0

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get length(): number {
    return this.#buffer.length
  }

  #byte(): number {
    if (this.at >= this.#buffer.length) throw new MalformedError(`truncated at byte ${this.at}`)
    return this.#buffer[this.at++]!
  }

  /** A varint of up to 7 bytes, which is exact as a number; null, with nothing read, if it is longer. */
  #narrow(): number | null {
    let value = this.#byte()
    if (value < 0x80) return value
    value &= 0x7f
    let scale = 0x80
    for (let i = 1; i < 7; i++) {
      const byte = this.#byte()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 0x80
    }
    this.at -= 7
    return null
  }

  /** Begins again where `narrow` gave up: 49 bits, then the up to 15 that are left. */
  #wide(): bigint {
    let low = 0
    let scale = 1
    for (let i = 0; i < 7; i++, scale *= 0x80) low += (this.#byte() & 0x7f) * scale
    let high = 0
    for (let shift = 0; shift <= 14; shift += 7) {
      const byte = this.#byte()
      high |= (byte & 0x7f) << shift
      if (byte >= 0x80) continue
      if (high > 0x7fff) break
      return BigInt(low) | (BigInt(high) << 49n)
    }
    throw new MalformedError(`varint longer than 64 bits before byte ${this.at}`)
  }

  /** Field number and wire type. */
  tag(): number {
    const tag = this.#narrow()
    if (tag === null || tag < 8 || tag > 0xffffffff)
      throw new MalformedError(`no field number before byte ${this.at}`)
    return tag
  }

  /** A 64-bit integer as a number (see integer.ts). */
  count(signed: boolean): number {
    const value = this.#narrow()
    if (value !== null) return value
    const wide = this.#wide()
    return saturate(signed ? BigInt.asIntN(64, wide) : wide)
  }

  id(signed: boolean): bigint {
    const value = this.#narrow()
    if (value !== null) return BigInt(value)
    const wide = this.#wide()
    return signed ? BigInt.asIntN(64, wide) : wide
  }

  /** 32-bit integers and enums: the low half of whatever was sent, as protobuf rules. */
  int32(): number {
    const value = this.#narrow()
    return value === null ? Number(BigInt.asIntN(32, this.#wide())) : value | 0
  }

  uint32(): number {
    return this.int32() >>> 0
  }

  bool(): boolean {
    const value = this.#narrow()
    return value === null ? this.#wide() !== 0n : value !== 0
  }

  /** Reads a length and answers where what it measures ends; never beyond `end`. */
  delimited(end: number): number {
    const length = this.#narrow()
    if (length === null || length > end - this.at)
      throw new MalformedError(`length ${length ?? ''} at byte ${this.at} goes beyond the message`)
    return this.at + length
  }

  bytes(end: number): Uint8Array {
    const stop = this.delimited(end)
    const view = this.#buffer.subarray(this.at, stop)
    this.at = stop
    return view
  }

  string(end: number): string {
    const bytes = this.bytes(end)
    if (!isUtf8(bytes)) throw new MalformedError(`text before byte ${this.at} is not UTF-8`)
    return (bytes as Buffer).toString('utf8')
  }

  /** Passes over the value of an unknown field. Groups do not exist in proto3 and are refused. */
  skip(wire: number, end: number): void {
    switch (wire) {
      case VARINT:
        if (this.#narrow() === null) this.#wide()
        break
      case FIXED64:
        this.at += 8
        break
      case DELIMITED:
        this.at = this.delimited(end)
        break
      case FIXED32:
        this.at += 4
        break
      default:
        throw new MalformedError(`wire type ${wire} before byte ${this.at}`)
    }
    if (this.at > end) throw new MalformedError(`truncated at byte ${end}`)
  }
}
