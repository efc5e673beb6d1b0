import type { LeaseId } from '@kvorum/model'
import { isAttachedElsewhere } from '@kvorum/machine'
import type { Call } from '../calls.js'
import { shardOfGroup } from '../groupMachine.js'
import type { Group, Turn } from '../state.js'
import { begin } from './coordinate.js'

/**
 * The end of a lease, asked of the leader of its home. Where only the home can have keys of it, it is one entry of the
 * home's log; the home looks again when it is applied. Otherwise it is a transaction of the home and of all shards that
 * may have keys, which this leader coordinates: all keys go at one revision, or the lease lives.
 */
export function revokeLease(turn: Turn, group: Group, call: Call, lease: LeaseId): void {
  const shard = shardOfGroup(group)
  if (shard !== null && group.revisions !== null && isAttachedElsewhere(shard, lease)) {
    begin(turn, call, { kind: 'revoke', lease, home: group.id, term: group.ledTerm })
    return
  }
  group.proposing.push(call)
  turn.touched.add(group)
}
