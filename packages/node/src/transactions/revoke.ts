import type { LeaseId } from '@kvorum/model'
import { failCall, type Call } from '../calls.js'
import { shardOfGroup } from '../groupMachine.js'
import { isAttachedElsewhere } from '../leases.js'
import { leads } from '../membership.js'
import type { Group, Turn } from '../state.js'
import { begin } from './coordinate.js'
import type { Task } from './state.js'

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

/** Before every try: whether it is still this leader's to end the lease, by a transaction. If not, the call moves on. */
export function mayGoOn(turn: Turn, call: Call, task: Task): boolean {
  if (task.kind !== 'revoke') return true
  const group = turn.state.groups.get(task.home)
  const shard = group === undefined ? null : shardOfGroup(group)
  const isLeader = group !== undefined && leads(group) && group.ledTerm === task.term
  if (isLeader && shard !== null && isAttachedElsewhere(shard, task.lease)) return true
  // The time of a lease is up by the clock of one leadership.
  if (call.origin.kind === 'self') failCall(turn, call, 'leaderChanged')
  else turn.routing.push(call)
  return false
}
