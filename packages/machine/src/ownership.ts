import {
  isAllKeys,
  type KeyRange,
  type Op,
  rangeContains,
  rangeCovers,
  type ShardCommand,
} from '@kvorum/model'

/**
 * Whether all keys that the command looks at or changes, in any branch, are the shard's. They may have been when it was
 * routed: an entry before it in the log has split the shard since. What concerns no keys of its own is always owned.
 */
export const ownsCommand = (range: KeyRange, command: ShardCommand): boolean =>
  command.kind !== 'write' || ownsOp(range, command.op)

export function ownsOp(range: KeyRange, op: Op): boolean {
  // The only shard there is: nothing can have moved.
  if (isAllKeys(range)) return true
  switch (op.kind) {
    case 'put':
      return rangeContains(range, op.key)
    case 'delete':
    case 'range':
      return rangeCovers(range, op.range)
    case 'txn': {
      const isOwn = (nested: Op): boolean => ownsOp(range, nested)
      return (
        op.compares.every(compare => rangeCovers(range, compare.range)) &&
        op.success.every(isOwn) &&
        op.failure.every(isOwn)
      )
    }
  }
}
