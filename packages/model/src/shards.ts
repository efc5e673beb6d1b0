import type { Epoch, GroupId, NodeId } from './ids.js'
import type { KeyRange } from './range.js'

/** The shards of the cluster as one node knows them, for operators. */
export interface ShardsView {
  /** Grows with every change of the ranges or of who holds them. */
  readonly mapVersion: number
  /** Replicas that each shard should have; 0: one on every member that votes. */
  readonly replicas: number
  /** In the order of their keys. */
  readonly shards: readonly ShardView[]
  readonly nodes: readonly ShardNodeView[]
}

export interface ShardView {
  readonly group: GroupId
  readonly range: KeyRange
  readonly epoch: Epoch
  /** 0n: not known here. */
  readonly leader: NodeId | 0n
  /** Where its replicas are, or are to be while they move; ascending. */
  readonly replicas: readonly NodeId[]
  /** Of this node's replica; 0 where it has none. */
  readonly logicalBytes: number
  readonly operation: ShardOperationView
}

/** What is under way. */
export type ShardOperationView =
  | { readonly kind: 'none' }
  | { readonly kind: 'move' }
  /** `right` gets the keys from `at` on. */
  | { readonly kind: 'split'; readonly at: Uint8Array; readonly right: GroupId }

export interface ShardNodeView {
  readonly node: NodeId
  readonly name: string
  readonly learner: boolean
  /** This node is connected to it. */
  readonly connected: boolean
  readonly draining: boolean
  /** Shards that have, or are to have, a replica on it; and those it leads. */
  readonly shards: number
  readonly leads: number
}

/** What the balancer would do now. */
export interface ShardPlan {
  /** As in ShardsView. With 0 only leaderships are handed over, where there are several shards. */
  readonly replicas: number
  /** The steps are made without being asked for. */
  readonly automatic: boolean
  readonly steps: readonly (BalanceStep | SplitStep)[]
}

/** A shard is cut in two: it has too many bytes, or far more requests than the others. */
export interface SplitStep {
  readonly kind: 'split'
  readonly group: GroupId
  /** First key of the right half. */
  readonly at: Uint8Array
  readonly reason: 'bytesMany' | 'requestsMany'
}

/** What the leader of a shard tells all members of it, so that whoever plans knows it. */
export interface ShardLoad {
  readonly group: GroupId
  /** Of the shard as it was then: a report of another epoch says nothing. */
  readonly epoch: Epoch
  /** Of one replica, as the quota counts them. */
  readonly bytes: number
  /** A key that halves the bytes, where there are too many of them; null: not known, or there is none. */
  readonly bytesMiddle: Uint8Array | null
  /** Requests for single keys since the last report. */
  readonly requests: number
  /** A key that halves them; null: there is none. */
  readonly requestsMiddle: Uint8Array | null
}

/** Why the balancer would do something. */
export type BalanceReason =
  | 'nodeDead'
  | 'nodeGone'
  | 'nodeDraining'
  | 'tooFewReplicas'
  | 'tooManyReplicas'
  | 'replicasUneven'
  | 'bytesUneven'
  | 'leadersUneven'

/** One thing to do. A move with both ends replaces a replica; with one, the shard gains or loses one. */
export type BalanceStep =
  | {
      readonly kind: 'move'
      readonly group: GroupId
      readonly from: NodeId | null
      readonly to: NodeId | null
      readonly reason: BalanceReason
    }
  | {
      readonly kind: 'transfer'
      readonly group: GroupId
      readonly from: NodeId
      readonly to: NodeId
      readonly reason: BalanceReason
    }
