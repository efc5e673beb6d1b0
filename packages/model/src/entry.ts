import type { GroupId, Index, Millis, ReplicaId, NodeId, Term } from './ids.js'
import type { KeyRange } from './range.js'

/** One replica of a group as its configuration names it. */
export interface Replica {
  readonly id: ReplicaId
  readonly node: NodeId
}

/**
 * Who takes part in a group (thesis 4.3, joint consensus). While `outgoing` is not empty a decision needs a
 * majority of `voters` and one of `outgoing`. Learners receive the log and are never counted. `replicas` says
 * on which node every id in the other lists lives. Lists are sorted by id.
 */
export interface GroupConfig {
  readonly voters: readonly ReplicaId[]
  readonly outgoing: readonly ReplicaId[]
  readonly learners: readonly ReplicaId[]
  /** Voters of the outgoing half that become learners when the joint phase ends. */
  readonly learnersNext: readonly ReplicaId[]
  readonly replicas: readonly Replica[]
}

/**
 * normal: an encoded command. noop: what a new leader appends first (thesis 3.6.2, 6.4). config: an encoded
 * GroupConfig, in force from the moment it is in the log (thesis 4.1).
 */
export type EntryKind = 'normal' | 'noop' | 'config'

export interface Entry {
  readonly index: Index
  readonly term: Term
  readonly kind: EntryKind
  /** Wall clock of the proposer, forced not to fall along the log. Used in no decision. */
  readonly time: Millis
  readonly data: Uint8Array
}

/** What a replica must remember before it speaks (paper figure 2), and how far it knew the log committed. */
export interface HardState {
  readonly term: Term
  /** 0 is nobody. */
  readonly vote: ReplicaId
  readonly commit: Index
}

/** Bytes an entry is charged with wherever entries are limited by size: its data and a fixed overhead. */
export const ENTRY_OVERHEAD_BYTES = 48
export const entryBytes = (entry: Entry): number => entry.data.length + ENTRY_OVERHEAD_BYTES

/** Where a group's log begins after its start was thrown away: the last position that is gone. */
export interface LogBase {
  readonly index: Index
  readonly term: Term
}

/** What a snapshot is a snapshot of. `config` is the one in force at `index`. */
export interface SnapshotMeta {
  readonly group: GroupId
  readonly index: Index
  readonly term: Term
  readonly config: GroupConfig
  /** Of a shard that has not all keys: which it has. */
  readonly range?: KeyRange
}
