import { commandHeader, decodeShardCommand, refuse, type ErrorCode, type KvError } from '@kvorum/model'
import { guardRefusal, mayBeRefused } from '@kvorum/machine'
import type { Call } from './calls.js'
import { commandOf } from './commands.js'
import { leads } from './membership.js'
import type { Group, Turn } from './state.js'
import type { NodeLimits } from './types.js'

/**
 * What the shard's own state refuses for now. A leader asks before it proposes, so that a full or corrupt cluster
 * does not fill its log with refusals; what counts is that every replica asks again when it applies.
 */
export function refusedByGuard(group: Group, call: Call, { leasesMax }: NodeLimits): KvError | null {
  const { shard } = group.machine
  const { request } = call
  if (shard === null) return null
  // The leader's own bound, and not the state's: members may be given different ones.
  if (request.kind === 'leaseGrant' && shard.leases.size >= leasesMax) return refuse('tooManyLeases').error
  switch (request.kind) {
    case 'write':
    case 'leaseGrant':
    case 'leaseRevoke':
    case 'compact': {
      const command = request.kind === 'write' ? request.command : commandOf(request)
      if (!mayBeRefused(shard, command.length)) return null
      // It may have been carried out already, and then it has its answer: only applying it can tell.
      if (commandHeader(command).session !== null) return null
      return guardRefusal(shard, decodeShardCommand(command))
    }
    default:
      return null
  }
}

/** Where the quota refused something, and not an alarm, the leader sees to it that there is one. */
export function noticeNoSpace(turn: Turn, group: Group, code: ErrorCode): void {
  if (code !== 'noSpace' || !leads(group) || group.machine.shard?.guard.noSpace !== false) return
  turn.state.alarms.spaceRanOut = true
}
