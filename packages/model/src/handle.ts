import type { MemberAlarm } from './alarm.js'
import type { StageTimes } from './stages.js'
import type { StoreAnswer, StoreNeed } from './store.js'
import type { AuthState } from './auth.js'
import type { ClusterId, GroupId, Index, Millis, NodeId, Revision, Term } from './ids.js'
import type {
  ClientRequest,
  ClientResult,
  GroupStatus,
  ReplyHeader,
  WatchRequest,
  WatchResponse,
} from './request.js'
import type { KeyRange } from './range.js'
import type { ShardPlan, ShardsView } from './shards.js'

/**
 * A running node as its edges see it: the one thing the server room, an embedding program and the tests hold.
 * Implemented by node/driver; a fake of it is enough to test an edge.
 */
export interface KvNode {
  readonly cluster: ClusterId
  readonly self: NodeId
  /** Every request ends: with an answer, a refusal, or a timeout whose outcome is 'unknown'. Never rejects. */
  request(request: ClientRequest, options?: RequestOptions): Promise<ClientResult>
  /** `receive` is called in order, never inside `send`. */
  openWatch(receive: (response: WatchResponse) => void): WatchStream
  /** What this node knows now, without asking anybody. */
  status(): NodeStatus
  /** The node that leads the meta group, as far as this one knows; 0n: nobody. Part of the status, and cheap. */
  leaderNode(): NodeId | 0n
  /** The members as the meta group knows them, local; ask a 'barrier' first where it must be fresh. */
  members(): readonly Member[]
  /**
   * The shards as the meta group knows them, local; ask a 'barrier' first where they must be fresh. Null: not known yet.
   */
  shards(): ShardsView | null
  /** What the balancer would do, by what this node knows. Null: the shards are not known yet. */
  shardPlan(): ShardPlan | null
  /** Whether it is a learner among the members, as far as this node knows; looked at for every call. */
  isLearner(): boolean
  /**
   * All rows of this node's state at one moment, which is not before the call. Null: it has no state that could
   * be trusted, or it is stopping.
   */
  holdState(): Promise<HeldState | null>
  /**
   * Users and roles as this node's meta group has them, local; ask a 'barrier' first where they must be fresh. Null:
   * not known, because the node is starting or its state is being replaced.
   */
  auth(): AuthState | null
  /** Hands leaderships to others, refuses new requests, finishes what is under way, flushes and closes. */
  stop(): Promise<void>
}

/** Pins old data in the state store until it is closed. */
export interface HeldState {
  /** What was written above it is to be left out: not all of it is here. Null: all of the state is whole. */
  readonly revision: Revision | null
  /**
   * Each shard, in the order of their keys, where some of them are elsewhere: rows of a shard are then asked for through
   * it. Absent: all shards are here.
   */
  readonly shards?: readonly HeldShard[]
  /** Rejects when the store cannot be read, or has been closed. */
  fetch(need: StoreNeed): Promise<StoreAnswer>
  close(): void
}

/** Nothing pins a shard that is elsewhere: what is read of it is what was held, or nothing. */
export interface HeldShard {
  readonly group: GroupId
  readonly range: KeyRange
  readonly here: boolean
  /** Of rows of this shard; scans go forward. Rejects with HeldStateLost where they are not to be had any more. */
  fetch(need: StoreNeed): Promise<StoreAnswer>
}

/** A shard that is elsewhere was cut, compacted or out of reach while its rows were read: another try may do. */
export class HeldStateLost extends Error {
  override readonly name = 'HeldStateLost'
}

export interface RequestOptions {
  /** After this the answer is a timeout. Default: 5 s and two election timeouts, as in etcd. */
  readonly timeoutMs?: Millis
  readonly signal?: AbortSignal
  /** Where the time that the request takes is added, before it is answered. */
  readonly stages?: StageTimes
}

export interface WatchStream {
  /** Requests are taken in order; 'created' answers come in the same order. */
  send(request: WatchRequest): void
  /** The client has taken this many bytes: frees the stream's share of the send queue. */
  consumed(bytes: number): void
  close(): void
}

/** A node as MemberList shows it. Not started yet: empty name and client URLs. */
export interface Member {
  readonly id: NodeId
  readonly name: string
  readonly peerUrls: readonly string[]
  readonly clientUrls: readonly string[]
  readonly learner: boolean
}

export interface NodeStatus {
  readonly header: ReplyHeader
  /** The meta group's leader, 0 when unknown. */
  readonly leader: bigint
  readonly term: Term
  readonly committed: Index
  readonly applied: Index
  readonly revision: Revision
  readonly learner: boolean
  /** Logical bytes of all versions kept (what the quota counts), and bytes of the state store on disk. */
  readonly logicalBytes: number
  readonly diskBytes: number
  /** Most logical bytes before writes are refused; 0: no bound. */
  readonly quotaBytes: number
  readonly alarms: readonly MemberAlarm[]
  readonly clusterVersion: string
  /** May it serve: it has a leader it can reach and its state machine keeps up. Sentences for an operator otherwise. */
  readonly ready: boolean
  readonly problems: readonly string[]
  readonly groups: readonly GroupStatus[]
  readonly peers: readonly PeerStatus[]
  readonly counters: Readonly<Record<string, number>>
}

export interface PeerStatus {
  readonly node: bigint
  readonly connected: boolean
  readonly queuedBytes: number
}
