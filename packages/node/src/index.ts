/**
 * The runtime of one node: many Raft groups, one turn.
 *
 *     edges, peers, disk, clock --inputs--> turn --orders--> the same ports
 *
 * `turn` and everything it calls are synchronous and deterministic; only driver/ knows sockets and promises.
 */
export { pendingOf } from './applying.js'
export { DEFAULT_BALANCE } from './balanceView.js'
export { createNode } from './create.js'
export * from './driver/ports.js'
export { NodeRuntime, type RuntimeEvents, type RuntimeOptions } from './driver/runtime.js'
export { createGroupMachine, votersOf, type GroupMachine } from './groupMachine.js'
export { foundingMeta, META_VOTERS_MAX } from './membershipPlan.js'
export { applyShardEntry } from './shardApply.js'
export {
  NO_MAINTENANCE,
  type AutoCompaction,
  type CorruptCheck,
  type MaintenanceOptions,
} from './maintenance.js'
export { REFUSAL_SENTENCES } from './identity.js'
export { isSettled, joinAnswer } from './joining.js'
export type { Group, NodeState } from './state.js'
export { statusOf } from './status.js'
export { firstTurn, turn } from './turn.js'
export type * from './types.js'
