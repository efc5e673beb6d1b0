/**
 * A matching that gives as many as possible of `Left` one of their `candidates` each, none twice (augmenting
 * paths, Kuhn 1955). Whoever was matched once stays matched.
 */
export class Matching<Left, Right> {
  /** By the right side. */
  readonly pairs = new Map<Right, Left>()
  readonly #candidates: (left: Left) => readonly Right[]

  constructor(candidates: (left: Left) => readonly Right[]) {
    this.#candidates = candidates
  }

  /** False: there is nothing left for this one, however the others move. */
  add(left: Left): boolean {
    return this.#place(left, new Set())
  }

  #place(left: Left, tried: Set<Right>): boolean {
    for (const right of this.#candidates(left)) {
      if (tried.has(right)) continue
      tried.add(right)
      const holder = this.pairs.get(right)
      if (holder !== undefined && !this.#place(holder, tried)) continue
      this.pairs.set(right, left)
      return true
    }
    return false
  }
}
