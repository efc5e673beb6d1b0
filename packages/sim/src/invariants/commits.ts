import { configInForce, isQuorum, type Committed, type Ledger, type ReplicaRecord } from './ledger.js'
import type { At, Invariant, Observation, ObservationKind, Positions } from './observation.js'
import { check } from './violation.js'

/**
 * I8 committed on quorum (paper 5.3, 5.4.2; TLA+ QuorumLog): when a leader moves its commit index to i, entry i
 * is of its own term and durable on the disks of a majority of every half of its configuration. In one turn it may
 * move its commit index by the configuration it had, and then propose another one.
 *
 * I9 committed is for ever: no index is ever committed with two entries.
 */
export class Commits implements Invariant {
  readonly kinds: readonly ObservationKind[] = ['positions']
  readonly #ledger: Ledger

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  observe(observation: Observation): void {
    if (observation.kind !== 'positions') return
    const { at, positions } = observation
    const replica = this.#ledger.replica(at)!
    if (positions.commit <= replica.positions.commit) return
    this.#checkImmutable(at, replica, positions)
    if (replica.leaderIn === positions.term) this.#checkQuorum(at, replica, positions)
  }

  #checkImmutable(at: At, replica: ReplicaRecord, { commit }: Positions): void {
    const { committed } = this.#ledger.group(at.group)
    for (
      let index = Math.max(replica.positions.commit, replica.log.base.index) + 1;
      index <= commit;
      index++
    ) {
      const before: Committed | undefined = committed.get(index)
      const own = replica.log.at(index)
      check(own !== undefined && (before === undefined || replica.log.holds(before.entry)), 'I9', () => ({
        group: at.group,
        replica: at.replica,
        index,
        term: own?.term ?? null,
        committedTerm: before?.entry.term ?? null,
      }))
    }
  }

  #checkQuorum(at: At, replica: ReplicaRecord, { commit, term }: Positions): void {
    const entry = replica.log.at(commit)
    if (entry === undefined) return
    const { replicas } = this.#ledger.group(at.group)
    const holds = (other: ReplicaRecord | undefined): boolean =>
      other !== undefined && (other.durable.holds(entry) || (other.lost?.holds(entry) ?? false))
    const now = configInForce(replica)
    const { configIndex } = replica.positions
    const had = replica.configs.filter(({ index }) => index === configIndex && commit < now.index)
    const durable = [now, ...had].some(({ config }) => isQuorum(config, id => holds(replicas.get(id))))
    check(durable && entry.term === term, 'I8', () => ({
      group: at.group,
      leader: at.replica,
      term,
      commit,
      entryTerm: entry.term,
      durableAt: [...replicas]
        .filter(([, other]) => other.durable.holds(entry))
        .map(([id]) => id)
        .join(' '),
    }))
  }
}
