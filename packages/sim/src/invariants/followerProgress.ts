import type { Ledger } from './ledger.js'
import type { Invariant, Observation, ObservationKind } from './observation.js'
import { check } from './violation.js'

/**
 * I15 (etcd-raft's tracker, thesis 10.2.1): next > match, match is never beyond what the follower's disk has
 * held, and the bytes in flight are never negative and nothing when there is nothing to send.
 */
export class FollowerProgress implements Invariant {
  readonly kinds: readonly ObservationKind[] = ['progress']
  readonly #ledger: Ledger

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  observe(observation: Observation): void {
    if (observation.kind !== 'progress') return
    const { at, follower, match, next, inflightBytes } = observation
    const held = this.#ledger.group(at.group).replicas.get(follower)?.durableLastMax ?? 0
    const idle = match === this.#ledger.replica(at)!.log.last
    const holds = next > match && match <= held && inflightBytes >= 0 && (!idle || inflightBytes === 0)
    check(holds, 'I15', () => ({
      group: at.group,
      leader: at.replica,
      follower,
      match,
      next,
      held,
      inflightBytes,
    }))
  }
}
