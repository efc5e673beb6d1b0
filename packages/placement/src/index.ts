/**
 * Where keys live and what the cluster knows as a whole. Pure values and functions: the meta group's machine,
 * the shard map and its arithmetic.
 *
 *     committed meta commands --> applyMetaCommand(state) --> nodes, shard map, cluster version
 *     a request's ranges -------> routeRanges(map) --------> parts per shard
 */
export * from './auth/index.js'
export * from './balance/index.js'
export type { HeldLeader, HoldCommand } from './heldLeaders.js'
export { mayCountFormer, type FormerReplica } from './former.js'
export * from './members.js'
export { NO_ALARMS, restoredAlarms, type Alarms } from './alarms.js'
export * from './metaCommand.js'
export type { MetaRow } from './metaSections.js'
export * from './metaState.js'
export {
  initialPlacement,
  isMoving,
  NO_PLACEMENT,
  placedShard,
  shardsOn,
  wantedNodes,
  wantedSeats,
  type PlaceCommand,
  type PlacedShard,
  type Placement,
} from './placing.js'
export * from './revisions/index.js'
export * from './shardMap.js'
export * from './splitting/index.js'
export {
  applyShardCommand,
  halvesOf,
  operationOn,
  type ShardCommandOfMeta,
  type ShardOperation,
  type SplitOperation,
} from './shardOperations.js'
