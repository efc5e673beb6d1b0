import type { OpReply } from '@kvorum/model'
import type { OperationCounts } from '@kvorum/machine'

/** Counts what a read has carried out, as it is counted where a write does the same. */
export function countReads(counts: OperationCounts, reply: OpReply): void {
  if (rangesIn(counts, reply) > 1) counts.txns++
}

function rangesIn(counts: OperationCounts, reply: OpReply): number {
  if (reply.kind !== 'txn') {
    counts.ranges++
    return 1
  }
  let ranges = 0
  for (const response of reply.responses) ranges += rangesIn(counts, response)
  return ranges
}
