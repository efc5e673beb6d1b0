import type { ReplicaId, Term } from '@kvorum/model'
import { configInForce, isQuorum, isVoter, type GroupRecord, type Ledger } from './ledger.js'
import type { At, Invariant, Observation, ObservationKind } from './observation.js'
import { check } from './violation.js'

/**
 * I1 election safety (paper 5.2; TLA+ ElectionSafety): a group has at most one leader per term, and it was
 * elected by durable votes of a quorum of its configuration (thesis 3.4; I13: nobody else is counted). It is a
 * voter of that configuration, or of the one before while the change is not known to be committed (thesis 4.2.2).
 *
 * I4 leader completeness (paper 5.4; TLA+ LeaderCompleteness): a leader of term T holds every entry that was
 * committed in a term before T. By log matching it is enough to look at the last of them.
 */
export class Elections implements Invariant {
  readonly kinds: readonly ObservationKind[] = ['leader']
  readonly #ledger: Ledger
  readonly #leaders = new Map<GroupRecord, Map<Term, ReplicaId>>()

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  observe(observation: Observation): void {
    if (observation.kind !== 'leader') return
    const { at, term } = observation
    const group = this.#ledger.group(at.group)
    this.#checkUnique(group, at, term)
    checkVotes(group, at, term, this.#ledger)
    checkVoter(at, term, this.#ledger)
    checkComplete(group, at, term, this.#ledger)
  }

  #checkUnique(group: GroupRecord, at: At, term: Term): void {
    const leaders = this.#leaders.get(group) ?? new Map<Term, ReplicaId>()
    this.#leaders.set(group, leaders)
    const other = leaders.get(term) ?? at.replica
    check(other === at.replica, 'I1', () => ({ group: at.group, term, leader: other, second: at.replica }))
    leaders.set(term, at.replica)
  }
}

function checkVotes(group: GroupRecord, at: At, term: Term, ledger: Ledger): void {
  const replica = ledger.replica(at)!
  const votes = group.votes.get(term)
  const voted = (voter: ReplicaId): boolean => votes?.get(voter) === at.replica
  check(isQuorum(configInForce(replica).config, voted), 'I13', () => ({
    group: at.group,
    term,
    leader: at.replica,
    durableVotes: [...(votes ?? [])].filter(([, candidate]) => candidate === at.replica).length,
  }))
}

function checkVoter(at: At, term: Term, ledger: Ledger): void {
  const { configs, positions } = ledger.replica(at)!
  const committed = configs.findLast(({ index }) => index <= positions.commit) ?? configs[0]!
  check(isVoter(configs.at(-1)!.config, at.replica) || isVoter(committed.config, at.replica), 'I13', () => ({
    group: at.group,
    term,
    leader: at.replica,
    voters: configs.at(-1)!.config.voters.join(' '),
  }))
}

function checkComplete(group: GroupRecord, at: At, term: Term, ledger: Ledger): void {
  const last = group.commits.findLast(commit => commit.term < term)
  if (last === undefined) return
  const { entry } = group.committed.get(last.index)!
  check(ledger.replica(at)!.log.holds(entry), 'I4', () => ({
    group: at.group,
    term,
    leader: at.replica,
    missing: entry.index,
    committedIn: last.term,
  }))
}
