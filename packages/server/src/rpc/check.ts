import { checkOp } from '@kvorum/machine'
import { LIMITS, type KvError } from '@kvorum/model'
import type { Prepared } from '@kvorum/protocol'
import type { EdgeLimits } from '../edge/edge.js'

/** The rules about a transaction as a whole, which need no data and so are checked before the log. */
export function checkRequest({ op }: Prepared, limits: EdgeLimits): { ok: false; error: KvError } | null {
  const error = op === null ? null : checkOp(op, { ...LIMITS, txnOpsMax: limits.txnOpsMax })
  return error === null ? null : { ok: false, error }
}
