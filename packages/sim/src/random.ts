/**
 * The only source of chance in a run: sfc32 (Doty-Humphrey's small fast counter, 32 bits) over four uint32.
 *
 * Streams are split by label, not by drawing: `stream('disk')` depends on the seed and the label alone, so one
 * more draw in one part of the simulator changes nothing in another.
 */
export class Random {
  readonly #high: number
  readonly #low: number
  #a: number
  #b: number
  #c: number
  #counter: number

  /** `seed` is a non-negative safe integer; equal seeds give equal streams on every machine. */
  constructor(seed: number, low?: number) {
    this.#high = low === undefined ? Math.floor(seed / 2 ** 32) >>> 0 : seed >>> 0
    this.#low = (low ?? seed) >>> 0
    this.#a = this.#low
    this.#b = this.#high
    this.#c = 0x9e3779b9
    this.#counter = 1
    for (let i = 0; i < 15; i++) this.uint32()
  }

  /** An independent stream named by `label`. */
  stream(label: string | number): Random {
    const text = `${label}`
    return new Random(
      mix(this.#high ^ hashText(text, 0x85ebca6b)),
      mix(this.#low ^ hashText(text, 0xc2b2ae35)),
    )
  }

  uint32(): number {
    const result = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0
    return result >>> 0
  }

  /** In [0, 1), with 53 random bits. */
  float(): number {
    const high = this.uint32() >>> 5
    return (high * 2 ** 26 + (this.uint32() >>> 6)) / 2 ** 53
  }

  /** An integer in [min, max], both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.float() * (max - min + 1))
  }

  /** A number in [min, max). */
  between(min: number, max: number): number {
    return min + this.float() * (max - min)
  }

  /** True with probability `p`. Always draws, so that changing a probability shifts nothing else. */
  chance(p: number): boolean {
    return this.float() < p
  }

  /** Exponentially distributed with this mean; at most 20 times the mean. */
  exponential(mean: number): number {
    return Math.min(-Math.log(1 - this.float()) * mean, 20 * mean)
  }

  pick<Item>(items: readonly Item[]): Item {
    if (items.length === 0) throw new RangeError('nothing to pick from')
    return items[this.int(0, items.length - 1)]!
  }

  /** A new array in random order (Fisher-Yates). */
  shuffle<Item>(items: readonly Item[]): Item[] {
    const result = [...items]
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.int(0, i)
      const kept = result[i]!
      result[i] = result[j]!
      result[j] = kept
    }
    return result
  }

  bytes(length: number): Uint8Array {
    const result = new Uint8Array(length)
    for (let i = 0; i < length; i += 4) {
      const word = this.uint32()
      for (let j = 0; j < 4 && i + j < length; j++) result[i + j] = (word >>> (8 * j)) & 0xff
    }
    return result
  }
}

/** A 32-bit hash of the text's UTF-16 units (FNV-1a, finished with `mix`). */
export function hashText(text: string, basis = 0x811c9dc5): number {
  let hash = basis | 0
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return mix(hash)
}

/** Spreads every input bit over the 32 output bits (the finaliser of MurmurHash3). */
export function mix(value: number): number {
  let x = value | 0
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}
