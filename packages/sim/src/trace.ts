import { hashText, mix } from './random.js'

/**
 * A rolling hash over everything that happened, in order. Two runs of one seed that print the same hash did
 * the same things; the first differing event is found by printing `count` and `hex` at both.
 */
export class Trace {
  #high = 0x243f6a88
  #low = 0x85a308d3
  #count = 0
  readonly #labels = new Map<string, number>()

  /** Events mixed in so far. */
  get count(): number {
    return this.#count
  }

  /** A number of any size up to 2^53. */
  number(value: number): this {
    this.#word(value >>> 0)
    return this.#word(Math.floor(value / 2 ** 32) >>> 0)
  }

  /** Labels come from a small fixed vocabulary; their hashes are remembered. */
  label(text: string): this {
    let hash = this.#labels.get(text)
    if (hash === undefined) {
      hash = hashText(text)
      this.#labels.set(text, hash)
    }
    return this.#word(hash)
  }

  bytes(value: Uint8Array): this {
    let hash = value.length | 0
    for (let i = 0; i < value.length; i++) hash = Math.imul(hash ^ value[i]!, 0x01000193)
    return this.#word(hash >>> 0)
  }

  /** 16 hexadecimal digits. */
  hex(): string {
    return [this.#high, this.#low].map(word => (word >>> 0).toString(16).padStart(8, '0')).join('')
  }

  #word(word: number): this {
    this.#count++
    const low = mix(this.#low ^ word)
    this.#high = (Math.imul(this.#high, 0x9e3779b1) + low) >>> 0
    this.#low = (low ^ (this.#high >>> 7)) >>> 0
    return this
  }
}
