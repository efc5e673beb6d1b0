import type { GroupConfig, GroupId, HardState, Incarnation, Index, ReplicaId, Term } from '@kvorum/model'
import type { Station } from '../network/partition.js'
import { LogShadow } from './logShadow.js'
import type { At, ConfigAt, EntryMark, Observation, Positions, ReplicaObservation } from './observation.js'

/** What has been observed of one replica so far. */
export interface ReplicaRecord {
  readonly node: Station
  readonly incarnation: Incarnation
  state: 'running' | 'stopped' | 'destroyed'
  mayVote: boolean
  leaderIn: Term | null
  positions: Positions
  readonly log: LogShadow
  readonly durable: LogShadow
  /** What the directory before held, while this one, which is another, may not take part: it was counted then. */
  readonly lost: LogShadow | null
  hardState: HardState
  storeDurable: Index
  /** The highest durable index there ever was. */
  durableLastMax: Index
  /** Configurations at the base and in the log, ascending; the last is in force. */
  configs: readonly ConfigAt[]
}

export interface Committed {
  readonly entry: EntryMark
  /** The term of the replica that was first seen to know it. */
  readonly term: Term
}

/** What has been observed of one group so far. */
export interface GroupRecord {
  readonly replicas: Map<ReplicaId, ReplicaRecord>
  /** By index; never changed once set. */
  readonly committed: Map<Index, Committed>
  /** For each term in which something was seen to be committed, ascending: the highest index. */
  readonly commits: { readonly term: Term; index: Index }[]
  /** Every vote that was ever durable: term, voter, candidate. */
  readonly votes: Map<Term, Map<ReplicaId, ReplicaId>>
  /** The digest of the state after each index. */
  readonly digests: Map<Index, { readonly entry: EntryMark; readonly digest: string }>
}

/** The memory that the invariants share. It believes what it is told; they look before it does. */
export class Ledger {
  readonly #groups = new Map<GroupId, GroupRecord>()

  group(id: GroupId): GroupRecord {
    let group = this.#groups.get(id)
    if (group === undefined) {
      group = {
        replicas: new Map(),
        committed: new Map(),
        commits: [],
        votes: new Map(),
        digests: new Map(),
      }
      this.#groups.set(id, group)
    }
    return group
  }

  /** Undefined before its first start. */
  replica(at: At): ReplicaRecord | undefined {
    return this.#groups.get(at.group)?.replicas.get(at.replica)
  }

  take(observation: Observation): void {
    if (!('at' in observation)) return
    const replica = this.replica(observation.at)
    if (observation.kind === 'started') this.#start(observation, replica)
    else if (replica !== undefined) this.#takeReplica(replica, observation as ReplicaObservation)
  }

  #start(
    observation: Extract<ReplicaObservation, { kind: 'started' }>,
    before: ReplicaRecord | undefined,
  ): void {
    const { at, incarnation, mayVote, positions, storeAhead, base, entries, configs, damaged } = observation
    const wiped = before !== undefined && before.incarnation !== incarnation && !mayVote
    const { term, vote, commit } = positions
    this.group(at.group).replicas.set(at.replica, {
      node: at.node,
      incarnation,
      state: 'running',
      mayVote,
      leaderIn: null,
      positions,
      log: new LogShadow(base, entries),
      // What was read back from the disk was durable, also where its sync was never acknowledged.
      durable: new LogShadow(base, entries),
      lost: wiped ? (before.lost ?? before.durable) : null,
      hardState: { term, vote, commit },
      storeDurable: storeAhead ?? positions.applied,
      durableLastMax: Math.max(damaged ? 0 : (before?.durableLastMax ?? 0), base.index + entries.length),
      configs,
    })
    this.#vote(at, { term, vote, commit })
  }

  #takeReplica(replica: ReplicaRecord, observation: ReplicaObservation): void {
    switch (observation.kind) {
      case 'admitted':
        replica.mayVote = true
        return
      case 'stopped':
      case 'destroyed':
        replica.state = observation.kind
        replica.leaderIn = null
        return
      case 'appended':
        replica.log.write(observation.entries)
        replica.configs = replaceConfigs(replica.configs, observation.entries[0]?.index, observation.configs)
        return
      case 'installed':
        replica.log.reset(observation.base, observation.keep)
        replica.configs = [
          { index: observation.base.index, config: observation.config },
          ...replica.configs.filter(({ index }) => observation.keep && index > observation.base.index),
        ]
        return
      case 'purged':
        replica.log.purge(observation.index)
        replica.durable.purge(observation.index)
        return
      case 'positions':
        this.#commit(observation.at, replica, observation.positions)
        replica.positions = observation.positions
        return
      case 'leader':
        replica.leaderIn = observation.term
        return
      case 'follower':
        replica.leaderIn = null
        return
      case 'durable':
        this.#durable(observation, replica)
        return
      case 'storeDurable':
        replica.storeDurable = Math.max(replica.storeDurable, observation.applied)
        return
      case 'applied':
        this.#applied(observation)
        return
      default:
    }
  }

  #durable(observation: Extract<ReplicaObservation, { kind: 'durable' }>, replica: ReplicaRecord): void {
    const { hardState, entries, reset, at } = observation
    if (reset !== null) replica.durable.reset(reset.base, reset.keep)
    replica.durable.write(entries)
    replica.durableLastMax = Math.max(replica.durableLastMax, replica.durable.last)
    if (hardState === null) return
    replica.hardState = hardState
    this.#vote(at, hardState)
  }

  #vote(at: At, { term, vote }: HardState): void {
    if (vote === 0) return
    const { votes } = this.group(at.group)
    const ofTerm = votes.get(term)
    if (ofTerm === undefined) votes.set(term, new Map([[at.replica, vote]]))
    else ofTerm.set(at.replica, vote)
  }

  #commit(at: At, replica: ReplicaRecord, { commit, term }: Positions): void {
    const { committed, commits } = this.group(at.group)
    for (let index = replica.positions.commit + 1; index <= commit; index++) {
      const entry = replica.log.at(index)
      if (entry === undefined || committed.has(index)) continue
      committed.set(index, { entry, term })
      const latest = commits.at(-1)
      if (latest !== undefined && latest.term >= term) latest.index = Math.max(latest.index, index)
      else commits.push({ term, index })
    }
  }

  #applied({ at, entry, digest }: Extract<ReplicaObservation, { kind: 'applied' }>): void {
    const { digests } = this.group(at.group)
    if (!digests.has(entry.index)) digests.set(entry.index, { entry, digest })
  }
}

function replaceConfigs(
  configs: readonly ConfigAt[],
  from: Index | undefined,
  added: readonly ConfigAt[],
): readonly ConfigAt[] {
  if (from === undefined || (added.length === 0 && configs.at(-1)!.index < from)) return configs
  return [...configs.filter(({ index }) => index < from), ...added]
}

export const configInForce = (replica: ReplicaRecord): ConfigAt => replica.configs.at(-1)!

/** Whether those for whom `agrees` holds are a majority of every half of the configuration. */
export function isQuorum(config: GroupConfig, agrees: (replica: ReplicaId) => boolean): boolean {
  const majority = (half: readonly ReplicaId[]): boolean =>
    half.length === 0 || half.filter(agrees).length > half.length / 2
  return config.voters.length > 0 && majority(config.voters) && majority(config.outgoing)
}

export const isVoter = ({ voters, outgoing }: GroupConfig, replica: ReplicaId): boolean =>
  voters.includes(replica) || outgoing.includes(replica)
