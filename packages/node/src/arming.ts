import type { Millis } from '@kvorum/model'
import { nextDue } from '@kvorum/raft'
import { isCrowded } from './beatOutbox.js'
import { nextLeaseDue } from './leases.js'
import type { Group, NodeState, Turn } from './state.js'
import { armTimer, refreshTimers } from './timers.js'

/** When a group is looked at next without anybody asking: by its own timer, or with all others that beat; see beats.ts. */

export const beatsTogether = (state: NodeState, { raft }: Group): boolean =>
  raft !== null && raft.role === 'leader' && raft.progress.size > 0 && isCrowded(state)

/** Makes sure that the group is ticked when it is due: with all others when it only has to beat. */
export function armGroup({ state }: Turn, group: Group): void {
  if (group.raft === null) return
  if (beatsTogether(state, group)) {
    state.beats.groups.add(group)
    // A leader that comes later beats with the others as soon as its own time has come, within two intervals.
    if (state.beats.due === Infinity) state.beats.due = group.raft.heartbeatDue
  }
  armTimer(state.timers, group.id, dueOf(state, group))
}

/** When the group has something to do of its own. */
function dueOf(state: NodeState, group: Group): Millis {
  const { raft } = group
  if (raft === null) return Infinity
  const due = nextDue(raft)
  const own = due === raft.heartbeatDue && beatsTogether(state, group) ? Infinity : due
  return Math.min(own, nextLeaseDue(group))
}

/** Followers hear their leaders all the time: those whose timers were moved need not wake the node for it. */
export function skipMovedTimers({ state }: Turn): void {
  if (!isCrowded(state)) return
  refreshTimers(state.timers, id => {
    const group = state.groups.get(id)
    return group === undefined ? Infinity : dueOf(state, group)
  })
}
