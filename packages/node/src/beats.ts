import type { GroupMessage, Millis, NodeId } from '@kvorum/model'
import { nextDue, step, takeMessages, type Message } from '@kvorum/raft'
import { isCrowded } from './beatOutbox.js'
import { receivedBy, routeMessages, stepGroup } from './consensus.js'
import { nextLeaseDue } from './leases.js'
import type { Group, NodeState, Turn } from './state.js'
import { armTimer, refreshTimers } from './timers.js'

/**
 * Heartbeats of many groups. Nobody hibernates: every group's leader is heard by every follower as often as if the
 * group were alone. But the leaders of one node beat at one time, what they say to one peer travels in one message,
 * and so do the answers; and a group that had nothing else to do in a turn is not gone through for it.
 *
 *     beat due --> tick every leader --> outbox of beats --> one message a peer
 *     message of beats --> step every group --> answer taken at once, or the group is settled as always
 *
 * Raft sees none of this: each heartbeat is a message of its group, in its group's term.
 */
export interface Beats {
  /** When the leaders beat next; Infinity while there are none. */
  due: Millis
  /** Groups that this node leads, or led a moment ago. */
  readonly groups: Set<Group>
}

export const createBeats = (): Beats => ({ due: Infinity, groups: new Set() })

const beatsTogether = (state: NodeState, { raft }: Group): boolean =>
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

/** Ticks the leaders whose heartbeat is due. */
export function fireBeats(turn: Turn): void {
  const { state, now } = turn
  const { beats } = state
  if (now < beats.due) return
  beats.due = now + state.options.heartbeatMs
  for (const group of beats.groups) {
    if (!beatsTogether(state, group)) {
      beats.groups.delete(group)
      turn.touched.add(group)
    } else if (group.raft!.heartbeatDue <= now) {
      stepGroup(turn, group, { kind: 'tick', now })
    }
  }
  if (beats.groups.size === 0) beats.due = Infinity
}

/** Followers hear their leaders all the time: those whose timers were moved need not wake the node for it. */
export function skipMovedTimers({ state }: Turn): void {
  if (!isCrowded(state)) return
  refreshTimers(state.timers, id => {
    const group = state.groups.get(id)
    return group === undefined ? Infinity : dueOf(state, group)
  })
}

export function receiveHeartbeats(turn: Turn, from: NodeId, beats: readonly GroupMessage<Message>[]): void {
  for (const { group: id, message } of beats) {
    const group = receivedBy(turn, from, id, message)
    if (group !== null) hear(turn, group, message)
  }
}

function hear(turn: Turn, group: Group, message: Message): void {
  const raft = group.raft!
  const { commit } = raft
  step(raft, { kind: 'receive', now: turn.now, message })
  // Nothing to apply, to write or to tell: an answer may leave at once, and that is all there is to do.
  const messages = raft.commit === commit && !turn.touched.has(group) ? takeMessages(raft) : null
  if (messages === null) turn.touched.add(group)
  else routeMessages(turn, group, messages)
}
