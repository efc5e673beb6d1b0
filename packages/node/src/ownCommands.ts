import { encodeShardCommand, type ShardCommand } from '@kvorum/model'
import { openCall, type Call } from './calls.js'
import type { Group, Turn } from './state.js'

/** Proposes a command of the node's own to a shard that it leads; one of a kind at a time. */
export function proposeOwn(
  turn: Turn,
  group: Group,
  before: Call | null,
  command: ShardCommand,
): Call | null {
  if (before !== null && !before.done) return before
  const request = { kind: 'write' as const, ranges: [], command: encodeShardCommand(command) }
  const due = turn.now + turn.state.options.electionTimeoutMs * 2
  const call = openCall(turn, { kind: 'self' }, request, due)
  if (call === null) return null
  call.group = group.id
  group.proposing.push(call)
  turn.touched.add(group)
  return call
}
