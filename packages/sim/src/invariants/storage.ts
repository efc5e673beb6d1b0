import type { Station } from '../network/partition.js'
import type { Ledger } from './ledger.js'
import type { Invariant, Observation, ObservationKind } from './observation.js'
import { check } from './violation.js'

/**
 * I16: a snapshot with the log replayed on it is the live state. I17: the applied index and the data it speaks
 * of reach the disk together. Both compare digests with what the replicas had when they applied that index.
 */
export class StoredStates implements Invariant {
  readonly kinds: readonly ObservationKind[] = ['replayed', 'storeOpened']
  readonly #ledger: Ledger

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  observe(observation: Observation): void {
    if (observation.kind === 'replayed') {
      const { group, index, digest } = observation
      const live = this.#ledger.group(group).digests.get(index)?.digest ?? digest
      check(live === digest, 'I16', () => ({ group, index, digest, live }))
    } else if (observation.kind === 'storeOpened') {
      const { at, applied, digest } = observation
      const live = this.#ledger.group(at.group).digests.get(applied)?.digest ?? digest
      check(live === digest, 'I17', () => ({ group: at.group, replica: at.replica, applied, digest, live }))
    }
  }
}

/** I18: recovery that is cut off by a crash and begun again ends in the same state. */
export class Recoveries implements Invariant {
  readonly kinds: readonly ObservationKind[] = ['recovered']
  readonly #last = new Map<Station, string>()

  observe(observation: Observation): void {
    if (observation.kind !== 'recovered') return
    const { node, fingerprint, pristine } = observation
    const before = this.#last.get(node) ?? fingerprint
    this.#last.set(node, fingerprint)
    check(!pristine || before === fingerprint, 'I18', () => ({ node, before, fingerprint }))
  }
}

/** I19: the log loses nothing that a durable state store does not cover. */
export class LogDeletions implements Invariant {
  readonly kinds: readonly ObservationKind[] = ['logDeleted', 'purged']
  readonly #ledger: Ledger

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  observe(observation: Observation): void {
    if (observation.kind !== 'logDeleted' && observation.kind !== 'purged') return
    const { at, index } = observation
    const { storeDurable } = this.#ledger.replica(at)!
    check(index <= storeDurable, 'I19', () => ({
      group: at.group,
      replica: at.replica,
      deleted: index,
      storeDurable,
    }))
  }
}

/** I20: a record whose bytes are not what was written yields nothing. */
export class RecordReads implements Invariant {
  readonly kinds: readonly ObservationKind[] = ['recordRead']

  observe(observation: Observation): void {
    if (observation.kind !== 'recordRead') return
    const { node, file, damaged, yielded } = observation
    check(!damaged || !yielded, 'I20', () => ({ node, file }))
  }
}
