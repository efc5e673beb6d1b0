/** A growable-by-construction set of small integers that is cheap to copy, compare and hash. */
export interface Bitset {
  readonly words: Int32Array
  /** Zobrist-like: the exclusive or of a number per member. */
  hash: number
}

export const emptyBitset = (size: number): Bitset => ({ words: new Int32Array((size + 31) >>> 5), hash: 0 })

export function flip(set: Bitset, member: number): void {
  set.words[member >>> 5]! ^= 1 << (member & 31)
  set.hash ^= Math.imul(member + 1, 0x9e3779b1) ^ Math.imul((member + 1) ^ 0x5bd1e995, 0x85ebca6b)
}

export const copyBitset = (set: Bitset): Bitset => ({ words: set.words.slice(), hash: set.hash })

export function sameBitset(a: Bitset, b: Bitset): boolean {
  if (a.hash !== b.hash) return false
  for (let i = 0; i < a.words.length; i++) if (a.words[i] !== b.words[i]) return false
  return true
}
