import { LIMITS, type GroupMessage, type NodeId } from '@kvorum/model'
import type { Message } from '@kvorum/raft'
import { sendTo, type NodeState, type Turn } from './state.js'

/** Heartbeats and answers to them, gathered over a turn where there are many groups; see beats.ts. */

/** With few groups there is nothing to be gained. */
export const isCrowded = ({ groups, options }: NodeState): boolean =>
  groups.size >= options.limits.sharedBeatGroupsMin

export const isBeat = ({ kind }: Message): boolean => kind === 'heartbeat' || kind === 'heartbeatReply'

export function gatherBeat(turn: Turn, node: NodeId, beat: GroupMessage<Message>): void {
  const beats = turn.beats.get(node)
  if (beats === undefined) turn.beats.set(node, [beat])
  else beats.push(beat)
}

/** The last of a turn: what was said to one node leaves together. */
export function sendBeats(turn: Turn): void {
  for (const [node, beats] of turn.beats) {
    for (let at = 0; at < beats.length; at += LIMITS.heartbeatsPerMessageMax) {
      const some = beats.slice(at, at + LIMITS.heartbeatsPerMessageMax)
      sendTo(turn, node, { kind: 'heartbeats', beats: some })
    }
  }
  turn.beats.clear()
}
