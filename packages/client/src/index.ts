/**
 * The client of a kvorum (or etcd) cluster.
 *
 *   const db = await connect({ endpoints: 'http://127.0.0.1:2379' })
 *   client --calls--> transport (which server, how often) --> endpoints (one connection each)
 *     watch, keepAlive --streams--> transport
 */
export { RETRY_DEFAULT, type RetryPolicy } from './backoff.js'
export { connect, KvorumClient, type LeaseOptions, type LeaseTimes } from './client.js'
export { systemClock, type Clock } from './clock.js'
export { Entry } from './entry.js'
export { KvorumError, type KvorumErrorCode } from './error.js'
export type { Bytes, Keys } from './keys.js'
export { Lease, type LeaseEvents } from './lease.js'
export type { Alarm, AlarmKind, HashKv } from './maintenance.js'
export type { Member, Status } from './members.js'
export type {
  DeleteOptions,
  DeleteResult,
  PutOptions,
  PutResult,
  RangeOptions,
  RangeResult,
  ReadOptions,
} from './operations.js'
export type { AuthOptions, CallOptions, ConnectOptions, Logger, TlsOptions } from './options.js'
export type { PagesOptions } from './pages.js'
export { RawClient, type RawRequest, type RawResponse, type RawStream } from './raw.js'
export type { SnapshotPiece } from './snapshot.js'
export {
  compare,
  op,
  TxnBuilder,
  type Comparison,
  type Operation,
  type OperationResult,
  type Relation,
  type Txn,
  type TxnResult,
} from './txn.js'
export { Watcher, type WatchBatch, type WatchEvent, type WatchOptions } from './watch.js'
