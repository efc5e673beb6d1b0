import { isAttachedElsewhere } from '@kvorum/machine'
import { failCall, type Call } from '../calls.js'
import { shardOfGroup } from '../groupMachine.js'
import { leads } from '../membership.js'
import type { Turn } from '../state.js'
import type { Task } from './state.js'

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
