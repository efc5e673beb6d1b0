import { assert } from '@kvorum/model'

/**
 * Writes protobuf's wire format from the last byte to the first. A nested message is then simply what has
 * been written since `length` was noted, so its size needs no first pass and no copy. Callers write fields in
 * falling order of their numbers, list elements last to first, and a field's tag after its value.
 */
export class WireWriter {
  #buffer: Buffer
  #at: number

  /** `capacity`: a guess at the bytes to come; a good one saves copies, a bad one costs no more than that. */
  constructor(capacity = 128) {
    this.#buffer = Buffer.allocUnsafe(capacity)
    this.#at = capacity
  }

  get length(): number {
    return this.#buffer.length - this.#at
  }

  /** Moves the front by `bytes` and answers where to write. The buffer may change: call before touching it. */
  #take(bytes: number): number {
    if (bytes > this.#at) {
      const used = this.length
      const grown = Buffer.allocUnsafe(Math.max((used + bytes) * 2, 256))
      this.#buffer.copy(grown, grown.length - used, this.#at)
      this.#buffer = grown
      this.#at = grown.length - used
    }
    this.#at -= bytes
    return this.#at
  }

  /** A non-negative safe integer. */
  varint(value: number): void {
    if (value < 0x80) {
      const at = this.#take(1)
      this.#buffer[at] = value
      return
    }
    let bytes = 1
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
    let at = this.#take(bytes)
    let rest = value
    while (rest >= 0x80) {
      this.#buffer[at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#buffer[at] = rest
  }

  /** A safe integer of either sign; negative ones take ten bytes, as protobuf rules for int32 and int64. */
  count(value: number): void {
    assert(Number.isSafeInteger(value), () => `${value} is not an exact integer`)
    if (value >= 0) this.varint(value)
    else this.id(BigInt(value))
  }

  id(value: bigint): void {
    if (value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER)) {
      this.varint(Number(value))
      return
    }
    // 28 + 28 + 8 bits, so that the loops below work on small integers
    const unsigned = BigInt.asUintN(64, value)
    const low = Number(unsigned & 0xfffffffn)
    const middle = Number((unsigned >> 28n) & 0xfffffffn)
    const high = Number(unsigned >> 56n)
    const bytes = high === 0 ? 8 : high < 0x80 ? 9 : 10
    const at = this.#take(bytes)
    for (let i = 0; i < 4; i++) {
      this.#buffer[at + i] = ((low >>> (7 * i)) & 0x7f) | 0x80
      this.#buffer[at + 4 + i] = ((middle >>> (7 * i)) & 0x7f) | 0x80
    }
    if (bytes === 8) this.#buffer[at + 7]! &= 0x7f
    else this.#buffer[at + 8] = bytes === 9 ? high : high | 0x80
    if (bytes === 10) this.#buffer[at + 9] = high >>> 7
  }

  bool(value: boolean): void {
    const at = this.#take(1)
    this.#buffer[at] = value ? 1 : 0
  }

  raw(bytes: Uint8Array): void {
    const at = this.#take(bytes.length)
    this.#buffer.set(bytes, at)
  }

  bytes(bytes: Uint8Array): void {
    this.raw(bytes)
    this.varint(bytes.length)
  }

  string(text: string): void {
    const length = Buffer.byteLength(text, 'utf8')
    const at = this.#take(length)
    this.#buffer.write(text, at, length, 'utf8')
    this.varint(length)
  }

  /** The message, as a view of the buffer it was written to. The writer must not be used after. */
  finish(): Uint8Array {
    return this.#buffer.subarray(this.#at)
  }
}
