import { decodeShardCommand, prepareAbove } from '@kvorum/model'
import { commitProposed, prepareAfter } from '@kvorum/placement'
import type { Call } from '../calls.js'
import { awaitLeader } from '../stages.js'
import type { Group, Turn } from '../state.js'

/**
 * Commands of transactions on their way into the log of a shard that this node leads. What they mean for the revisions
 * that the leader gives or promises happens in the turn in which they are proposed.
 */
export function prepareForLog(group: Group, command: Uint8Array): Uint8Array {
  const { revisions } = group
  if (revisions === null) return command
  const decoded = decodeShardCommand(command)
  switch (decoded.kind) {
    case 'prepare':
      return prepareAbove(command, prepareAfter(revisions))
    case 'decide':
    case 'end':
      if (decoded.outcome.kind === 'commit')
        group.revisions = commitProposed(revisions, decoded.outcome.revision)
      return command
    default:
      return command
  }
}

/** Younger transactions hold locks in its way, or the leader is not ready: it is proposed again later. */
export function waitForLocks(turn: Turn, group: Group, call: Call): void {
  if (group.revisions === null) awaitLeader(turn, group, call)
  else group.lockWaits.push(call)
}

/** Locks are gone, or the leader has become ready. */
export function proposeAgain(turn: Turn, group: Group): void {
  const waiting = group.lockWaits
  if (waiting.length === 0 || group.revisions?.open !== true) return
  group.lockWaits = []
  for (const call of waiting) if (!call.done) group.proposing.push(call)
  turn.touched.add(group)
}
