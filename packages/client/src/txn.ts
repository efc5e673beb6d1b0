import { pb, type Init } from '@kvorum/protocol'
import { bytesOf, requestKeys, type Bytes, type Keys } from './keys.js'
import {
  deleteRequest,
  deleteResult,
  putRequest,
  putResult,
  rangeRequest,
  rangeResult,
  revisionOf,
  type DeleteOptions,
  type DeleteResult,
  type PutOptions,
  type PutResult,
  type RangeOptions,
  type RangeResult,
} from './operations.js'
import type { CallOptions } from './options.js'

export type Relation = '=' | '!=' | '>' | '<'

/** A guard: it must hold for every key it names. An absent key counts as zero; its value compares as false. */
export type Comparison = { readonly keys: Keys; readonly relation: Relation } & (
  | { readonly target: 'version' | 'create' | 'mod'; readonly operand: number }
  | { readonly target: 'lease'; readonly operand: bigint }
  | { readonly target: 'value'; readonly operand: Bytes }
)

export const compare = {
  version: (keys: Keys, relation: Relation, operand: number): Comparison => ({
    target: 'version',
    keys,
    relation,
    operand,
  }),
  create: (keys: Keys, relation: Relation, operand: number): Comparison => ({
    target: 'create',
    keys,
    relation,
    operand,
  }),
  mod: (keys: Keys, relation: Relation, operand: number): Comparison => ({
    target: 'mod',
    keys,
    relation,
    operand,
  }),
  value: (keys: Keys, relation: Relation, operand: Bytes): Comparison => ({
    target: 'value',
    keys,
    relation,
    operand,
  }),
  lease: (keys: Keys, relation: Relation, operand: bigint): Comparison => ({
    target: 'lease',
    keys,
    relation,
    operand,
  }),
  exists: (key: Bytes): Comparison => compare.create({ key }, '>', 0),
  missing: (key: Bytes): Comparison => compare.create({ key }, '=', 0),
} as const

export type Operation =
  | { readonly kind: 'put'; readonly request: Init<pb.PutRequest> }
  | { readonly kind: 'delete'; readonly request: Init<pb.DeleteRangeRequest> }
  | { readonly kind: 'range'; readonly request: Init<pb.RangeRequest> }
  | { readonly kind: 'txn'; readonly txn: Txn }

/** Operations of a transaction, with the arguments of the client's own calls. */
export const op = {
  put: (key: Bytes, value: Bytes, options?: PutOptions): Operation => ({
    kind: 'put',
    request: putRequest(key, value, options),
  }),
  delete: (keys: Keys, options?: DeleteOptions): Operation => ({
    kind: 'delete',
    request: deleteRequest(keys, options),
  }),
  range: (keys: Keys, options?: RangeOptions): Operation => ({
    kind: 'range',
    request: rangeRequest(keys, options),
  }),
  get: (key: Bytes): Operation => ({ kind: 'range', request: rangeRequest({ key }) }),
  txn: (txn: Txn): Operation => ({ kind: 'txn', txn }),
} as const

/** All of `success` where every comparison holds, else all of `failure`: at one revision. */
export interface Txn {
  readonly compares?: readonly Comparison[]
  readonly success?: readonly Operation[]
  readonly failure?: readonly Operation[]
}

export interface TxnResult {
  readonly kind: 'txn'
  readonly revision: number
  readonly succeeded: boolean
  /** One for each operation of the branch that was taken. */
  readonly results: readonly OperationResult[]
}

export type OperationResult = PutResult | DeleteResult | RangeResult | TxnResult

const RELATION = {
  '=': pb.CompareCompareResult.EQUAL,
  '!=': pb.CompareCompareResult.NOT_EQUAL,
  '>': pb.CompareCompareResult.GREATER,
  '<': pb.CompareCompareResult.LESS,
} as const

function compareMessage(comparison: Comparison): Init<pb.Compare> {
  const base = { ...requestKeys(comparison.keys), result: RELATION[comparison.relation] }
  const { CompareCompareTarget: target } = pb
  switch (comparison.target) {
    case 'version':
      return { ...base, target: target.VERSION, version: comparison.operand }
    case 'create':
      return { ...base, target: target.CREATE, create_revision: comparison.operand }
    case 'mod':
      return { ...base, target: target.MOD, mod_revision: comparison.operand }
    case 'lease':
      return { ...base, target: target.LEASE, lease: comparison.operand }
    case 'value':
      return { ...base, target: target.VALUE, value: bytesOf(comparison.operand) }
  }
}

function operationMessage(operation: Operation): Init<pb.RequestOp> {
  switch (operation.kind) {
    case 'put':
      return { request_put: operation.request }
    case 'delete':
      return { request_delete_range: operation.request }
    case 'range':
      return { request_range: operation.request }
    case 'txn':
      return { request_txn: txnRequest(operation.txn) }
  }
}

export const txnRequest = (txn: Txn): Init<pb.TxnRequest> => ({
  compare: (txn.compares ?? []).map(compareMessage),
  success: (txn.success ?? []).map(operationMessage),
  failure: (txn.failure ?? []).map(operationMessage),
})

/** Whether no branch can change anything, so that a repetition is harmless. */
export const isReadOnly = (txn: Txn): boolean =>
  [...(txn.success ?? []), ...(txn.failure ?? [])].every(
    operation => operation.kind === 'range' || (operation.kind === 'txn' && isReadOnly(operation.txn)),
  )

/** A nested transaction has no revision in its header: it is that of the one around it. */
export const txnResult = (message: pb.TxnResponse, revision = revisionOf(message)): TxnResult => ({
  kind: 'txn',
  revision,
  succeeded: message.succeeded,
  results: message.responses.map(response => operationResult(response, revision)),
})

function operationResult(message: pb.ResponseOp, revision: number): OperationResult {
  if (message.response_put !== null) return putResult(message.response_put)
  if (message.response_delete_range !== null) return deleteResult(message.response_delete_range)
  if (message.response_txn !== null) return txnResult(message.response_txn, revision)
  if (message.response_range !== null) return rangeResult(message.response_range)
  throw new TypeError('a transaction was answered with an operation that is not known')
}

/** The same in steps: `db.txn().if(...).do(...).else(...).commit()`. */
export class TxnBuilder {
  readonly #commit: (txn: Txn, options?: CallOptions) => Promise<TxnResult>
  readonly #txn: Required<Txn>

  constructor(
    commit: (txn: Txn, options?: CallOptions) => Promise<TxnResult>,
    txn: Required<Txn> = { compares: [], success: [], failure: [] },
  ) {
    this.#commit = commit
    this.#txn = txn
  }

  if(...compares: Comparison[]): TxnBuilder {
    return new TxnBuilder(this.#commit, { ...this.#txn, compares: [...this.#txn.compares, ...compares] })
  }

  /** `do` rather than `then`: an object with a method `then` is taken for a promise by `await`. */
  do(...operations: Operation[]): TxnBuilder {
    return new TxnBuilder(this.#commit, { ...this.#txn, success: [...this.#txn.success, ...operations] })
  }

  else(...operations: Operation[]): TxnBuilder {
    return new TxnBuilder(this.#commit, { ...this.#txn, failure: [...this.#txn.failure, ...operations] })
  }

  commit(options?: CallOptions): Promise<TxnResult> {
    return this.#commit(this.#txn, options)
  }
}
