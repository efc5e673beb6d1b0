import type { GroupId, NodeId } from '@kvorum/model'
import { step, transferLeadership, type Message, type RaftEvent } from '@kvorum/raft'
import { gatherBeat, isBeat, isCrowded } from './beatOutbox.js'
import { isUnchecked } from './checking.js'
import { keepEarly } from './earlyMessages.js'
import { nodeOfReplica } from './membership.js'
import { sendTo, type Group, type Turn } from './state.js'

/** Everything that goes into raft goes through here; what comes out of it is collected in settle.ts. */
export function stepGroup(turn: Turn, group: Group, event: RaftEvent): void {
  if (group.raft === null) return
  step(group.raft, event)
  turn.touched.add(group)
}

export function receiveRaft(turn: Turn, from: NodeId, groupId: GroupId, message: Message): void {
  const group = receivedBy(turn, from, groupId, message)
  if (group !== null) stepGroup(turn, group, { kind: 'receive', now: turn.now, message })
}

/** Whom the message is for; null: nobody here, or it does not come from where its sender lives. */
export function receivedBy(turn: Turn, from: NodeId, groupId: GroupId, message: Message): Group | null {
  const group = turn.state.groups.get(groupId)
  if (group === undefined) keepEarly(turn, from, groupId, message)
  if (group === undefined || group.raft === null || message.to !== group.replica) return null
  const known = nodeOfReplica(group, message.from)
  if (known !== null && known !== from) return null
  // A leader may be one that this replica's log does not tell of yet, and wants an answer all the same.
  if (known === null && group.heard.size < HEARD_MAX) group.heard.set(message.from, from)
  return group
}

const HEARD_MAX = 64

/**
 * Sends raft's messages to the nodes where their receivers live. What has not been compared yet is not offered to
 * others: whoever took it would have the same, and be the majority that says it is right.
 */
export function routeMessages(turn: Turn, group: Group, messages: readonly Message[]): void {
  for (const message of messages) {
    if (message.kind === 'snapshot' && isUnchecked(group)) continue
    const node = nodeOfReplica(group, message.to)
    if (node === null) continue
    if (isBeat(message) && isCrowded(turn.state)) gatherBeat(turn, node, { group: group.id, message })
    else sendTo(turn, node, { kind: 'raft', group: group.id, message })
  }
}

/**
 * Gives the group's leadership to the best other voter that `suits`, if this node leads. Returns whether it does
 * (still).
 */
export function handOver(
  turn: Turn,
  group: Group,
  suits: (node: NodeId | null) => boolean = () => true,
): boolean {
  const { raft } = group
  if (raft === null || raft.role !== 'leader') return false
  if (raft.transfer !== null) return true
  const candidates = raft.config.voters
    .filter(voter => voter !== raft.id)
    .filter(voter => suits(nodeOfReplica(group, voter)))
    .sort((a, b) => (raft.progress.get(b)?.match ?? 0) - (raft.progress.get(a)?.match ?? 0))
  for (const candidate of candidates) {
    if (transferLeadership(raft, turn.now, candidate) === null) {
      turn.touched.add(group)
      return true
    }
  }
  return candidates.length > 0
}
