import type {
  BootIdentity,
  GroupConfig,
  GroupId,
  GroupMessage,
  Index,
  KeyRange,
  Millis,
  NodeId,
  ReplicaId,
  Roster,
  Term,
} from '@kvorum/model'
import type { OperationCounts, Overlay } from '@kvorum/machine'
import type { Message, Raft } from '@kvorum/raft'
import type { LeaderRevisions, ShardMap, SplitOperation } from '@kvorum/placement'
import type { AlarmDuty } from './alarms.js'
import type { Admission, Peer } from './identity.js'
import type { Applying } from './applying.js'
import type { Beats } from './beats.js'
import type { HeldAnswer } from './authChanges.js'
import type { AuthFences } from './authFences.js'
import type { CompactionDuty } from './autoCompaction.js'
import type { Balancing } from './balanceView.js'
import type { Call, Calls } from './calls.js'
import type { Checking } from './checking.js'
import type { Compacting } from './compaction.js'
import type { Demand } from './demand.js'
import type { EarlyMessage } from './earlyMessages.js'
import type { Flushing } from './flush.js'
import type { GroupMachine } from './groupMachine.js'
import type { Hold } from './holds.js'
import type { LeaseClock } from './leases.js'
import type { Stamping } from './leaderRevisions.js'
import type { MovingLeader } from './moveLeader.js'
import type { NodeOracle } from './oracle.js'
import type { LogBytes } from './logBytes.js'
import type { Persisting } from './persisting.js'
import type { Reads } from './reads.js'
import type { Remotes } from './remotes.js'
import type { Replicas } from './replicaRecords.js'
import type { Installing } from './snapshotInstall.js'
import type { UnderWay } from './shardOperations.js'
import type { ShardLoads } from './shardLoads.js'
import type { SnapshotStream } from './snapshotSend.js'
import type { Standing } from './standing.js'
import type { ProgressMarks } from './stages.js'
import type { Task } from './tasks.js'
import type { GroupTimers } from './timers.js'
import type { Fencing } from './transactions/fencing.js'
import type { LockWait } from './transactions/lockOrder.js'
import type { Orphans } from './transactions/orphanState.js'
import type { TransactionDuty } from './transactions/state.js'
import type { Hub } from './watch/hub.js'
import type { NodeOptions, Note, Orders, Parcel, PeerRecord, RecoveredGroup } from './types.js'

/** Everything one node knows, in plain records. Only `turn` and what it calls change it. */
export interface NodeState {
  readonly options: NodeOptions
  readonly identity: BootIdentity
  readonly admission: Admission
  readonly peers: Map<NodeId, Peer>
  /** What is durable here of everybody who ever said hello. */
  readonly peerRecords: Map<NodeId, PeerRecord>
  /** Who is a member, as far as this node knows. */
  roster: Roster
  /** Former members whom no group here counts: the transport tells them that they were removed. */
  turnedAway: readonly NodeId[]
  /** When those who do not speak were told of it last. */
  rosterToldAt: Millis
  readonly groups: Map<GroupId, Group>
  readonly replicas: Replicas
  /** Shards that are placed elsewhere, as far as somebody asked for them. */
  readonly remotes: Remotes
  /** What the log remembers of groups that are not here yet; see missingReplicas.ts. */
  readonly dormant: Map<GroupId, RecoveredGroup>
  /** What the log knows nothing of may have been lost with its damage. */
  readonly groupsInDoubt: boolean
  /** For groups that the store has rows of, and that were not known at the start. */
  search: 'none' | 'running' | 'done'
  /** How requests are routed; see routing.ts. */
  shards: ShardMap
  /** Splits that this node knows of, and the meta group's map does not. */
  splits: readonly SplitOperation[]
  /** Votes that were asked for groups which are not here, oldest group first. */
  readonly early: Map<GroupId, readonly EarlyMessage[]>
  /** At the meta group's leader: operations on shards, by the group they make. */
  readonly operating: Map<GroupId, UnderWay>
  /** Wait for a replica of their shard. */
  unplaced: Call[]
  readonly overlay: Overlay
  readonly flushing: Flushing
  readonly persisting: Persisting
  readonly timers: GroupTimers
  /** Configurations that groups began with here, by their bytes. */
  readonly configs: Map<string, GroupConfig>
  readonly beats: Beats
  readonly calls: Calls
  readonly tasks: Map<number, Task>
  readonly alarms: AlarmDuty
  readonly compactions: CompactionDuty
  readonly balancing: Balancing
  readonly loads: ShardLoads
  /** Hashes of the store being computed. */
  hashes: number
  readonly hub: Hub
  readonly authFences: AuthFences
  readonly transactions: TransactionDuty
  /** Oldest first. */
  heldAnswers: HeldAnswer[]
  /** Snapshots being sent, by stream number. */
  readonly streams: Map<number, SnapshotStream>
  /** Who waits until all shards stand at one revision here; see standing.ts. */
  standings: Standing[]
  /** Views of the whole state that were asked for and wait until the store holds one. */
  holds: readonly Hold[]
  /** Fetches, views, read rounds and the like, each unique in this node's life. */
  nextId: number
  /** The highest term seen or sent in a header; see calls.ts. */
  highestTerm: Term
  /** The meta group's, as the oracle's answers carried it; 0: none has. */
  oracleTerm: Term
  lastTurnAt: Millis
  /** After a stall: no timer fires before this, so that what waits in the sockets is read first. */
  graceUntil: Millis
  /** Housekeeping (announcements, leadership placement) is due at this time. */
  dutiesAt: Millis
  /** Which group comes next for the duties that are for a share of them at a time. */
  dutyShare: number
  draining: boolean
  /** Leaderships under way to a member of somebody's choice. */
  moving: readonly MovingLeader[]
  /** No further command of its own is proposed to the meta group before this time. */
  metaCommandUntil: Millis
  /** Groups that have more to do in the next turn. */
  readonly unsettled: Set<Group>
  readonly counters: Counters
  /** Of all shards of this node, over all their lives in it. */
  readonly operations: OperationCounts
  slowApplyNotedAt: Millis
}

/** Monotonic counts for metrics; names become `kvorum_<name>_total`. */
export interface Counters {
  turns: number
  /** Groups gone through in turns, each time counted. */
  groupsSettled: number
  entriesApplied: number
  proposals: number
  reads: number
  readRounds: number
  forwarded: number
  persists: number
  flushes: number
  leaderChanges: number
  snapshotsSent: number
  snapshotsInstalled: number
  leasesExpired: number
  watchEvents: number
  stalls: number
  slowApplies: number
}

/** One Raft group on this node. */
export interface Group {
  readonly id: GroupId
  /** This node's replica. */
  readonly replica: ReplicaId
  /** Null for the meta group, which has no keys. */
  range: KeyRange | null
  /** What the log remembered; raft is made of it once the state machine has been loaded. */
  recovered: RecoveredGroup | null
  raft: Raft | null
  machine: GroupMachine
  readonly applying: Applying
  readonly reads: Reads
  readonly compacting: Compacting
  readonly marks: ProgressMarks
  /** Proposed at this node and not applied yet. */
  readonly proposals: Map<Index, { readonly term: Term; readonly call: Call }>
  /** To be proposed at the end of this turn. */
  proposing: Call[]
  /** Prepares that wait for locks, or for this leader to be ready. */
  lockWaits: LockWait[]
  orphans: Orphans
  /** Of a shard, while this node leads it. */
  demand: Demand
  readonly fencing: Fencing
  /** Wait for a leader they can go to. */
  waiting: Call[]
  /** Of other nodes that follow this shard; see follows.ts. */
  follows: Call[]
  readonly leases: LeaseClock | null
  /** Of a shard in oracle mode, while this node leads it. */
  revisions: LeaderRevisions | null
  readonly stamping: Stamping
  /** Of the meta group, while this node leads it. */
  oracle: NodeOracle | null
  /** Commands of the node's own that are under way, one of each kind. */
  readonly own: {
    guard: Call | null
    reclaim: Call | null
    compact: Call | null
    endDense: Call | null
    ceiling: Call | null
  }
  readonly checking: Checking
  installing: Installing | null
  /** Why this replica neither reads nor applies: its data cannot be trusted. */
  quarantined: string | null
  /** Applied index covered by a store write that is on disk; the log may be purged up to it. */
  durableApplied: Index
  readonly logBytes: LogBytes
  /** The last role change that was acted upon. */
  ledTerm: Term
  knownLeader: ReplicaId
  /** Which node spoke for a replica that the configuration in force here does not name. */
  readonly heard: Map<ReplicaId, NodeId>
  /** The term of the leadership for which the members are known to be new enough; see membershipDuty.ts. */
  membersTerm: Term
  membersAskedUntil: Millis
  /** The first election of this start was asked for without waiting. */
  electionOpened: boolean
}

/** One turn in progress. */
export interface Turn {
  readonly state: NodeState
  readonly now: Millis
  readonly wall: Millis
  readonly out: Orders
  /** Groups that were stepped and may have something to say. */
  readonly touched: Set<Group>
  /** Calls of the node's own, to be routed at the end of what is being done; those with a group go to that one. */
  readonly routing: Call[]
  readonly outbox: Map<NodeId, Parcel[]>
  /** Heartbeats and answers to them, where there are many groups. */
  readonly beats: Map<NodeId, GroupMessage<Message>[]>
  /** How much more this turn may apply, over all groups; see apply.ts. */
  applyBytesLeft: number
}

export function note(turn: Turn, level: Note['level'], text: string, facts: Note['facts'] = {}): void {
  turn.out.notes.push({ level, text, facts })
}

/** Queues a message; all messages to one node leave together at the end of the turn. */
export function sendTo(turn: Turn, node: NodeId, parcel: Parcel): void {
  const parcels = turn.outbox.get(node)
  if (parcels === undefined) turn.outbox.set(node, [parcel])
  else parcels.push(parcel)
}

/** The first fatal reason wins; nothing after it matters. */
export function fatal(turn: Turn, reason: string): void {
  turn.out.fatal ??= reason
}

export const takeId = (state: NodeState): number => state.nextId++
