import type { GroupId, Incarnation, ReplicaId } from '@kvorum/model'
import type { Station } from '../network/partition.js'
import type { Ledger } from './ledger.js'
import type { At, Invariant, Observation, ObservationKind } from './observation.js'
import { check } from './violation.js'

/**
 * I13: a replica that was destroyed, is not running or may not vote grants no vote and acknowledges nothing.
 *
 * I14: a replica id names one replica in one life of one data directory, for ever; and at most one instance of
 * it runs, one replica of a group on a node. A directory holds the id from when it may take part: one that is
 * new may come and be refused.
 */
export class ReplicaLives implements Invariant {
  readonly kinds: readonly ObservationKind[] = ['started', 'sent', 'admitted']
  readonly #ledger: Ledger
  readonly #homes = new Map<GroupId, Map<ReplicaId, { node: Station; incarnation: Incarnation }>>()

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  observe(observation: Observation): void {
    if (observation.kind === 'sent') {
      const { at, message } = observation
      const promises =
        (message.kind === 'voteReply' && message.granted) ||
        (message.kind === 'appendReply' && !message.rejected)
      if (!promises) return
      const { state, mayVote } = this.#ledger.replica(at)!
      check(state === 'running' && mayVote, 'I13', () => ({
        group: at.group,
        replica: at.replica,
        state,
        mayVote,
        message: message.kind,
      }))
    } else if (observation.kind === 'started') {
      const { at, incarnation, mayVote } = observation
      if (mayVote) this.#checkHome(at, incarnation)
      this.#checkAlone(observation)
    } else if (observation.kind === 'admitted') {
      this.#checkHome(observation.at, this.#ledger.replica(observation.at)!.incarnation)
    }
  }

  #checkHome(at: At, incarnation: Incarnation): void {
    const homes =
      this.#homes.get(at.group) ?? new Map<ReplicaId, { node: Station; incarnation: Incarnation }>()
    this.#homes.set(at.group, homes)
    const home = homes.get(at.replica) ?? { node: at.node, incarnation }
    homes.set(at.replica, home)
    check(home.node === at.node && home.incarnation === incarnation, 'I14', () => ({
      group: at.group,
      replica: at.replica,
      node: at.node,
      incarnation,
      homeNode: home.node,
      homeIncarnation: home.incarnation,
    }))
  }

  #checkAlone({ at }: Extract<Observation, { kind: 'started' }>): void {
    const record = this.#ledger.replica(at)
    const rivals = [...this.#ledger.group(at.group).replicas].filter(
      ([, other]) => other.node === at.node && other.state === 'running',
    )
    check(record?.state !== 'destroyed' && rivals.length === 0, 'I14', () => ({
      group: at.group,
      replica: at.replica,
      node: at.node,
      state: record?.state ?? null,
      running: rivals.map(([id]) => id).join(' '),
    }))
  }
}
