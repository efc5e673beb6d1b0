import type {
  BalanceReason,
  BalanceStep,
  ShardNodeView,
  ShardOperationView,
  ShardView,
  SplitStep,
} from '@kvorum/model'
import type { Init } from './codec.js'
import { ShardState, ShardStepKind, ShardStepReason } from './messages.js'
import type * as pb from './messages.js'

/** Shards, and what is to be done to them, as messages. */

const STATES: Readonly<Record<ShardOperationView['kind'], number>> = {
  none: ShardState.STEADY,
  split: ShardState.SPLITTING,
  move: ShardState.MOVING,
}

export const toShardDescription = (shard: ShardView): Init<pb.ShardDescription> => ({
  shard: shard.group,
  start: shard.range.start,
  end: shard.range.end ?? NO_END,
  epoch: shard.epoch,
  leader_id: shard.leader,
  replica_ids: shard.replicas,
  logical_bytes: shard.logicalBytes,
  state: STATES[shard.operation.kind],
  ...(shard.operation.kind === 'split'
    ? { split_at: shard.operation.at, split_right: shard.operation.right }
    : {}),
})

const NO_END = new Uint8Array(0)

export const toShardNode = (node: ShardNodeView): Init<pb.ShardNode> => ({
  node_id: node.node,
  name: node.name,
  is_learner: node.learner,
  connected: node.connected,
  draining: node.draining,
  shards: node.shards,
  leads: node.leads,
})

const REASONS: Readonly<Record<BalanceReason | SplitStep['reason'], number>> = {
  nodeDead: ShardStepReason.NODE_DEAD,
  nodeGone: ShardStepReason.NODE_GONE,
  nodeDraining: ShardStepReason.NODE_DRAINING,
  tooFewReplicas: ShardStepReason.TOO_FEW_REPLICAS,
  tooManyReplicas: ShardStepReason.TOO_MANY_REPLICAS,
  replicasUneven: ShardStepReason.REPLICAS_UNEVEN,
  bytesUneven: ShardStepReason.BYTES_UNEVEN,
  leadersUneven: ShardStepReason.LEADERS_UNEVEN,
  bytesMany: ShardStepReason.BYTES_MANY,
  requestsMany: ShardStepReason.REQUESTS_MANY,
}

const KINDS = { move: ShardStepKind.MOVE, transfer: ShardStepKind.TRANSFER, split: ShardStepKind.SPLIT }

export const toShardStep = (step: BalanceStep | SplitStep): Init<pb.ShardStep> => ({
  kind: KINDS[step.kind],
  shard: step.group,
  reason: REASONS[step.reason],
  ...(step.kind === 'split' ? { split_at: step.at } : { from_id: step.from ?? 0n, to_id: step.to ?? 0n }),
})
