import type { GroupId, Index, Term } from '@kvorum/model'
import type { Ledger } from './ledger.js'
import type { LogShadow } from './logShadow.js'
import type { EntryMark, Invariant, Observation, ObservationKind } from './observation.js'
import { check } from './violation.js'

/** One position of a group's logs in one term: what stands there and the term before it. */
interface Link {
  readonly hash: number
  readonly before: Term
}

/**
 * I2 leader append-only (paper 5.3): a leader never overwrites or removes entries of its own log.
 *
 * I3 log matching (paper 5.3; TLA+ LogMatching): entries with one index and term are the same, and so are all
 * before them. Kept as links: index and term determine the entry and the term before it, the rest follows.
 */
export class Logs implements Invariant {
  readonly kinds: readonly ObservationKind[] = ['appended', 'started']
  readonly #ledger: Ledger
  readonly #links = new Map<GroupId, Map<Index, Map<Term, Link>>>()

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  observe(observation: Observation): void {
    if (observation.kind === 'started') {
      const { base, entries, at } = observation
      this.#checkMatching(at.group, base.term, entries)
      return
    }
    if (observation.kind !== 'appended') return
    const { at, entries } = observation
    const { log, leaderIn } = this.#ledger.replica(at)!
    const first = entries[0]
    if (first === undefined) return
    check(leaderIn === null || first.index === log.last + 1, 'I2', () => ({
      group: at.group,
      leader: at.replica,
      term: leaderIn,
      last: log.last,
      overwritten: first.index,
    }))
    const before = termBefore(log, first.index)
    if (before !== undefined) this.#checkMatching(at.group, before, entries)
  }

  #checkMatching(group: GroupId, before: Term, entries: readonly EntryMark[]): void {
    const links = this.#links.get(group) ?? new Map<Index, Map<Term, Link>>()
    this.#links.set(group, links)
    let previous = before
    for (const { index, term, hash } of entries) {
      const terms = links.get(index) ?? new Map<Term, Link>()
      links.set(index, terms)
      const link = terms.get(term)
      if (link === undefined) terms.set(term, { hash, before: previous })
      else {
        check(link.hash === hash && link.before === previous, 'I3', () => ({
          group,
          index,
          term,
          hash,
          otherHash: link.hash,
          before: previous,
          otherBefore: link.before,
        }))
      }
      previous = term
    }
  }
}

/** Undefined where the log does not say: its base has moved past that position. */
const termBefore = (log: LogShadow, index: Index): Term | undefined => log.termAt(index - 1)
