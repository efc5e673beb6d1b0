import type {
  GroupConfig,
  GroupId,
  HardState,
  Incarnation,
  Index,
  LogBase,
  ReplicaId,
  Revision,
  RevisionEvents,
  Term,
} from '@kvorum/model'
import type { Message } from '@kvorum/raft'
import type { Station } from '../network/partition.js'

/**
 * What the simulator sees of a cluster, at the moment it happens, as small facts. They come from outside the
 * code under test wherever they can: what is durable is read from the simulated disk, what is sent from the
 * network.
 *
 * After each step of one replica the order is: follower; appended, installed or purged; leader; positions; sent;
 * applied. (A leader that steps down may truncate its log in the same step, so that comes first.)
 * `durable` and `storeDurable` come when the simulated disk completes, before the replica is told.
 */
export type Observation = ReplicaObservation | StorageObservation | RevisionObservation | ClientObservation

export type ObservationKind = Observation['kind']

/** One replica; `node` is the station of its process. */
export interface At {
  readonly node: Station
  readonly group: GroupId
  readonly replica: ReplicaId
}

/** What tells an entry from every other one: its position and a hash over its kind and data. */
export interface EntryMark {
  readonly index: Index
  readonly term: Term
  readonly hash: number
}

/** The configuration that an entry of the log (or its base) puts in force. */
export interface ConfigAt {
  readonly index: Index
  readonly config: GroupConfig
}

/** purged <= snapshot <= applied <= commit <= last. `snapshot` is what a synced state store covers. */
export interface Positions {
  readonly term: Term
  readonly vote: ReplicaId
  readonly purged: Index
  readonly snapshot: Index
  readonly applied: Index
  readonly commit: Index
  readonly last: Index
  /** Where the configuration in force comes from. */
  readonly configIndex: Index
}

export type ReplicaObservation = { readonly at: At } & (
  | {
      readonly kind: 'started'
      readonly incarnation: Incarnation
      /** False: it may listen, but neither vote nor acknowledge (not admitted, or quarantined). */
      readonly mayVote: boolean
      /** The simulator damaged durable data of this replica while it was down. */
      readonly damaged: boolean
      readonly positions: Positions
      /** What the store has applied, when it holds an installed snapshot that the log has not heard of. */
      readonly storeAhead: Index | null
      readonly base: LogBase
      /** The whole log after the base. */
      readonly entries: readonly EntryMark[]
      /** The configuration at the base and those of the log, ascending. */
      readonly configs: readonly ConfigAt[]
    }
  | { readonly kind: 'admitted' }
  | { readonly kind: 'stopped' }
  /** The replica is removed from its node for ever. */
  | { readonly kind: 'destroyed' }
  /** In memory: replaces the log from the first entry's index on. */
  | {
      readonly kind: 'appended'
      readonly entries: readonly EntryMark[]
      readonly configs: readonly ConfigAt[]
      /** Proposed by this replica as leader; else received. */
      readonly proposed: boolean
      /** The commit index when it was appended. */
      readonly commit: Index
    }
  | {
      readonly kind: 'installed'
      readonly base: LogBase
      readonly keep: boolean
      readonly config: GroupConfig
    }
  /** The log lost its beginning, up to and including `index`. */
  | { readonly kind: 'purged'; readonly index: Index }
  | { readonly kind: 'positions'; readonly positions: Positions }
  | { readonly kind: 'leader'; readonly term: Term }
  | { readonly kind: 'follower'; readonly term: Term }
  /** A write of the log is on the disk and survives a crash from now on. */
  | {
      readonly kind: 'durable'
      readonly hardState: HardState | null
      readonly entries: readonly EntryMark[]
      readonly reset: { readonly base: LogBase; readonly keep: boolean } | null
    }
  /** The state store's contents up to this index survive a crash from now on. */
  | { readonly kind: 'storeDurable'; readonly applied: Index }
  /** The message leaves the node. */
  | { readonly kind: 'sent'; readonly message: Message }
  | { readonly kind: 'applied'; readonly entry: EntryMark; readonly digest: string }
  /** A leader's view of one follower. */
  | {
      readonly kind: 'progress'
      readonly follower: ReplicaId
      readonly match: Index
      readonly next: Index
      readonly inflightBytes: number
    }
)

export type StorageObservation =
  /** The state store was opened: the applied index it holds and the digest of the data beside it. */
  | { readonly kind: 'storeOpened'; readonly at: At; readonly applied: Index; readonly digest: string }
  /**
   * A node's recovery came to an end or was cut off by a crash. `fingerprint` covers all that it recovered;
   * `pristine`: nothing but recovery itself wrote to the disk since the last recovery of this node.
   */
  | {
      readonly kind: 'recovered'
      readonly node: Station
      readonly fingerprint: string
      readonly pristine: boolean
    }
  /** A snapshot at some index with the log replayed on it up to `index`. */
  | { readonly kind: 'replayed'; readonly group: GroupId; readonly index: Index; readonly digest: string }
  /** The log's files were cut: nothing up to `index` of this replica is left. */
  | { readonly kind: 'logDeleted'; readonly at: At; readonly index: Index }
  /** A record was read. `damaged`: its bytes on the simulated disk are not what was written. */
  | {
      readonly kind: 'recordRead'
      readonly node: Station
      readonly file: string
      readonly damaged: boolean
      readonly yielded: boolean
    }

export type RevisionObservation =
  /** The first application of an effective write, in the order of the group's log. */
  | {
      readonly kind: 'revision'
      readonly group: GroupId
      readonly change: RevisionEvents
      /** It is a group's part of a transaction over several. */
      readonly shared?: boolean
      /** The oracle gave the revision; else it is the group's next one. */
      readonly stamped?: boolean
    }
  /** A node's compacted revision as it stands. Never observed across a restart that lost unsynced state. */
  | { readonly kind: 'compacted'; readonly node: Station; readonly revision: Revision }
  /** The answer to a read at a revision, as text; null: refused as compacted. `compacted` is the node's at that moment. */
  | {
      readonly kind: 'pastRead'
      readonly revision: Revision
      readonly compacted: Revision
      readonly range: string
      readonly rows: string | null
    }
  /** A hash of the store at a revision. Null: the node gave none. */
  | {
      readonly kind: 'storeHash'
      readonly node: Station
      readonly revision: Revision
      readonly compacted: Revision
      readonly hash: number | null
    }

/** Writes are named by the unique value they put. */
export type ClientObservation =
  | { readonly kind: 'writeSent'; readonly value: string; readonly session: boolean }
  /** The server said that it definitely was not and never will be applied. */
  | { readonly kind: 'writeRefused'; readonly value: string }
  | { readonly kind: 'writeAnswered'; readonly value: string; readonly revision: Revision }
  /** The value was put by an entry that was applied. */
  | { readonly kind: 'writeApplied'; readonly value: string; readonly revision: Revision }
  /** A serializable read on one connection. */
  | {
      readonly kind: 'localRead'
      readonly client: number
      readonly connection: number
      readonly revision: Revision
    }

/** One property, or a few that share their evidence. Called before the ledger takes the observation in. */
export interface Invariant {
  readonly kinds: readonly ObservationKind[]
  observe(observation: Observation): void
  /** After the run has healed and settled. */
  finish?(): void
}
