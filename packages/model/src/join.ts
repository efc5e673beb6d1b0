import type { ClusterId, Epoch, GroupId, Incarnation, NodeId, ReplicaId } from './ids.js'
import type { KeyRange } from './range.js'

/** What a node with an empty directory asks any member before it can make one: who am I in your cluster? */
export interface JoinRequest {
  /** The joining node's own, as they were given to MemberAdd. */
  readonly peerUrls: readonly string[]
  /** Of its directory, when it has asked before; 0: it has none. */
  readonly incarnation: Incarnation
}

export type JoinAnswer =
  | {
      readonly kind: 'member'
      readonly cluster: ClusterId
      readonly node: NodeId
      /** The replica that the node has in every group. */
      readonly replica: ReplicaId
      readonly members: readonly { readonly node: NodeId; readonly peerUrls: readonly string[] }[]
      readonly shards: readonly {
        readonly group: GroupId
        readonly range: KeyRange
        readonly epoch: Epoch
      }[]
    }
  /** A sentence for the operator. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Ask again, or ask another. */
  | { readonly kind: 'later' }
