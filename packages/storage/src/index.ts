/**
 * What lies on disk.
 *
 *     planBatch(log, batch) --> DiskOp[] --> Disk.run --> confirm(log)      the write-ahead log
 *     recover(files)        --> what every group remembered, and repairs
 *     Engine.batch / fetch  --> rows of the state store
 *     BboltWriter, openBbolt    the file format of etcd's snapshots; nothing of ours lies in it
 *
 * The log's planners are synchronous and know no file system: production and the simulator run the same ones.
 */
export * from './disk.js'
export { segmentName } from './log/format.js'
export type { LogIdentity } from './log/format.js'
export type { PeerRecord } from './log/items.js'
export { planBatch, planCover } from './log/plan.js'
export type { LogBatch } from './log/plan.js'
export { planDelete, planMove, planPurge, releaseTo } from './log/purge.js'
export type { PurgeStep } from './log/purge.js'
export { decodeEntries, locate } from './log/read.js'
export type { DecodedEntries, Located, LogRead } from './log/read.js'
export { recover, recoverAsync } from './log/recover.js'
export type { Expected } from './log/directory.js'
export type { Recovered, RecoveredGroup, RecoverOptions } from './log/recover.js'
export { RECOVERY_TABLE } from './log/recoveryTable.js'
export type { Decision, Finding, Found } from './log/recoveryTable.js'
export { planReleaseReserve, planRestoreReserve } from './log/reserve.js'
export { createLog, currentSegment, logBytes, LOG_OPTIONS } from './log/state.js'
export type { LogOptions, LogState } from './log/state.js'
export { abandon, confirm } from './log/write.js'
export { crc32c } from './bbolt/castagnoli.js'
export { BboltError, PAGE_BYTES } from './bbolt/format.js'
export { openBbolt, readBuckets, readEntries } from './bbolt/reader.js'
export type { BboltBucket, BboltEntry, BboltFile, ReadBytes } from './bbolt/reader.js'
export {
  addEntry,
  closeBucket,
  createBboltWriter,
  finishFile,
  HEAD_PAGES,
  openBucket,
  takePages,
} from './bbolt/writer.js'
export type { BboltWriter } from './bbolt/writer.js'
export * from './engine.js'
export { FileDisk } from './fileDisk.js'
export { LEVEL_OPTIONS, LevelEngine } from './levelEngine.js'
export type { LevelOptions } from './levelEngine.js'
export { createStore, LogStore, openLog } from './logStore.js'
export type { OpenedLog, Written } from './logStore.js'
export { MemoryDisk } from './memoryDisk.js'
export type { DiskFault } from './memoryDisk.js'
export { MemoryEngine } from './memoryEngine.js'
