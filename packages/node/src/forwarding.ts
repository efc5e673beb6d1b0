import type { GroupId, NodeId } from '@kvorum/model'
import { failCall, type Call } from './calls.js'
import { awaitLeader } from './stages.js'
import { sendTo, type Group, type NodeState, type Turn } from './state.js'

/**
 * Whether a question sent there now is heard, and its answer here. What is sent to a member before it has written
 * down this start is thrown away, and nobody is told: the call would wait until its deadline.
 */
export function canForwardTo({ peers }: NodeState, node: NodeId): boolean {
  const peer = peers.get(node)
  return peer !== undefined && peer.connected && peer.listens && peer.trusted
}

/** Sends a call on to another node; its answer comes back under the id that travels with it. */
export function forwardCall(turn: Turn, call: Call, group: GroupId, node: NodeId): void {
  const { calls, counters } = turn.state
  const id = calls.nextForward++
  calls.forwarded.set(id, { call, to: node })
  call.forward = id
  counters.forwarded++
  sendTo(turn, node, { kind: 'request', id, group, request: call.request })
}

/** Nothing came of sending it on: it waits for another node, unless only that one would do. */
export function takeBack(turn: Turn, group: Group, call: Call): void {
  call.mayHaveEffect = false
  if (call.origin.kind === 'hash') failCall(turn, call, 'unhealthy')
  else awaitLeader(turn, group, call)
}
