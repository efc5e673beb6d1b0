/**
 * The replicated state machine of a data shard. Deterministic and without I/O: work that must know something
 * of the store stops there, and the owner resumes it with the answer.
 *
 *     committed entries --> applyCommand --> writes into the overlay --> owner flushes layers to the store
 *                              |   ^
 *                     StoreNeed|   |StoreAnswer           readRange, readTxn, readHistory, hashKv
 *                              v   |                         the same, on a frozen Reader
 *                         store (rows: docs/state-rows.md)
 *
 * The record `Machine` holds positions and leases; keys and values are only in the rows.
 */
export {
  type Applied,
  applyCommand,
  applyConfig,
  applyNoop,
  applyRevisions,
  type CommittedEntry,
  isLong,
  showCommand,
  workCommand,
  type Worked,
  foundConfig,
  foundPositions,
  foundRevisions,
} from './apply.js'
export { leaseKeys } from './attachments.js'
export { attachedLocks, isAttachedElsewhere, isHome, isKnown } from './leaseEnd.js'
export { checkCommand, checkOp, type OpLimits } from './checkOp.js'
export { compactPhysically, hasPhysicalCompaction, reclaimable } from './compaction.js'
export { hasDuplicateKey } from './duplicateKey.js'
export { CorruptRecordError } from './corrupt.js'
export { userKeyOf } from './rowKeys.js'
export { hashKv, type KvHash } from './hash.js'
export { measureShard, type Measured } from './measure.js'
export { type History, type HistoryLimits, type HistoryOptions, readHistory } from './history.js'
export { loadMachine } from './load.js'
export {
  createMachine,
  type Lease,
  type LongCommandBound,
  type Machine,
  type MachineOptions,
  type Purge,
} from './machine.js'
export { type MergedHistory, mergeHistories } from './mergeHistories.js'
export { mergeRanges, partOfRange } from './mergeRanges.js'
export {
  createOverlay,
  type Overlay,
  overlayBytes,
  overlayDrop,
  overlayFreeze,
  overlayGet,
  overlayPut,
  overlaySnapshot,
  type OverlaySnapshot,
} from './overlay.js'
export { prefetch } from './prefetch.js'
export { guardRefusal, mayBeRefused, spaceWanted, versionCharge } from './quota.js'
export { readPage, readRange, type ReadReply, readTxn } from './read.js'
export { createReader, type Reader } from './reader.js'
export { readRetired, retiredKey, retiredRow, unmarkRetired, type RetiredMark } from './retired.js'
export {
  beginRestore,
  finishRestore,
  type Restore,
  restoreChanges,
  type RestoredAt,
  type RestoreOptions,
  type RestoreProblem,
} from './restore.js'
export {
  beginInstall,
  clearScans,
  finishInstall,
  inSnapshot,
  type ShardRows,
  snapshotScans,
} from './snapshot.js'
export { readShardRows } from './shardRows.js'
export { ownsCommand, ownsOp } from './ownership.js'
export { applySplit, isSplit, SPLIT_BASE, type SplitApplied, type SplitAt, type SplitOwner } from './split.js'
export { createOperationCounts, type OperationCounts } from './operationCounts.js'
export { runStep, type Step } from './step.js'
export { claim, toKeep, type Claim } from './sessions.js'
export { storedGroups } from './storedGroups.js'
export { type TransactionEntry, type TransactionTask, workTransaction } from './transactionEntry.js'
export { chooseBranches, judgeOp, refusalOf } from './transactionJudgement.js'
export { joinAnswers, plainAnswers, readPart } from './transactionPart.js'
export {
  type Changes,
  loadOldVersions,
  nextChanges,
  nextOldVersions,
  type NumberedChange,
  openChanges,
  openOldVersions,
  type OldVersion,
  type OldVersions,
} from './versions.js'
export type { Prefetched } from './view.js'
