import { configInForce, type Ledger, type ReplicaRecord } from './ledger.js'
import type { At, Invariant, Observation, ObservationKind, Positions } from './observation.js'
import { check } from './violation.js'

const GROWING = ['term', 'purged', 'snapshot', 'applied', 'commit'] as const

/**
 * I6: term, commit, applied, snapshot and purged index never go back, and the vote of a term never changes;
 * across a restart they do not go back behind what was durable.
 *
 * I7: purged <= snapshot <= applied <= commit <= last.
 *
 * I12, in part: the configuration in force is the last one in the log (or its base's).
 */
export class ReplicaPositions implements Invariant {
  readonly kinds: readonly ObservationKind[] = ['positions', 'started']
  readonly #ledger: Ledger

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  observe(observation: Observation): void {
    if (observation.kind === 'positions') {
      const { at, positions } = observation
      const replica = this.#ledger.replica(at)!
      checkGrowing(at, replica.positions, positions)
      checkOrder(at, positions)
      const inForce = configInForce(replica).index
      check(positions.configIndex === inForce, 'I12', () => ({
        group: at.group,
        replica: at.replica,
        configIndex: positions.configIndex,
        inForce,
      }))
    } else if (observation.kind === 'started') {
      const { at, positions, storeAhead, incarnation, damaged } = observation
      const before = this.#ledger.replica(at)
      const kept =
        storeAhead === null ? positions : { ...positions, applied: storeAhead, snapshot: storeAhead }
      if (before?.incarnation === incarnation && !damaged) checkGrowing(at, durablePositions(before), kept)
      checkOrder(at, positions)
    }
  }
}

/** What a restart must find at least. Of the purged beginning of the log more may be left than was thought. */
function durablePositions(replica: ReplicaRecord): Positions {
  const { term, vote, commit } = replica.hardState
  const applied = replica.storeDurable
  return { ...replica.positions, term, vote, commit, applied, snapshot: applied, purged: 0 }
}

function checkGrowing(at: At, before: Positions, after: Positions): void {
  for (const name of GROWING) {
    check(after[name] >= before[name], 'I6', () => ({
      group: at.group,
      replica: at.replica,
      position: name,
      before: before[name],
      after: after[name],
    }))
  }
  const kept = after.term > before.term || before.vote === 0 || after.vote === before.vote
  check(kept, 'I6', () => ({
    group: at.group,
    replica: at.replica,
    position: 'vote',
    term: after.term,
    before: before.vote,
    after: after.vote,
  }))
}

function checkOrder(at: At, { purged, snapshot, applied, commit, last }: Positions): void {
  const ordered = purged <= snapshot && snapshot <= applied && applied <= commit && commit <= last
  check(ordered, 'I7', () => ({
    group: at.group,
    replica: at.replica,
    purged,
    snapshot,
    applied,
    commit,
    last,
  }))
}
