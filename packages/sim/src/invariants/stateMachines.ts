import type { Ledger } from './ledger.js'
import type { Invariant, Observation, ObservationKind } from './observation.js'
import { check } from './violation.js'

/**
 * I5 state machine safety (paper 5.4.3): replicas that apply an index apply the same entry there, it is the
 * committed one, and they are left with the same state.
 */
export class StateMachines implements Invariant {
  readonly kinds: readonly ObservationKind[] = ['applied']
  readonly #ledger: Ledger

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  observe(observation: Observation): void {
    if (observation.kind !== 'applied') return
    const { at, entry, digest } = observation
    const { committed, digests } = this.#ledger.group(at.group)
    const { index } = entry
    const known = committed.get(index)?.entry
    const other = digests.get(index)
    check(
      (known === undefined || (known.term === entry.term && known.hash === entry.hash)) &&
        (other === undefined || (other.entry.hash === entry.hash && other.digest === digest)),
      'I5',
      () => ({
        group: at.group,
        replica: at.replica,
        index,
        term: entry.term,
        committedTerm: known?.term ?? null,
        digest,
        otherDigest: other?.digest ?? null,
      }),
    )
  }
}
