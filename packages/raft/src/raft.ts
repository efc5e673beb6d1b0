import type {
  Entry,
  GroupConfig,
  GroupId,
  HardState,
  Index,
  LogBase,
  Millis,
  ReplicaId,
  Term,
} from '@kvorum/model'
import type { EntryCache } from './cache.js'
import type { Progress } from './progress.js'
import type { RandomState } from './random.js'
import type { Reads } from './reads.js'
import type { TermRun } from './termRuns.js'
import type { Message, Persist, RaftOptions, Ready, ReadState, Role } from './types.js'

/**
 * One replica of one group: a plain record, changed in place by the functions of this package and read by
 * everybody else. Its positions obey, at the end of every step:
 *
 *     base.index <= applied <= handed <= min(commit, stable)
 *     commit <= lastIndex,   stable <= submitted <= lastIndex
 *
 * All but these only grow: lastIndex, submitted and stable fall when a follower's log conflicts with its
 * leader's (never to below commit); applied and handed fall to base.index when the state machine is lost, and
 * to an installed snapshot.
 */
export interface Raft {
  readonly options: RaftOptions
  readonly group: GroupId
  readonly id: ReplicaId

  role: Role
  /** Paper figure 2, currentTerm and votedFor. They may not be durable yet: see `durable`. */
  term: Term
  /** 0 is nobody. */
  vote: ReplicaId
  /** 0 is unknown. */
  leader: ReplicaId

  /** Known to be committed; at most lastIndex. */
  commit: Index
  /** The state machine says that it has applied this. */
  applied: Index
  /** The last entry that committedEntries handed out. */
  handed: Index
  base: LogBase
  lastIndex: Index
  /** The last index handed out to be written. */
  submitted: Index
  /** The last durable index. */
  stable: Index
  /** Wall clock of the last entry. */
  lastTime: Millis
  readonly runs: TermRun[]
  readonly cache: EntryCache

  /** In force: the newest one in the log, committed or not (thesis 4.1). */
  config: GroupConfig
  /** Where each came from, ascending; the first is in force at the base, the last is `config`. */
  readonly configs: ConfigAt[]

  /** See RaftInitial.mayVote. */
  mayVote: boolean
  /** The state machine has no state: it applies nothing and asks its leader for a snapshot. */
  lost: boolean

  /** The newest time that the owner told. */
  now: Millis
  readonly random: RandomState
  /** Drawn from [T, 2T) whenever a role begins. */
  electionTimeout: Millis
  /** Not a leader: when the next campaign starts, unless a leader is heard. */
  electionDue: Millis
  /** When the current leader was heard last. */
  contactAt: Millis
  /** Candidates: the answers so far. */
  readonly votes: Map<ReplicaId, boolean>

  /** Leader: everybody in the configuration but itself, ascending by id. */
  progress: Map<ReplicaId, Progress>
  /** Leader: index of the no-op that opened its term. Until it is committed nothing is known to be current. */
  termStart: Index
  /** Leader: bytes of the entries from max(commit, termStart - 1) + 1 on. */
  uncommittedBytes: number
  heartbeatDue: Millis
  transfer: Transfer | null
  readonly reads: Reads

  /** What the last finished write made durable. */
  readonly durable: { term: Term; vote: ReplicaId }
  /** The hard state that was handed out last. */
  submittedHard: HardState
  writing: Writing | null
  /** A new base to be written. */
  reset: Persist['reset']

  /** May leave at once. */
  sendNow: Message[]
  /** Waits for what is not durable yet. */
  sendLater: Message[]
  readStates: ReadState[]
  snapshots: ReplicaId[]
  install: Ready['install']
  /** The leader has something to look for: appends, commit indexes, read rounds, offers. */
  dirty: boolean
  /** What the last Ready told about role, term and leader. */
  readonly told: { role: Role; term: Term; leader: ReplicaId }

  /** Entries read from disk for a follower or for applying, contiguous; a second small cache. */
  side: readonly Entry[]
  readonly fetch: Fetch
}

export interface ConfigAt {
  readonly index: Index
  readonly config: GroupConfig
}

export interface Transfer {
  readonly to: ReplicaId
  /** Given up at this time. */
  readonly due: Millis
}

/** The one write that is under way, and what its completion may claim. */
export interface Writing {
  readonly term: Term
  readonly vote: ReplicaId
  /** Lowered when the log is truncated meanwhile: what is being written there is no longer our log. */
  last: Index
  readonly reset: boolean
}

export interface Fetch {
  /** Asked for and not answered. */
  out: boolean
  /** committedEntries came up empty because its entries are only on disk. */
  applyWants: boolean
  /** peekCommitted came up empty because its entries, from here on, are only on disk; 0: it did not. */
  peekFrom: Index
  /** Whom the last fetch served (0: applying), so that all get their turn. */
  turn: number
  /** The disk had nothing: do not ask again before this time. */
  heldUntil: Millis
}
