import { NO_LEASE, type LeaseId, type Revision } from './ids.js'
import type { KeyRange } from './range.js'

/** What clients ask of keys. The same records serve plain requests and the operations inside a transaction. */

export interface PutOp {
  readonly kind: 'put'
  readonly key: Uint8Array
  readonly value: Uint8Array
  /** 0 detaches the key from its lease, as in etcd. */
  readonly lease: LeaseId
  readonly prevKv: boolean
  /** Keep the current value (the key must exist; `value` is empty). */
  readonly ignoreValue: boolean
  /** Keep the current lease (the key must exist; `lease` is 0). */
  readonly ignoreLease: boolean
}

export interface DeleteOp {
  readonly kind: 'delete'
  readonly range: KeyRange
  readonly prevKv: boolean
}

export type SortOrder = 'none' | 'ascend' | 'descend'
export type SortTarget = 'key' | 'version' | 'create' | 'mod' | 'value'

export interface RangeOp {
  readonly kind: 'range'
  readonly range: KeyRange
  /** At most this many pairs; 0 is no limit. */
  readonly limit: number
  /** Read at this revision; 0 is the latest. */
  readonly revision: Revision
  readonly order: SortOrder
  readonly target: SortTarget
  readonly keysOnly: boolean
  readonly countOnly: boolean
  /** Filters, inclusive; 0 is unset. They do not change `count`. */
  readonly minMod: Revision
  readonly maxMod: Revision
  readonly minCreate: Revision
  readonly maxCreate: Revision
}

export type CompareResult = 'equal' | 'greater' | 'less' | 'notEqual'

/** One guard of a transaction. It must hold for every key of the range that exists (see etcd's rules for none). */
export type Compare = {
  readonly range: KeyRange
  readonly result: CompareResult
} & (
  | { readonly target: 'version' | 'create' | 'mod'; readonly operand: number }
  | { readonly target: 'lease'; readonly operand: LeaseId }
  | { readonly target: 'value'; readonly operand: Uint8Array }
)

export interface TxnOp {
  readonly kind: 'txn'
  readonly compares: readonly Compare[]
  readonly success: readonly Op[]
  readonly failure: readonly Op[]
}

export type Op = PutOp | DeleteOp | RangeOp | TxnOp

export interface KeyValue {
  readonly key: Uint8Array
  readonly create: Revision
  readonly mod: Revision
  readonly version: number
  readonly value: Uint8Array
  readonly lease: LeaseId
  /** Which change of its revision this one was, as etcd counts them; absent: the first, as for most. */
  readonly sub?: number
}

export interface PutReply {
  readonly kind: 'put'
  readonly prev: KeyValue | null
}
export interface DeleteReply {
  readonly kind: 'delete'
  readonly deleted: number
  readonly prevs: readonly KeyValue[]
}
export interface RangeReply {
  readonly kind: 'range'
  readonly kvs: readonly KeyValue[]
  readonly more: boolean
  readonly count: number
}
export interface TxnReply {
  readonly kind: 'txn'
  readonly succeeded: boolean
  /** Store revision when the (nested) transaction's own answer was made. */
  readonly revision: Revision
  /** Store revision before the outermost transaction: what its operations up to its first change answer with. */
  readonly before: Revision
  readonly responses: readonly OpReply[]
}
export type OpReply = PutReply | DeleteReply | RangeReply | TxnReply

/** The leases that the operation attaches keys to, in any branch. */
export function leasesOf(op: Op, into = new Set<LeaseId>()): ReadonlySet<LeaseId> {
  if (op.kind === 'put' && op.lease !== NO_LEASE) into.add(op.lease)
  if (op.kind === 'txn') for (const nested of [...op.success, ...op.failure]) leasesOf(nested, into)
  return into
}

/** Whether the operation can change anything, in any branch. */
export function isWrite(op: Op): boolean {
  switch (op.kind) {
    case 'put':
    case 'delete':
      return true
    case 'range':
      return false
    case 'txn':
      return op.success.some(isWrite) || op.failure.some(isWrite)
  }
}
