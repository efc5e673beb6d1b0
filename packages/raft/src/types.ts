import type {
  Entry,
  GroupConfig,
  GroupId,
  HardState,
  Index,
  LogBase,
  Millis,
  Replica,
  ReplicaId,
  Term,
} from '@kvorum/model'

/**
 * The public nouns of the consensus core: what goes in (RaftEvent), what comes out (Ready), and what travels
 * between replicas (Message).
 *
 *     RaftEvent --> step(raft, event) changes the owner's record --> takeReady(raft) --> Ready
 *
 * Nothing here knows a clock, a disk or a socket. `now` is the owner's monotonic clock in milliseconds.
 */

export type Role = 'follower' | 'preCandidate' | 'candidate' | 'leader'

/** Between replicas of one group. `term` is the sender's term (of a pre-vote: the term it would campaign in). */
export type Message = {
  readonly from: ReplicaId
  readonly to: ReplicaId
  readonly term: Term
} & MessageBody

export type MessageBody =
  | { readonly kind: 'preVote'; readonly lastIndex: Index; readonly lastTerm: Term }
  | { readonly kind: 'preVoteReply'; readonly granted: boolean }
  /** `transfer`: the old leader asked for this campaign, so leader stickiness does not apply (thesis 4.2.3). */
  | { readonly kind: 'vote'; readonly lastIndex: Index; readonly lastTerm: Term; readonly transfer: boolean }
  | { readonly kind: 'voteReply'; readonly granted: boolean }
  | {
      readonly kind: 'append'
      readonly prevIndex: Index
      readonly prevTerm: Term
      readonly entries: readonly Entry[]
      readonly commit: Index
    }
  | AppendReply
  /** `commit` is never beyond what the receiver is known to hold. `round` numbers the leader's ReadIndex rounds. */
  | { readonly kind: 'heartbeat'; readonly commit: Index; readonly round: number }
  | { readonly kind: 'heartbeatReply'; readonly round: number; readonly needSnapshot: boolean }
  /** Offers the snapshot; its bytes travel outside of raft. */
  | {
      readonly kind: 'snapshot'
      readonly index: Index
      readonly snapshotTerm: Term
      readonly config: GroupConfig
    }
  /** A follower asks for a read index on behalf of its clients. `context` is unique for (sender, sender's life). */
  | { readonly kind: 'readIndex'; readonly context: number }
  /** `index` null: not confirmed, ask again. */
  | { readonly kind: 'readIndexReply'; readonly context: number; readonly index: Index | null }
  | { readonly kind: 'timeoutNow' }

export type AppendReply = {
  readonly kind: 'appendReply'
  /** What this answers: the `prevIndex` of the append (of a snapshot: its index). Tells stale answers apart. */
  readonly prevIndex: Index
} & (
  | { readonly rejected: false; readonly match: Index }
  /** Nothing above `hintIndex` can match, and the entry there has `hintTerm` (fast back-off, thesis 3.5 and etcd). */
  | {
      readonly rejected: true
      readonly hintIndex: Index
      readonly hintTerm: Term
      readonly needSnapshot: boolean
    }
)

export type MessageKind = MessageBody['kind']

/** Why a proposal, a read or a transfer was not taken. None of these ever takes effect later. */
export type Refusal =
  'notLeader' | 'noLeader' | 'transferring' | 'busy' | 'pendingChange' | 'notReady' | 'badTarget'

/**
 * Everything the owner can tell a replica.
 *
 * persisted    the write of the last taken `Ready.persist` is durable (one is out at a time)
 * applied      the state machine has applied up to and including `index`
 * fetched      entries that `Ready.fetch` asked for (read from disk); may be fewer than asked, from the start
 * installed    a snapshot replaced the state machine, durably (`base` may lie beyond what was offered); the log
 *              must follow it. `config` is the one in force at `base`
 * snapshotSent the stream to a follower ended; a failed one is tried again later
 * unreachable  the transport lost messages to that replica
 * stateLost    the state machine has no state and needs a snapshot (half-installed or quarantined); `applied` falls
 *              back to the log's base, and nothing is handed out for applying until `installed`
 */
export type RaftEvent =
  | { readonly kind: 'tick'; readonly now: Millis }
  | { readonly kind: 'receive'; readonly now: Millis; readonly message: Message }
  | { readonly kind: 'persisted' }
  | { readonly kind: 'applied'; readonly index: Index }
  | { readonly kind: 'fetched'; readonly entries: readonly Entry[] }
  | { readonly kind: 'installed'; readonly base: LogBase; readonly config: GroupConfig }
  | { readonly kind: 'snapshotSent'; readonly to: ReplicaId; readonly ok: boolean }
  | { readonly kind: 'unreachable'; readonly to: ReplicaId }
  | { readonly kind: 'stateLost' }
  /** The other members know this data directory now: it may vote and acknowledge (see RaftInitial.mayVote). */
  | { readonly kind: 'admitted' }
  | { readonly kind: 'campaign'; readonly now: Millis }

/** One durable write of one group. Written in this order: reset, truncate, entries, hard state. */
export interface Persist {
  readonly hardState: HardState | null
  /** Replace everything from the first entry's index on; contiguous; empty when only the hard state changed. */
  readonly entries: readonly Entry[]
  /** Present after an installed snapshot: the log's new base (everything up to it is gone). `keep` false: everything after it, too. */
  readonly reset: { readonly base: LogBase; readonly keep: boolean } | null
}

export interface ReadState {
  /** What the owner gave to `readIndex`. */
  readonly context: number
  /** The state machine must have applied this index before the read. Null: the leader changed; ask again. */
  readonly index: Index | null
}

/** All output of some steps. Fields name what must be durable before what. */
export interface Ready {
  /** May leave at once, before and while `persist` is written (thesis 10.2.1: the leader's disk and the followers' work in parallel). */
  readonly sendNow: readonly Message[]
  /** Write this, sync it, then step `persisted`. Null: nothing to write (or `takeReady` was told that the disk is busy). */
  readonly persist: Persist | null
  /** Claims that stand on `persist`: they may leave only when it is durable. Empty when `persist` is null. */
  readonly sendAfterPersist: readonly Message[]
  /** Reads that may go on once the state machine has applied their index. */
  readonly reads: readonly ReadState[]
  /** Log entries wanted from the disk, both ends included; answer with `fetched`. At most one is out at a time. */
  readonly fetch: { readonly from: Index; readonly to: Index; readonly bytesMax: number } | null
  /** Followers to stream a snapshot to; answer with `snapshotSent`. Not named again before that. */
  readonly snapshots: readonly ReplicaId[]
  /**
   * A leader offered this snapshot and it is wanted: pull it from `from`, install it, then step `installed`. Offers
   * are repeated until then: one that comes while the owner is pulling already is to be ignored.
   */
  readonly install: {
    readonly from: ReplicaId
    readonly base: LogBase
    readonly config: GroupConfig
  } | null
  /** Role, term or leader changed since the last Ready. */
  readonly changed: boolean
}

export interface RaftOptions {
  readonly group: GroupId
  readonly id: ReplicaId
  /** Seed of this replica's own random stream (election timeouts). */
  readonly seed: number
  readonly electionTimeoutMs: Millis
  readonly heartbeatMs: Millis
  /** Largest append message, in entry bytes; one entry always fits. */
  readonly appendBytesMax: number
  /** Appended but unacknowledged bytes per follower, and appends in flight. */
  readonly inflightBytesMax: number
  readonly inflightAppendsMax: number
  /** Entries kept in memory for sending once they are applied, and twice as much before; older ones are fetched. */
  readonly cacheBytesMax: number
  /** Uncommitted bytes at the leader beyond which proposals are refused as busy. */
  readonly uncommittedBytesMax: number
}

/** What a replica knows when it starts: a fresh group, or what the log and the state machine remembered. */
export interface RaftInitial {
  readonly now: Millis
  readonly hardState: HardState
  /** Where the log begins; everything up to it has been applied into snapshots and purged. */
  readonly base: LogBase
  /** The configuration in force at `configIndex` <= applied (or at the base, if later). */
  readonly config: GroupConfig
  readonly configIndex: Index
  /** Between base.index and lastIndex. A state machine ahead of the log means that the log begins there. */
  readonly applied: Index
  /** Terms of all entries after the base as runs: (first index, term), ascending; and the last index. */
  readonly termRuns: readonly { readonly first: Index; readonly term: Term }[]
  readonly lastIndex: Index
  /** Config entries of the log after `configIndex`, ascending. */
  readonly configs: readonly { readonly index: Index; readonly config: GroupConfig }[]
  /** The newest entries, contiguous up to lastIndex; may be empty (they are fetched when needed). */
  readonly entries: readonly Entry[]
  /** The wall clock of the last entry, so that time does not fall. */
  readonly lastTime: Millis
  /** False while the data directory may not take part: the replica listens, never votes, never campaigns, never acknowledges. */
  readonly mayVote: boolean
  /** The state machine has no usable state (see stateLost). */
  readonly stateLost: boolean
}

/** What the owner may ask of a group's configuration. Each becomes one joint change (thesis 4.3). */
export interface ConfigChange {
  readonly addVoters: readonly Replica[]
  readonly addLearners: readonly Replica[]
  /** Learners that become voters. */
  readonly promote: readonly ReplicaId[]
  /** Voters that become learners. */
  readonly demote: readonly ReplicaId[]
  readonly remove: readonly ReplicaId[]
}

export type Proposed =
  | { readonly ok: true; readonly index: Index; readonly term: Term }
  | { readonly ok: false; readonly refusal: Refusal }
