import {
  type Compare,
  type ErrorCode,
  type KvError,
  LIMITS,
  type Op,
  type PutOp,
  type RangeOp,
  refuse,
  type ShardCommand,
  type TxnOp,
} from '@kvorum/model'
import { hasDuplicateKey } from './duplicateKey.js'

/** The bounds that a static check needs. */
export interface OpLimits {
  readonly txnOpsMax: number
  readonly txnDepthMax: number
  readonly leaseTtlMax: number
}

/**
 * What is wrong with a request whatever the store holds; checked at the edge, before the log. In the order of
 * etcd's own checks, so that a request that is wrong twice gets the same answer.
 */
export function checkOp(op: Op, limits: OpLimits = LIMITS): KvError | null {
  const code = op.kind === 'txn' ? checkTxn(op, limits) : checkSingle(op)
  return code === null ? null : refuse(code).error
}

export function checkCommand(command: ShardCommand, limits: OpLimits = LIMITS): KvError | null {
  switch (command.kind) {
    case 'write':
      return checkOp(command.op, limits)
    case 'leaseGrant':
      if (command.id === 0n) return refuse('leaseNotFound').error
      return command.ttl > limits.leaseTtlMax ? refuse('leaseTtlTooLarge').error : null
    case 'leaseRevoke':
    case 'compact':
    case 'sessionOpen':
    case 'authFence':
    case 'publish':
    case 'guard':
    case 'reclaim':
    case 'endDense':
    case 'split':
    case 'decide':
    case 'end':
    case 'forget':
    case 'prepare':
      return null
  }
}

function checkSingle(op: Exclude<Op, TxnOp>): ErrorCode | null {
  switch (op.kind) {
    case 'put':
      return checkPut(op)
    case 'delete':
      return op.range.start.length === 0 ? 'emptyKey' : null
    case 'range':
      return checkRange(op)
  }
}

function checkPut(op: PutOp): ErrorCode | null {
  if (op.key.length === 0) return 'emptyKey'
  if (op.ignoreValue && op.value.length > 0) return 'valueProvided'
  if (op.ignoreLease && op.lease !== 0n) return 'leaseProvided'
  return null
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

function checkRange(op: RangeOp): ErrorCode | null {
  if (op.range.start.length === 0) return 'emptyKey'
  return isCount(op.limit) && isCount(op.revision) ? null : 'malformed'
}

function checkTxn(op: TxnOp, limits: OpLimits): ErrorCode | null {
  const code = checkTree(op, limits.txnOpsMax, limits.txnDepthMax)
  if (code !== null) return code
  // etcd bounds only the path, not the tree, which lets a small request ask for very many operations.
  if (countOps(op) > limits.txnOpsMax * limits.txnDepthMax) return 'tooManyOps'
  return hasDuplicateKey(op) ? 'duplicateKey' : null
}

/** `budget`: what the transactions around this one have left of the operations allowed. */
function checkTree(op: TxnOp, budget: number, depth: number): ErrorCode | null {
  const size = Math.max(op.compares.length, op.success.length, op.failure.length)
  if (size > budget || depth === 0) return 'tooManyOps'
  if (op.compares.some(hasEmptyKey)) return 'emptyKey'
  for (const branch of [op.success, op.failure]) {
    for (const nested of branch) {
      const code = nested.kind === 'txn' ? checkTree(nested, budget - size, depth - 1) : checkSingle(nested)
      if (code !== null) return code
    }
  }
  return null
}

const hasEmptyKey = (compare: Compare): boolean => compare.range.start.length === 0

function countOps(op: Op): number {
  if (op.kind !== 'txn') return 1
  let count = 1
  for (const nested of op.success) count += countOps(nested)
  for (const nested of op.failure) count += countOps(nested)
  return count
}
