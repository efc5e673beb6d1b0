import { refuse } from '@kvorum/model'
import { routeRanges } from '@kvorum/placement'
import { finishCall, type Call } from './calls.js'
import { rangesOf } from './commands.js'
import { routeOf } from './routing.js'
import { awaitLeader } from './stages.js'
import type { Group, Turn } from './state.js'

/**
 * The shard does not have all keys of the call (any more), and has not carried it out. By the newest map that this node
 * knows it goes elsewhere; where that is not newer, it waits for one.
 */
export function callMoved(turn: Turn, group: Group | null, call: Call): void {
  if (call.done) return
  call.mayHaveEffect = false
  call.stamp = null
  const { request, origin } = call
  if (origin.kind !== 'client' || (request.kind !== 'write' && request.kind !== 'read')) {
    finishCall(turn, call, refuse('staleRoute', group === null ? {} : routeOf(group)))
    return
  }
  const ranges = request.kind === 'write' ? request.ranges : rangesOf(request.op)
  const parts = routeRanges(turn.state.shards, ranges)
  if (group !== null && parts.length === 1 && parts[0]!.shard.group === group.id) {
    awaitLeader(turn, group, call)
    return
  }
  call.group = null
  turn.routing.push(call)
}
