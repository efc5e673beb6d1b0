import type { GroupId, Millis, NodeId } from '@kvorum/model'

export type { BalanceReason, BalanceStep } from '@kvorum/model'

/** What the balancer looks at. All of it is data: whoever asks says who is there, and what each node carries. */
export interface BalanceCluster {
  readonly nodes: readonly BalanceNode[]
  readonly shards: readonly BalanceShard[]
}

export interface BalanceNode {
  readonly node: NodeId
  /** How long it has been there without a gap, in milliseconds; null: it is not there. */
  readonly presentMs: Millis | null
  /** How long it has not been there; 0 for one that is. */
  readonly missingMs: Millis
  /** It is to hold nothing any more. */
  readonly draining: boolean
  /** A member that does not vote: it gets nothing. */
  readonly learner: boolean
  /** Its disk or quota has no room: it gets nothing. */
  readonly full: boolean
}

export interface BalanceShard {
  readonly group: GroupId
  /** Where its replicas are wanted; while they move, where they will be. */
  readonly replicas: readonly NodeId[]
  /** Its group is as it is wanted: no operation is under way. */
  readonly settled: boolean
  readonly leader: NodeId | null
  /**
   * It is known to be led: of those whom its group still counts a majority is there. False: it was asked who leads it, and
   * nobody does; null: not known.
   */
  readonly led: boolean | null
  /** An operator has placed its leader by hand, and not long ago: it stays there unless it has to go. */
  readonly held: boolean
  /** Bytes of one replica, as far as known; 0: unknown. */
  readonly bytes: number
}

export interface BalancePolicy {
  /** Replicas that a shard should have. */
  readonly replicas: number
  /** A node that is missing for so long is taken for dead: its replicas are rebuilt elsewhere. */
  readonly deadAfterMs: Millis
  /** A node gets replicas only when it has been there for so long. */
  readonly steadyAfterMs: Millis
  /** Replicas of shards that one node may hold. */
  readonly shardsPerNodeMax: number
  /** Shards that may be moving at a time, in the whole cluster. */
  readonly movesMax: number
  /** Leaderships to be handed over at a time. */
  readonly transfersMax: number
}

/** Where a shard's replicas are wanted once the move is made; ascending. */
export function replicasAfter(
  replicas: readonly NodeId[],
  { from, to }: { readonly from: NodeId | null; readonly to: NodeId | null },
): NodeId[] {
  const left = replicas.filter(node => node !== from)
  return (to === null || left.includes(to) ? left : [...left, to]).sort((a, b) => (a < b ? -1 : 1))
}
