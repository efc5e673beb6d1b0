export * from './coordinator.js'
export * from './denseSwitch.js'
export * from './draining.js'
export * from './leader.js'
export * from './mergedWatch.js'
export * from './oracle.js'
export type { Proof } from './proof.js'
export * from './resolving.js'
export {
  decodeRevisions,
  encodeRevisions,
  FIRST_REVISION,
  ORACLE_REVISIONS,
  PLAIN_REVISIONS,
  type ShardRevisions,
} from './rows.js'
export * from './split.js'
export * from './stamping.js'
export * from './stream.js'
export * from './transactions.js'
