import { unreachable } from '@kvorum/model'
import type { Plan } from './txn.js'

/**
 * What has been carried out on this node, for metrics. Not part of the replicated state: entries that a snapshot stands
 * for are not in it, and those that are applied again after a restart are.
 */
export interface OperationCounts {
  puts: number
  /** Of the keys and values put. */
  putBytes: number
  /** Delete operations, and keys that went with a lease. */
  deletes: number
  /** Those inside of transactions; the node counts the others. */
  ranges: number
  /** Transactions of more than one operation. */
  txns: number
  /** Versions that compaction has removed. */
  compactedVersions: number
}

export const createOperationCounts = (): OperationCounts => ({
  puts: 0,
  putBytes: 0,
  deletes: 0,
  ranges: 0,
  txns: 0,
  compactedVersions: 0,
})

export function countPlan(counts: OperationCounts, plan: Plan): void {
  if (countLeaves(counts, plan) > 1) counts.txns++
}

function countLeaves(counts: OperationCounts, plan: Plan): number {
  if (plan.kind === 'txn') {
    let operations = 0
    for (const part of plan.parts) operations += countLeaves(counts, part)
    return operations
  }
  const { op } = plan
  switch (op.kind) {
    case 'put':
      counts.puts++
      counts.putBytes += op.key.length + op.value.length
      return 1
    case 'delete':
      counts.deletes++
      return 1
    case 'range':
      counts.ranges++
      return 1
    default:
      return unreachable(op)
  }
}
