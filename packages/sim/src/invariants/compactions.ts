import type { Revision } from '@kvorum/model'
import type { Station } from '../network/partition.js'
import type { Invariant, Observation, ObservationKind } from './observation.js'
import { check } from './violation.js'

/** Answers remembered for comparison; the oldest are forgotten first. */
const ANSWERS_MAX = 10_000

/**
 * I23: a node's compacted revision never goes back; a read below it is refused and never one at or above it;
 * what was read at a revision is read there for ever, from every node.
 */
export class Compactions implements Invariant {
  readonly kinds: readonly ObservationKind[] = ['compacted', 'pastRead']
  readonly #compacted = new Map<Station, Revision>()
  readonly #answers = new Map<string, string>()

  observe(observation: Observation): void {
    if (observation.kind === 'compacted') {
      const { node, revision } = observation
      const before = this.#compacted.get(node) ?? 0
      this.#compacted.set(node, revision)
      check(revision >= before, 'I23', () => ({ node, compacted: revision, before }))
    } else if (observation.kind === 'pastRead') {
      this.#checkRead(observation)
    }
  }

  #checkRead({ revision, compacted, range, rows }: Extract<Observation, { kind: 'pastRead' }>): void {
    const refused = rows === null
    check(refused === revision < compacted, 'I23', () => ({ revision, compacted, refused }))
    if (rows === null) return
    const name = `${revision} ${range}`
    const before = this.#answers.get(name) ?? rows
    check(before === rows, 'I23', () => ({ revision, range, before, rows }))
    this.#answers.set(name, rows)
    if (this.#answers.size > ANSWERS_MAX) this.#answers.delete(this.#answers.keys().next().value!)
  }
}
