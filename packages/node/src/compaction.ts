import { compactPhysically, hasPhysicalCompaction, overlayBytes, reclaimable } from '@kvorum/machine'
import { encodeReply } from '@kvorum/model'
import { driveReclaim } from './alarms.js'
import { answerCall, type Call } from './calls.js'
import { termOf } from './membership.js'
import type { Group, Turn } from './state.js'
import { runTask } from './tasks.js'

/**
 * Removing compacted history from the store, page by page, in the background. It yields to everything else:
 * one page at a time, and none while the overlay is half full.
 */
export interface Compacting {
  busy: boolean
  /** Clients that asked to be answered when it is really gone. */
  waiting: { readonly call: Call; readonly revision: number }[]
}

export const createCompacting = (): Compacting => ({ busy: false, waiting: [] })

export function driveCompaction(turn: Turn, group: Group): void {
  const { compacting, machine } = group
  const { shard } = machine
  if (shard === null || compacting.busy || machine.installing || group.quarantined !== null) return
  if (!hasPhysicalCompaction(shard)) {
    // Whoever waits for the rows to be gone waits for the room as well.
    if (reclaimable(shard) === null) answerWaiting(turn, group)
    return
  }
  const { overlay, options } = turn.state
  if (overlayBytes(overlay) * 2 > options.limits.overlayBytesMax) return
  compacting.busy = true
  runTask(turn, {
    group: group.id,
    view: null,
    step: compactPhysically(shard, overlay),
    done: later => {
      compacting.busy = false
      driveReclaim(later, group)
      later.state.flushing.dirty.add(group)
      later.state.unsettled.add(group)
      later.out.again = true
    },
    failed: () => {
      compacting.busy = false
    },
    holdsLayers: true,
  })
}

function answerWaiting(turn: Turn, group: Group): void {
  const { waiting } = group.compacting
  if (waiting.length === 0) return
  group.compacting.waiting = []
  for (const { call, revision } of waiting) {
    answerCall(turn, call, { revision, term: termOf(turn.state, group) }, encodeReply({ kind: 'done' }))
  }
}
