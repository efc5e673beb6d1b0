import { stepGroup } from './consensus.js'
import { failCall } from './calls.js'
import { note, type Group, type Turn } from './state.js'

/**
 * A replica whose data fails its checks answers nothing from it and applies nothing more. It still votes by its
 * log, which is checked on its own, and gives leadership away. Rebuilding it is the operator's for now.
 */
export function quarantine(turn: Turn, group: Group, problem: string): void {
  if (group.quarantined !== null) return
  group.quarantined = problem
  note(turn, 'error', 'A replica is quarantined: its data on this node is damaged', {
    group: group.id,
    problem,
  })
  stepGroup(turn, group, { kind: 'stateLost' })
  for (const { call } of group.proposals.values()) failCall(turn, call, 'timeout', 'unknown')
  group.proposals.clear()
  const waiting = [
    ...group.proposing,
    ...group.waiting,
    ...group.reads.queued,
    ...group.reads.confirmed.flatMap(r => r.calls),
  ]
  group.proposing = []
  group.waiting = []
  group.reads.queued = []
  group.reads.confirmed = []
  for (const call of waiting)
    failCall(turn, call, 'quarantined', call.mayHaveEffect ? 'unknown' : 'notApplied')
}
