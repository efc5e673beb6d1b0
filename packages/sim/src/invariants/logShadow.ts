import type { Index, LogBase, Term } from '@kvorum/model'
import type { EntryMark } from './observation.js'

/** A log without its data: terms and hashes of the entries after a base. */
export class LogShadow {
  #base: LogBase
  #entries: EntryMark[]

  constructor(base: LogBase = { index: 0, term: 0 }, entries: readonly EntryMark[] = []) {
    this.#base = base
    this.#entries = [...entries]
  }

  get base(): LogBase {
    return this.#base
  }

  get last(): Index {
    return this.#base.index + this.#entries.length
  }

  at(index: Index): EntryMark | undefined {
    return this.#entries[index - this.#base.index - 1]
  }

  /** The term at an index from the base on; undefined where the log does not reach. */
  termAt(index: Index): Term | undefined {
    return index === this.#base.index ? this.#base.term : this.at(index)?.term
  }

  /** Whether the log holds this entry, or had it before its beginning was purged. */
  holds(entry: EntryMark): boolean {
    if (entry.index <= this.#base.index) return true
    const own = this.at(entry.index)
    return own !== undefined && own.term === entry.term && own.hash === entry.hash
  }

  /** Replaces everything from the first entry on. Entries at or below the base are known already. */
  write(entries: readonly EntryMark[]): void {
    const fresh = entries.filter(entry => entry.index > this.#base.index)
    const first = fresh[0]
    if (first === undefined) return
    this.#entries.length = Math.min(this.#entries.length, first.index - this.#base.index - 1)
    this.#entries.push(...fresh)
  }

  reset(base: LogBase, keep: boolean): void {
    this.#entries = keep ? this.#entries.filter(entry => entry.index > base.index) : []
    this.#base = base
  }

  purge(index: Index): void {
    const term = this.termAt(index)
    if (index > this.#base.index && term !== undefined) this.reset({ index, term }, true)
  }

  copy(): LogShadow {
    return new LogShadow(this.#base, this.#entries)
  }
}
