/**
 * Marks say "this rare branch was hit". A set of runs whose marks stay at zero did not test what it claims, so
 * the list is declared beforehand and `missing` is a failure of the run set.
 */
export class Coverage {
  readonly #counts = new Map<string, number>()

  /** `expected` marks start at zero and are reported as missing until they are hit. */
  constructor(expected: readonly string[] = []) {
    for (const mark of expected) this.#counts.set(mark, 0)
  }

  mark(name: string, times = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + times)
  }

  count(name: string): number {
    return this.#counts.get(name) ?? 0
  }

  merge(other: Coverage): void {
    for (const [name, count] of other.#counts) this.mark(name, count)
  }

  missing(): string[] {
    return this.sorted().flatMap(([name, count]) => (count === 0 ? [name] : []))
  }

  sorted(): [string, number][] {
    return [...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1))
  }

  toJSON(): Record<string, number> {
    return Object.fromEntries(this.sorted())
  }
}
