import { LIMITS, type Millis, type Revision } from '@kvorum/model'
import type { Comparison } from './comparison.js'
import type { MaintenanceOptions } from './maintenance.js'
import type { Group, NodeState } from './state.js'

/** How far the comparisons of one replica with the others have come; see corruptChecks.ts. */
export interface Checking {
  /** Clients get answers from this replica; false until the check at the start has passed. */
  trusted: boolean
  /** Under way; at most one at a time. */
  comparison: Comparison | null
  /** The revision at which it compares after a compaction; 0: it is another one. */
  comparing: Revision
  /** The check at the start is tried again at this time. */
  startAt: Millis
  /** So long it waits for the hash of each other member then. */
  patienceMs: Millis
  /** Since when this node leads the shard without having passed that check; 0: it does not. */
  leadsSince: Millis
  /** The next check from time to time, and the next look for a compaction; 0: not planned yet. */
  everyAt: Millis
  compactedAt: Millis
  /** The last compaction after which all members were compared. */
  comparedCompact: Revision
  /** Checks in a row that left somebody out. */
  repeated: number
}

export const createChecking = ({ corruptCheck }: MaintenanceOptions): Checking => ({
  trusted: !corruptCheck.atStart,
  comparison: null,
  comparing: 0,
  startAt: 0,
  patienceMs: LIMITS.startHashMs,
  leadsSince: 0,
  everyAt: 0,
  compactedAt: 0,
  comparedCompact: 0,
  repeated: 0,
})

/** Whether something of this shard is still to be compared before a client may see it. */
export const isUnchecked = ({ range, checking }: Group): boolean => range !== null && !checking.trusted

/** Election timeouts for which a leader's check may take before another member is to try its luck. */
const LEAD_TIMEOUTS = 5

/**
 * Somebody has to lead for the checks to pass after a start of all members. Later on others have passed theirs,
 * and a leader that has not keeps all clients waiting.
 */
export const mayLead = (state: NodeState, now: Millis): boolean =>
  !state.options.maintenance.corruptCheck.atStart ||
  [...state.groups.values()].every(
    ({ checking: { leadsSince } }) =>
      leadsSince === 0 || now - leadsSince <= LEAD_TIMEOUTS * state.options.electionTimeoutMs,
  )

export const hasUnchecked = ({ groups }: NodeState): boolean => [...groups.values()].some(isUnchecked)
