import type { ClusterId, GroupId, Incarnation, Index, NodeId } from './ids.js'
import type { ClientRequest, ClientResult } from './request.js'
import type { SnapshotMeta } from './entry.js'
import type { ShardLoad } from './shards.js'
import type { StoreRow } from './store.js'

/** One start of one data directory: what tells a node from a copy of itself, or from what it was before a wipe. */
export interface BootIdentity {
  readonly incarnation: Incarnation
  /** Starts of this directory, from 1. */
  readonly boot: number
  /** Random per start: two copies of one directory have the same count and different nonces. */
  readonly nonce: bigint
}

/**
 * What nodes say to each other. Raft's messages are a parameter, because the rooms that carry them do not look
 * inside. A frame carries a list of these, in order.
 */
export type PeerMessage<RaftMessage> =
  | { readonly kind: 'raft'; readonly group: GroupId; readonly message: RaftMessage }
  /** Heartbeats, and answers to them, of many groups: each counts as if it had come alone. */
  | { readonly kind: 'heartbeats'; readonly beats: readonly GroupMessage<RaftMessage>[] }
  /** First on every connection, in both directions. */
  | {
      readonly kind: 'hello'
      readonly cluster: ClusterId
      readonly node: NodeId
      readonly identity: BootIdentity
      /** Where this start of the sender says it is reached: at most `peerUrlsSaidMax`; the log may not know it yet. */
      readonly peerUrls: readonly string[]
    }
  /** The sender has made `identity` durable: votes and acknowledgements under it count from now on. */
  | { readonly kind: 'welcome'; readonly identity: BootIdentity }
  /** To whoever said hello with this identity, and to nobody else: it may not be the only one who tried. */
  | { readonly kind: 'refused'; readonly reason: PeerRefusal; readonly identity: BootIdentity }
  /** Who is a member, as the sender has applied it: one who was away meanwhile may know none of those who are left. */
  | { readonly kind: 'roster'; readonly roster: Roster }
  /** Of the shards that the sender leads, now and then. */
  | { readonly kind: 'loads'; readonly loads: readonly ShardLoad[] }
  /** A client's request, sent on to the leader; `id` is the sender's. */
  | {
      readonly kind: 'request'
      readonly id: number
      readonly group: GroupId
      readonly request: ClientRequest
    }
  | { readonly kind: 'reply'; readonly id: number; readonly result: ClientResult }
  /** Ask for chunk number `chunk` (from 0) of a stream; `stream` 0 opens one. `pull` names the attempt. */
  | {
      readonly kind: 'snapshotPull'
      readonly group: GroupId
      readonly pull: number
      readonly stream: number
      readonly chunk: number
    }
  | {
      readonly kind: 'snapshotChunk'
      readonly pull: number
      readonly stream: number
      readonly chunk: number
      /** Null: the sender cannot serve this stream (any more); begin again. */
      readonly meta: SnapshotMeta | null
      readonly rows: readonly StoreRow[]
      readonly done: boolean
    }

export interface GroupMessage<RaftMessage> {
  readonly group: GroupId
  readonly message: RaftMessage
}

/** The members as of one index of the meta group's log. */
export interface Roster {
  readonly index: Index
  readonly members: readonly RosterMember[]
  /** Who was a member and is none any more. */
  readonly removed: readonly NodeId[]
}

export interface RosterMember {
  readonly node: NodeId
  readonly peerUrls: readonly string[]
  /** The directory that the log bound to this member; 0: none yet. */
  readonly incarnation: Incarnation
  /** Named by --initial-cluster; may take part before it is bound. */
  readonly founder: boolean
}

/** Why a node may not speak to this cluster member; each has one sentence for the operator that names the way back. */
export type PeerRefusal =
  'otherCluster' | 'unknownMember' | 'otherDirectory' | 'olderDirectory' | 'copiedDirectory' | 'removedMember'
