import type {
  BootIdentity,
  Checksum,
  ClientRequest,
  ClientResult,
  ClusterId,
  Entry,
  GroupConfig,
  GroupId,
  HardState,
  Incarnation,
  Index,
  KeyRange,
  LogBase,
  Millis,
  NodeId,
  PeerMessage,
  PeerRefusal,
  ReplicaId,
  RequestId,
  Revision,
  StageTimes,
  StoreAnswer,
  StoreNeed,
  StoreWrite,
  StreamId,
  Term,
  WatchRequest,
  WatchResponse,
} from '@kvorum/model'
import type { Message, Persist } from '@kvorum/raft'
import type { LongCommandBound } from '@kvorum/machine'
import type { NodeRecord, ShardDescriptor } from '@kvorum/placement'
import type { MaintenanceOptions } from './maintenance.js'

/**
 * The node's two doors: everything that happens to it is an Input, everything it wants done is an Order.
 *
 *     inputs --> turn(state, inputs) --> orders --> (driver) --> inputs of a later turn
 */
export type Parcel = PeerMessage<Message>

export type Input =
  | { readonly kind: 'parcels'; readonly from: NodeId; readonly parcels: readonly Parcel[] }
  | { readonly kind: 'peerUp'; readonly node: NodeId }
  | { readonly kind: 'peerDown'; readonly node: NodeId }
  /** The transport had no room or no connection for these. */
  | { readonly kind: 'dropped'; readonly node: NodeId; readonly parcels: readonly Parcel[] }
  | { readonly kind: 'peerRefused'; readonly node: NodeId; readonly reason: PeerRefusal }
  /** The last `persist` order is durable. */
  | { readonly kind: 'persisted' }
  /** The last `persist` order could not be written for want of space; nothing of it counts. */
  | { readonly kind: 'persistRefused' }
  | { readonly kind: 'stored'; readonly id: number }
  | { readonly kind: 'fetched'; readonly id: number; readonly answer: StoreAnswer }
  | { readonly kind: 'logRead'; readonly group: GroupId; readonly entries: readonly Entry[] }
  /** The log cannot give these entries: their bytes fail their checksum. */
  | { readonly kind: 'logDamaged'; readonly group: GroupId; readonly problem: string }
  | {
      readonly kind: 'request'
      readonly id: RequestId
      readonly request: ClientRequest
      readonly deadline: Millis
    }
  | { readonly kind: 'cancel'; readonly id: RequestId }
  | { readonly kind: 'watchOpen'; readonly stream: StreamId }
  | { readonly kind: 'watch'; readonly stream: StreamId; readonly request: WatchRequest }
  | { readonly kind: 'watchConsumed'; readonly stream: StreamId; readonly bytes: number }
  | { readonly kind: 'watchClose'; readonly stream: StreamId }
  /** A view of the whole state is wanted, not older than this; answered by an order of this id. */
  | { readonly kind: 'holdState'; readonly id: number }
  /** Hand over leaderships and take no new requests. */
  | { readonly kind: 'drain' }

/** The clocks are inputs as well: read once, before the turn. */
export interface TurnInput {
  /** Monotonic, for timeouts and leases. */
  readonly now: Millis
  /** Wall clock, stamped into entries and used for nothing else. */
  readonly wall: Millis
  readonly inputs: readonly Input[]
  /** Bytes of committed entries that the turn may apply: `turnApplyBytesMax` unless less is asked for. */
  readonly applyBytes?: number
}

/** One write and one sync for everything in it. */
export interface PersistOrder {
  readonly groups: readonly { readonly group: GroupId; readonly persist: Persist }[]
  readonly peers: readonly PeerRecord[]
  readonly admitted: boolean
}

export interface FetchOrder {
  readonly id: number
  readonly need: StoreNeed
  /** All fetches of one view see the store as it was when the view's first fetch was ordered; null: as it is at this order. */
  readonly view: number | null
}

export interface Orders {
  /** May leave at once: whatever they claim is durable already. */
  send: { to: NodeId; parcels: Parcel[] }[]
  persist: PersistOrder | null
  fetch: FetchOrder[]
  closeViews: number[]
  /** Views to be opened now, before the next store order, and handed to whoever asked; null: there is no state. */
  holds: {
    id: number
    view: number | null
    revision: Revision | null
    /** Absent: all shards are in the view. */
    shards: readonly PlacedPart[] | null
  }[]
  /** At most one is out; answered by `stored`. `sync`: and everything before it is on disk. */
  store: { id: number; writes: readonly StoreWrite[]; sync: boolean } | null
  readLog: { group: GroupId; from: Index; to: Index; bytesMax: number }[]
  /** The log may drop segments that no group needs any more. */
  purgeLog: boolean
  /** `arrived`: when the request came into a turn; `times`: where it was since then. */
  replies: { id: RequestId; result: ClientResult; arrived: Millis; times: StageTimes }[]
  watch: { stream: StreamId; response: WatchResponse }[]
  /** Turn again no later than this, even without input. */
  wakeAt: Millis
  /** Turn again at once, after the sockets were read: there is more to do. */
  again: boolean
  notes: Note[]
  /** From now on these are the peers; null: as before. Carried out after `send`. */
  peers: {
    readonly peers: readonly PeerPlace[]
    readonly removed: readonly NodeId[]
  } | null
  /** End the process: the reason, in one sentence for the operator. */
  fatal: string | null
}

/** Where a peer is reached: as the log says, and where else by its own word, if it is at none of those. */
export interface PeerPlace {
  readonly node: NodeId
  readonly urls: readonly string[]
  readonly alsoAt: readonly string[]
}

/** A shard of which all rows up to a held view's revision are in the view, or where `index` is applied. */
export interface PlacedPart {
  readonly group: GroupId
  readonly range: KeyRange
  readonly index: Index
  readonly here: boolean
}

/** Something an operator should know; the driver logs it. Never keys, values or secrets. */
export interface Note {
  readonly level: 'info' | 'warn' | 'error'
  readonly text: string
  readonly facts: Readonly<Record<string, string | number | boolean>>
}

/** What another member's directory looked like when it was last welcomed. */
export interface PeerRecord {
  readonly node: NodeId
  readonly incarnation: Incarnation
  readonly boot: number
  readonly nonce: bigint
}

/** Sizes and times of one node; the defaults are in model's LIMITS. The simulator draws tiny ones. */
export interface NodeLimits {
  readonly appendBytesMax: number
  readonly inflightBytesMax: number
  readonly inflightAppendsMax: number
  readonly raftCacheBytesMax: number
  readonly uncommittedBytesMax: number
  /** From so many groups on their heartbeats are taken at one time and travel together. */
  readonly sharedBeatGroupsMin: number
  readonly pendingRequestsMax: number
  /** Leases of a shard before its leader refuses more; grants under way are not counted. */
  readonly leasesMax: number
  readonly applyBytesMax: number
  readonly overlayBytesMax: number
  readonly flushBytes: number
  readonly flushAfterMs: Millis
  readonly recentEventsBytesMax: number
  readonly catchUpEntries: number
  readonly catchUpBytes: number
  /** Applied entries after which the log's start is purged (etcd: --snapshot-count). */
  readonly snapshotEntries: number
  /** The same in bytes of the log, whichever comes first. */
  readonly snapshotBytes: number
  readonly snapshotChunkBytes: number
  readonly watchQueueBytesMax: number
  readonly pageRowsMax: number
  readonly pageBytesMax: number
}

export interface NodeOptions {
  readonly cluster: ClusterId
  readonly self: NodeId
  readonly name: string
  readonly clientUrls: readonly string[]
  /** Where its peers reach this start of it, said to them beside what the log says; absent: nothing is said. */
  readonly peerUrls?: readonly string[]
  readonly serverVersion: string
  /** Seed of this start's own random streams. */
  readonly seed: number
  readonly electionTimeoutMs: Millis
  readonly heartbeatMs: Millis
  readonly progressNotifyMs: Millis
  readonly limits: NodeLimits
  readonly maintenance: MaintenanceOptions
  readonly checksum: Checksum
  /** A command that takes longer to be applied is told of; default: none is. */
  readonly slowApplyMs?: Millis
  /** Replicas are moved and leaders spread by themselves where shards are placed; absent: only by hand. */
  readonly balance?: BalanceOptions
  /** The same on all nodes of a cluster, for ever; default: LIMITS. The simulator draws tiny ones. */
  readonly longCommand?: LongCommandBound
}

/** When the balancer acts; times in milliseconds. */
export interface BalanceOptions {
  /** A member that is missing for so long is taken for dead. */
  readonly deadAfterMs: Millis
  /** A member is given something when it has been there for so long. */
  readonly steadyAfterMs: Millis
  /** Between two looks. */
  readonly everyMs: Millis
  /** Shards moving at a time, in the whole cluster. */
  readonly movesMax: number
  /** How long a leadership that an operator has placed by hand is left where it is. */
  readonly holdLeaderMs: Millis
  /** Leaderships handed over at a look. */
  readonly transfersMax: number
  /** A shard with more bytes is split; 0: none is; null: 256 MiB, where there are more members than replicas. */
  readonly splitBytes: number | null
  /** Where shards are split: how often the leader of a shard tells the others what it carries. */
  readonly tellLoadsMs: Millis
  /** Requests between two such reports below which no shard is split for having many of them... */
  readonly busyRequests: number
  /** ...and how long a shard must have had far more of them than the others. */
  readonly hotForMs: Millis
}

/** What the log remembered of one group. */
export interface RecoveredGroup {
  readonly group: GroupId
  readonly hardState: HardState
  readonly base: LogBase
  readonly termRuns: readonly { readonly first: Index; readonly term: Term }[]
  readonly lastIndex: Index
  /** Encoded configurations in the log, ascending. */
  readonly configs: readonly { readonly index: Index; readonly data: Uint8Array }[]
  readonly entries: readonly Entry[]
  readonly lastTime: Millis
  /** Damage that cannot be told from lost acknowledged entries: the group neither votes nor answers. */
  readonly corrupt: string | null
}

export interface NodeInitial {
  readonly now: Millis
  readonly identity: BootIdentity
  /** Whether the other members had made this incarnation durable before (see identity.ts). */
  readonly admitted: boolean
  readonly peers: readonly PeerRecord[]
  readonly groups: readonly RecoveredGroup[]
  /** The log lost records that may have been all of a group's: one that it does not know may have voted here. */
  readonly groupsInDoubt?: boolean
  /** The cluster as --initial-cluster names it; used where the state store has nothing yet. */
  readonly bootstrap: Bootstrap
}

export interface Bootstrap {
  readonly nodes: readonly NodeRecord[]
  readonly metaConfig: GroupConfig
  readonly shards: readonly ShardDescriptor[]
  /** The map has changed since the cluster began: shards that the store knows nothing of do not begin here. */
  readonly mapChanged?: boolean
  /** The cluster begins with the oracle, as one of several shards must; absent: with dense revisions. */
  readonly oracle?: boolean
  /**
   * Set for a node that joined a cluster: its replica id in every group. It has nothing before it gets a snapshot,
   * and its configurations are empty until then.
   */
  readonly joined: ReplicaId | null
  /** Shards are placed: here begin those that name this node, and what the store has of others. */
  readonly placed?: boolean
  /** Replicas that each shard should have; absent or 0: one on every member. */
  readonly replicas?: number
}
