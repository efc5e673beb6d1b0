import type { GroupMessage, Millis, NodeId } from '@kvorum/model'
import { answerHeartbeat, hasReady, noteHeartbeatReply, step, takeMessages, type Message } from '@kvorum/raft'
import { beatsTogether } from './arming.js'
import { gatherBeat, isCrowded } from './beatOutbox.js'
import { receivedBy, routeMessages, stepGroup } from './consensus.js'
import { isIdle } from './idle.js'
import { collectReady } from './settle.js'
import type { Group, Turn } from './state.js'

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
      beat(turn, group)
    }
  }
  if (beats.groups.size === 0) beats.due = Infinity
}

/** What a tick of an idle group brings is its heartbeats; any other is settled as always. */
function beat(turn: Turn, group: Group): void {
  const raft = group.raft!
  const idle = !turn.touched.has(group) && isIdle(group)
  step(raft, { kind: 'tick', now: turn.now })
  if (idle && raft.role === 'leader') collectReady(turn, group, false)
  if (!idle || raft.role !== 'leader' || hasReady(raft, true)) turn.touched.add(group)
}

export function receiveHeartbeats(turn: Turn, from: NodeId, beats: readonly GroupMessage<Message>[]): void {
  const crowded = isCrowded(turn.state)
  for (const { group: id, message } of beats) {
    const group = receivedBy(turn, from, id, message)
    if (group === null) continue
    if (crowded) hear(turn, from, group, message)
    else stepGroup(turn, group, { kind: 'receive', now: turn.now, message })
  }
}

/** Where there is nothing to apply, to write or to tell, an answer may leave at once, and that is all there is to do. */
function hear(turn: Turn, from: NodeId, group: Group, message: Message): void {
  const raft = group.raft!
  if (noteHeartbeatReply(raft, turn.now, message)) return
  const answer = answerHeartbeat(raft, turn.now, message)
  if (answer !== null) {
    gatherBeat(turn, from, { group: group.id, message: answer })
    return
  }
  const { commit } = raft
  step(raft, { kind: 'receive', now: turn.now, message })
  const messages = raft.commit === commit && !turn.touched.has(group) ? takeMessages(raft) : null
  if (messages === null) turn.touched.add(group)
  else routeMessages(turn, group, messages)
}
