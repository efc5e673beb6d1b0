import { EMPTY, LIMITS, leaseId, ok, refuse, requestRange } from '@kvorum/model'
import type {
  Compare,
  CompareResult,
  DeleteOp,
  Op,
  PutOp,
  RangeOp,
  Result,
  SortOrder,
  SortTarget,
  TxnOp,
} from '@kvorum/model'
import type * as pb from './messages.js'

/**
 * Requests as the model's operations, with the checks that need nothing but the request. Rules about a
 * transaction as a whole (number of operations, duplicate keys) are the state machine's. Byte strings stay
 * views of the request.
 */

/** By number on the wire. */
const SORT_ORDERS: readonly SortOrder[] = ['none', 'ascend', 'descend']
const SORT_TARGETS: readonly SortTarget[] = ['key', 'version', 'create', 'mod', 'value']
const COMPARE_RESULTS: readonly CompareResult[] = ['equal', 'greater', 'less', 'notEqual']
const COMPARE_TARGETS: readonly Compare['target'][] = ['version', 'create', 'mod', 'value', 'lease']

export function toRangeOp(request: pb.RangeRequest): Result<RangeOp> {
  if (request.key.length === 0) return refuse('emptyKey')
  const order = SORT_ORDERS[request.sort_order]
  const target = SORT_TARGETS[request.sort_target]
  if (order === undefined || target === undefined) return refuse('invalidSortOption')
  return ok({
    kind: 'range',
    range: requestRange(request.key, request.range_end),
    limit: Math.max(request.limit, 0),
    revision: Math.max(request.revision, 0),
    order,
    target,
    keysOnly: request.keys_only,
    countOnly: request.count_only,
    minMod: request.min_mod_revision,
    maxMod: request.max_mod_revision,
    minCreate: request.min_create_revision,
    maxCreate: request.max_create_revision,
  })
}

export function toPutOp(request: pb.PutRequest): Result<PutOp> {
  if (request.key.length === 0) return refuse('emptyKey')
  if (request.ignore_value && request.value.length > 0) return refuse('valueProvided')
  if (request.ignore_lease && request.lease !== 0n) return refuse('leaseProvided')
  return ok({
    kind: 'put',
    key: request.key,
    value: request.value,
    lease: leaseId(request.lease),
    prevKv: request.prev_kv,
    ignoreValue: request.ignore_value,
    ignoreLease: request.ignore_lease,
  })
}

export function toDeleteOp(request: pb.DeleteRangeRequest): Result<DeleteOp> {
  if (request.key.length === 0) return refuse('emptyKey')
  return ok({
    kind: 'delete',
    range: requestRange(request.key, request.range_end),
    prevKv: request.prev_kv,
  })
}

export const toTxnOp = (request: pb.TxnRequest): Result<TxnOp> => txnAt(request, 1)

function txnAt(request: pb.TxnRequest, depth: number): Result<TxnOp> {
  if (depth > LIMITS.txnDepthMax)
    return refuse('tooManyOps', { detail: `nested deeper than ${LIMITS.txnDepthMax}` })
  const compares = all(request.compare, toCompare)
  if (!compares.ok) return compares
  const success = all(request.success, op => requestOpAt(op, depth))
  if (!success.ok) return success
  const failure = all(request.failure, op => requestOpAt(op, depth))
  if (!failure.ok) return failure
  return ok({ kind: 'txn', compares: compares.value, success: success.value, failure: failure.value })
}

function requestOpAt(request: pb.RequestOp, depth: number): Result<Op> {
  if (request.request_range !== null) return toRangeOp(request.request_range)
  if (request.request_put !== null) return toPutOp(request.request_put)
  if (request.request_delete_range !== null) return toDeleteOp(request.request_delete_range)
  if (request.request_txn !== null) return txnAt(request.request_txn, depth + 1)
  // etcd's text for an operation that is none
  return refuse('keyNotFound')
}

/** An operand that is absent, or is for another target, is 0 or empty, as in etcd. */
export function toCompare(compare: pb.Compare): Result<Compare> {
  if (compare.key.length === 0) return refuse('emptyKey')
  const result = COMPARE_RESULTS[compare.result]
  const target = COMPARE_TARGETS[compare.target]
  if (result === undefined || target === undefined)
    return refuse('malformed', { detail: 'unknown result or target of a compare' })
  const guard = { range: requestRange(compare.key, compare.range_end), result }
  switch (target) {
    case 'version':
      return ok({ ...guard, target, operand: compare.version ?? 0 })
    case 'create':
      return ok({ ...guard, target, operand: compare.create_revision ?? 0 })
    case 'mod':
      return ok({ ...guard, target, operand: compare.mod_revision ?? 0 })
    case 'value':
      return ok({ ...guard, target, operand: compare.value ?? EMPTY })
    case 'lease':
      return ok({ ...guard, target, operand: leaseId(compare.lease ?? 0n) })
  }
}

/** Stops at the first refusal. */
function all<From, To>(items: readonly From[], convert: (item: From) => Result<To>): Result<To[]> {
  const converted: To[] = []
  for (const item of items) {
    const result = convert(item)
    if (!result.ok) return result
    converted.push(result.value)
  }
  return ok(converted)
}
