import type { SessionTag, TransactionId, TransactionOutcome } from '@kvorum/model'
import { check } from './violation.js'

/** Of all groups together, by transaction. */
export interface Outcomes {
  /** How the first group let go of its locks. */
  readonly first: Map<string, string>
  /** How many groups hold locks. */
  readonly holders: Map<string, number>
}

export const createOutcomes = (): Outcomes => ({ first: new Map(), holders: new Map() })

/**
 * I46, of the locks that the transactions of one group hold: they go with the same outcome everywhere, those of
 * a commit before its record is forgotten, and what has ended here never holds any again. Remembered apart from what the groups themselves
 * remember, for ever.
 */
export class TransactionEnds {
  readonly #outcomes: Outcomes
  readonly #held = new Set<string>()
  readonly #over: Set<string>

  constructor(outcomes: Outcomes, over: ReadonlySet<string> = new Set()) {
    this.#outcomes = outcomes
    this.#over = new Set(over)
  }

  /** A right half knows of the ends that its keys have seen, and holds the locks of its keys. */
  split(inherited: readonly TransactionId[]): TransactionEnds {
    const right = new TransactionEnds(this.#outcomes, this.#over)
    for (const id of inherited) right.prepared(id)
    return right
  }

  prepared(id: TransactionId): void {
    const name = nameOf(id)
    check(!this.#over.has(name), 'I46', () => ({ transaction: name, locks: 'after its end' }))
    if (this.#held.has(name)) return
    this.#held.add(name)
    this.#count(name, 1)
  }

  /** I41: the writes of sessions that transactions have prepared here. Nobody knows yet which of them will be written. */
  underWay(writes: readonly SessionTag[]): void {
    const names = writes.map(({ session, sequence }) => `${session}/${sequence}`)
    check(new Set(names).size === names.length, 'I41', () => ({ writes: names.join(' '), prepared: 'twice' }))
  }

  /** `released`: it held locks here until now. */
  ended(id: TransactionId, outcome: TransactionOutcome | null, released: boolean): void {
    const name = nameOf(id)
    this.#over.add(name)
    if (this.#held.delete(name)) this.#count(name, -1)
    if (!released || outcome === null) return
    const { first } = this.#outcomes
    const here = outcome.kind === 'abort' ? 'abort' : `commit at ${outcome.revision}`
    const elsewhere = first.get(name) ?? here
    check(here === elsewhere, 'I46', () => ({ transaction: name, here, elsewhere }))
    first.set(name, here)
  }

  /** Whoever asks for the record from now on is told that there is none, which is as good as an abort. */
  forgotten(id: TransactionId): void {
    const holders = this.#outcomes.holders.get(nameOf(id)) ?? 0
    const committed = (this.#outcomes.first.get(nameOf(id)) ?? 'abort') !== 'abort'
    check(holders === 0 || !committed, 'I46', () => ({
      transaction: nameOf(id),
      forgotten: 'with locks',
      holders,
    }))
  }

  #count(name: string, more: number): void {
    const { holders } = this.#outcomes
    holders.set(name, (holders.get(name) ?? 0) + more)
  }
}

const nameOf = ({ coordinator, sequence }: TransactionId): string => `${coordinator}/${sequence}`
