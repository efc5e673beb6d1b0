import { refuse, type KvError, type Op, type TxnOp } from '@kvorum/model'
import type { Prepared } from '@kvorum/protocol'
import type { EdgeLimits } from '../edge/edge.js'

/** The rules about a transaction as a whole, which need no data and so are checked before the log. */
export function checkRequest({ op }: Prepared, limits: EdgeLimits): { ok: false; error: KvError } | null {
  return op?.kind === 'txn' && !fits(op, limits.txnOpsMax) ? refuse('tooManyOps') : null
}

/** A nested transaction may use what its parent leaves. */
function fits(txn: TxnOp, budget: number): boolean {
  const left = budget - Math.max(txn.compares.length, txn.success.length, txn.failure.length)
  const nestedFits = (op: Op): boolean => op.kind !== 'txn' || fits(op, left)
  return left >= 0 && txn.success.every(nestedFits) && txn.failure.every(nestedFits)
}
