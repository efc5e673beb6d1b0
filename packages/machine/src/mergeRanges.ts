import { EMPTY, ok, type KeyValue, type RangeOp, type RangeReply, refuse, type Result } from '@kvorum/model'
import { orderOf } from './best.js'
import { chargeOf, isFiltered } from './rangeRead.js'

/**
 * A range over several shards, read at one revision: each shard is asked by `partOfRange`, and `mergeRanges` makes of
 * their answers the one that a single shard would give.
 */

/** What each shard is asked for its part; the caller cuts the range. */
export function partOfRange(op: RangeOp): RangeOp {
  if (op.countOnly || op.target === 'key') return op
  if (cutsFirst(op))
    return { ...op, target: 'key', limit: op.limit + 1, keysOnly: stripsLater(op) ? false : op.keysOnly }
  return stripsLater(op) ? { ...op, keysOnly: false } : op
}

/** As in a shard: without an order the first in key order are taken, one beyond the limit, and then sorted. */
const cutsFirst = (op: RangeOp): boolean =>
  op.order === 'none' && op.target !== 'key' && op.limit > 0 && !isFiltered(op)

/** Values are wanted for the order only. */
const stripsLater = (op: RangeOp): boolean => op.keysOnly && op.target === 'value'

/** `parts`: the shards' answers in the order of their keys. `budget` bounds the answer as it does in a shard. */
export function mergeRanges(op: RangeOp, parts: readonly RangeReply[], budget: number): Result<RangeReply> {
  const count = parts.reduce((sum, part) => sum + part.count, 0)
  if (op.countOnly) return ok({ kind: 'range', kvs: [], more: false, count })
  const found = parts.flatMap(({ kvs }) => kvs)
  const seen = cutsFirst(op) ? found.slice(0, op.limit + 1) : found
  const isInOrder = op.target === 'key' && op.order !== 'descend'
  const sorted = isInOrder ? seen : [...seen].sort(orderOf(op))
  const kvs = (op.limit > 0 ? sorted.slice(0, op.limit) : sorted).map(kv => shown(op, kv))
  const more = seen.length > kvs.length || (!cutsFirst(op) && parts.some(part => part.more))
  const charge = kvs.reduce((sum, kv) => sum + chargeOf(kv), 0)
  if (charge > budget) return refuse('responseTooLarge')
  return ok({ kind: 'range', kvs, more, count })
}

const shown = (op: RangeOp, kv: KeyValue): KeyValue => (op.keysOnly ? { ...kv, value: EMPTY } : kv)
