import type { ClientRequest, ClientResult, GroupId } from '@kvorum/model'
import { openCall, type Call } from './calls.js'
import type { Turn } from './state.js'

/**
 * A call that takes several: the node that received it asks whoever must be asked, each with a call of its own, and
 * makes one answer of theirs.
 *
 *     client's call --> askPart, askPart, ... --> done(result) each --> finishCall / answerCall of the client's
 *
 * The parts have the client's deadline and its rights. When the client's call ends, for whatever reason, those that
 * are left end unheard; what they ask of other nodes may still happen there.
 */
export type PartDone = (turn: Turn, result: ClientResult) => void

/** `group`: whom the request is for, where it is not known from the request. */
export function askPart(
  turn: Turn,
  parent: Call,
  request: ClientRequest,
  group: GroupId | null,
  done: PartDone,
): void {
  if (parent.done) return
  const { authority } = parent.request
  const allowed = authority === undefined ? request : { ...request, authority }
  const call = openCall(turn, { kind: 'part', parent, done }, allowed, parent.due)
  if (call === null) return
  parent.parts.push(call)
  call.group = group
  turn.routing.push(call)
}
