import { decodeShardCommand, prepareAbove } from '@kvorum/model'
import { commitProposed, prepareAfter } from '@kvorum/placement'
import type { Group } from '../state.js'
import { endProposed } from './lockOrder.js'

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
      endProposed(group, decoded.id)
      if (decoded.outcome.kind === 'commit')
        group.revisions = commitProposed(revisions, decoded.outcome.revision)
      return command
    default:
      return command
  }
}
