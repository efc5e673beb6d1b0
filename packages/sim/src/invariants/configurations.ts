import type { GroupConfig, ReplicaId } from '@kvorum/model'
import { configInForce, isQuorum, type Ledger } from './ledger.js'
import type { ConfigAt, Invariant, Observation, ObservationKind } from './observation.js'
import { check } from './violation.js'

/**
 * I12 (thesis 4.1, 4.3): a leader proposes a configuration only when the one before it is committed, and two
 * configurations that follow each other in a log share a member in every pair of their quorums. It proposes none
 * before an entry of its own term is committed (Ongaro, raft-dev, 2015). That the configuration in force comes
 * from the log is checked with the positions.
 */
export class Configurations implements Invariant {
  readonly kinds: readonly ObservationKind[] = ['appended']
  readonly #ledger: Ledger

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  observe(observation: Observation): void {
    if (observation.kind !== 'appended' || observation.configs.length === 0) return
    const { at, entries, configs, proposed, commit } = observation
    const replica = this.#ledger.replica(at)!
    const first = entries[0]?.index ?? Infinity
    const kept = replica.configs.filter(({ index }) => index < first)
    let before: ConfigAt = kept.at(-1) ?? configInForce(replica)
    for (const next of configs) {
      const previous = before
      check(!proposed || previous.index <= commit, 'I12', () => ({
        group: at.group,
        leader: at.replica,
        proposedAt: next.index,
        pendingAt: previous.index,
        commit,
      }))
      const { leaderIn } = replica
      check(!proposed || leaderIn === null || replica.log.termAt(commit) === leaderIn, 'I12', () => ({
        group: at.group,
        leader: at.replica,
        proposedAt: next.index,
        term: leaderIn,
        commit,
        commitTerm: replica.log.termAt(commit) ?? null,
      }))
      check(quorumsIntersect(previous.config, next.config), 'I12', () => ({
        group: at.group,
        replica: at.replica,
        index: next.index,
        before: describe(previous.config),
        after: describe(next.config),
      }))
      before = next
    }
  }
}

const describe = ({ voters, outgoing }: GroupConfig): string =>
  outgoing.length === 0 ? voters.join(' ') : `${voters.join(' ')} & ${outgoing.join(' ')}`

/** Whether no quorum of one leaves room for a quorum of the other. Tries every set of members: they are few. */
export function quorumsIntersect(a: GroupConfig, b: GroupConfig): boolean {
  const members = [...new Set([...a.voters, ...a.outgoing, ...b.voters, ...b.outgoing])]
  for (let set = 0; set < 2 ** members.length; set++) {
    const inside = (id: ReplicaId): boolean => ((set >> members.indexOf(id)) & 1) === 1
    if (isQuorum(a, inside) && isQuorum(b, id => !inside(id))) return false
  }
  return true
}
