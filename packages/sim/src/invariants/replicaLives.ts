import type { GroupId, Incarnation, ReplicaId } from '@kvorum/model'
import type { Station } from '../network/partition.js'
import type { Ledger } from './ledger.js'
import type { Invariant, Observation, ObservationKind } from './observation.js'
import { check } from './violation.js'

/**
 * I13: a replica that was destroyed, is not running or may not vote grants no vote and acknowledges nothing.
 *
 * I14: a replica id names one replica in one life of one data directory, for ever; and at most one instance of
 * it runs, one replica of a group on a node.
 */
export class ReplicaLives implements Invariant {
  readonly kinds: readonly ObservationKind[] = ['started', 'sent']
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
      this.#checkStart(observation)
    }
  }

  #checkStart({ at, incarnation }: Extract<Observation, { kind: 'started' }>): void {
    const homes =
      this.#homes.get(at.group) ?? new Map<ReplicaId, { node: Station; incarnation: Incarnation }>()
    this.#homes.set(at.group, homes)
    const home = homes.get(at.replica) ?? { node: at.node, incarnation }
    homes.set(at.replica, home)
    const record = this.#ledger.replica(at)
    const rivals = [...this.#ledger.group(at.group).replicas].filter(
      ([, other]) => other.node === at.node && other.state === 'running',
    )
    check(
      home.node === at.node &&
        home.incarnation === incarnation &&
        record?.state !== 'destroyed' &&
        rivals.length === 0,
      'I14',
      () => ({
        group: at.group,
        replica: at.replica,
        node: at.node,
        incarnation,
        homeNode: home.node,
        homeIncarnation: home.incarnation,
        state: record?.state ?? null,
        running: rivals.map(([id]) => id).join(' '),
      }),
    )
  }
}
