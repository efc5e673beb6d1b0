import type { AlarmKind } from './alarm.js'
import type { AuthFence, Authority } from './auth.js'
import type { ErrorCode, Result } from './errors.js'
import type { GroupId, Index, LeaseId, NodeId, Revision, Term } from './ids.js'
import type { RangeOp, TxnOp } from './ops.js'
import type { KeyRange } from './range.js'
import type { WatchEvent } from './event.js'
import type { StoreNeed } from './store.js'

/**
 * The seam between an edge (gRPC, HTTP, an embedding program) and the node. Requests go in as a header record
 * and encoded bytes; answers come back the same way. Nothing here knows a protocol.
 */
export type ClientRequest = {
  /** By what it was allowed; absent: authentication was off where it came in. */
  readonly authority?: Authority
} & RequestBody

export type RequestBody =
  /** A command for the shards that own `ranges`; `command` is an encoded ShardCommand. */
  | { readonly kind: 'write'; readonly ranges: readonly KeyRange[]; readonly command: Uint8Array }
  /** A range, or a transaction that only reads. */
  | {
      readonly kind: 'read'
      readonly op: RangeOp | TxnOp
      readonly serializable: boolean
      /**
       * Only the first pairs of a range in key order: about so many bytes, but one pair at least. `more` says
       * that the range goes on, `count` counts the answer. Transactions have no pages.
       */
      readonly pageBytes?: number
      /** From nodes only: the part of a read that one replica serves, when it has applied `index`. */
      readonly at?: { readonly revision: Revision; readonly index: Index }
    }
  /** `physical`: answer when the history is really gone from this node's disk. */
  | {
      readonly kind: 'compact'
      readonly revision: Revision
      readonly physical: boolean
      /** From nodes only: one shard's part of a compaction of all, where everything up to it is applied. */
      readonly resolved?: boolean
    }
  | { readonly kind: 'leaseGrant'; readonly id: LeaseId; readonly ttl: number }
  | { readonly kind: 'leaseRevoke'; readonly id: LeaseId }
  | { readonly kind: 'sessionOpen'; readonly lease: LeaseId }
  | { readonly kind: 'leaseKeepAlive'; readonly id: LeaseId }
  | {
      readonly kind: 'leaseTimeToLive'
      readonly id: LeaseId
      readonly keys: boolean
      /** From nodes only: the keys that one shard has, which is taken to have all of these ranges. */
      readonly part?: { readonly group: GroupId; readonly ranges: readonly KeyRange[] }
    }
  /** Local and possibly stale, as in etcd. */
  | { readonly kind: 'leaseList' }
  /** A command of the meta group, from a node or from an administrator. */
  | { readonly kind: 'meta'; readonly command: Uint8Array }
  | {
      readonly kind: 'alarm'
      readonly change: 'raise' | 'clear'
      readonly member: NodeId
      readonly alarm: AlarmKind
    }
  /** Of the asked node's own copy. 0: at the newest revision. */
  | { readonly kind: 'hashKv'; readonly revision: Revision }
  /** Linearizable barrier on the meta group, for MemberList and health. */
  | { readonly kind: 'barrier' }
  /** To every shard after a change of users or roles, from a node itself. */
  | { readonly kind: 'authFence'; readonly group: GroupId; readonly fence: AuthFence }
  /** To the oracle, from nodes only: `alloc` revisions for writes that wait, or the `current` one for a read. */
  | { readonly kind: 'oracle'; readonly ask: OracleAsk }
  /** To a shard's leader, from nodes only: nothing at or below `revision` will touch `ranges` any more. */
  | {
      readonly kind: 'resolve'
      readonly group: GroupId
      readonly revision: Revision
      readonly ranges: readonly KeyRange[]
    }
  /**
   * To a shard's leader, from nodes and edges only: how far the shard is, as soon as everything up to a revision above
   * `after` is applied; without that, after a while. 0: at once.
   */
  | {
      readonly kind: 'follow'
      readonly group: GroupId
      readonly range: KeyRange
      readonly after: Revision
    }
  /**
   * From nodes only: the changes of `range` at the revisions from `from` to `to`, by a replica that has applied `index`,
   * where the shard had promised that nothing at or below `to` can come any more. Whole revisions, about so many bytes.
   */
  | {
      readonly kind: 'history'
      readonly group: GroupId
      readonly range: KeyRange
      readonly index: Index
      readonly from: Revision
      readonly to: Revision
      /** Whether events carry the version they replaced. */
      readonly prev: boolean
      readonly bytesMax: number
    }
  /**
   * To a shard's leader, from nodes only: rows of the shard, all of one moment at which `index` is applied. Of others'
   * rows there are none in the answer. `range`: the keys that the shard is taken to have, all of them.
   */
  | {
      readonly kind: 'rows'
      readonly group: GroupId
      readonly range: KeyRange
      readonly index: Index
      /** Scans go forward. */
      readonly need: StoreNeed
    }
  /** To a shard's leader, from nodes only: a command of a transaction over several shards. */
  | {
      readonly kind: 'transaction'
      readonly group: GroupId
      readonly command: Uint8Array
      /** To this node only: by the judgement of this leadership, and of no other. */
      readonly term?: Term
    }
  /**
   * From nodes only: what a shard's part of an operation at `revision` answers, whose branches are chosen. To be asked
   * while the shard holds its locks, of a replica that has applied `index`. `ranges`: where it lies, which is all in
   * one shard; one that has been split since says so.
   */
  | {
      readonly kind: 'transactionRead'
      readonly group: GroupId
      readonly index: Index
      readonly revision: Revision
      readonly branches: readonly boolean[]
      readonly work: Uint8Array
      readonly ranges: readonly KeyRange[]
    }
  /** The leadership of the group (absent: of the cluster) goes to this member. Only its present leader does it. */
  | { readonly kind: 'moveLeader'; readonly to: NodeId; readonly group?: GroupId }

export type OracleAsk = { readonly kind: 'alloc'; readonly count: number } | { readonly kind: 'current' }

export interface ReplyHeader {
  readonly revision: Revision
  readonly term: Term
}

/** An encoded Reply (see reply.ts) with the header it must carry. */
export interface Answer {
  readonly header: ReplyHeader
  readonly body: Uint8Array
}

export type ClientResult = Result<Answer>

/** Chosen by the edge, unique in one node's life. */
export type RequestId = number
/** One client stream that carries watches. */
export type StreamId = number

export interface WatchCreate {
  readonly range: KeyRange
  /** 0: from now on. */
  readonly startRevision: Revision
  readonly progressNotify: boolean
  readonly noPut: boolean
  readonly noDelete: boolean
  readonly prevKv: boolean
  /** 0: the hub picks one. */
  readonly watchId: number
  readonly fragment: boolean
  /** Why the edge wants it refused: answered in its turn, like any other creation. */
  readonly refusal?: WatchRefusal
  /** The fence of the users and roles by which it was allowed; absent: authentication was off. */
  readonly authRevision?: number
}

/** Why a watch was not made: in the words of the API, and by name for whoever reads it in the server itself. */
export interface WatchRefusal {
  readonly reason: string
  readonly code: ErrorCode
}

export type WatchRequest =
  | { readonly kind: 'create'; readonly create: WatchCreate }
  /** `reason`: why, where it was not the client who asked. */
  | { readonly kind: 'cancel'; readonly watchId: number; readonly reason?: string }
  | { readonly kind: 'progress' }

/** One message to a watching client; the edge adds cluster and member id. */
export type WatchResponse = { readonly header: ReplyHeader; readonly watchId: number } & (
  | { readonly kind: 'created' }
  /** Creation refused: created and canceled at once, watchId -1. */
  | ({ readonly kind: 'refused'; readonly compactRevision: Revision } & WatchRefusal)
  | { readonly kind: 'canceled'; readonly reason: string; readonly compactRevision: Revision }
  | { readonly kind: 'events'; readonly events: readonly WatchEvent[]; readonly fragment: boolean }
  | { readonly kind: 'progress' }
)

/** What the node tells about itself, for Status, health and metrics. Positions are the data shard's in dense mode. */
export interface GroupStatus {
  readonly group: number
  readonly term: Term
  readonly leaderNode: bigint
  readonly committed: number
  readonly applied: number
  readonly lastIndex: number
  readonly purged: number
  readonly revision: Revision
  readonly compactRevision: Revision
  readonly isLeader: boolean
  readonly learner: boolean
  readonly quarantined: boolean
  readonly logicalBytes: number
}

/**
 * What a response is charged with in a stream's queue. The edge gives exactly this back to `consumed` when the
 * client's connection has taken the response.
 */
export function watchResponseBytes(response: WatchResponse): number {
  if (response.kind !== 'events') return RESPONSE_OVERHEAD_BYTES
  let bytes = RESPONSE_OVERHEAD_BYTES
  for (const { kv, prev } of response.events) {
    bytes += RESPONSE_OVERHEAD_BYTES + kv.key.length + kv.value.length
    if (prev !== null) bytes += RESPONSE_OVERHEAD_BYTES + prev.key.length + prev.value.length
  }
  return bytes
}

const RESPONSE_OVERHEAD_BYTES = 64
