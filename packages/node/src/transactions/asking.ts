import { decodeReply, type ClientRequest, type ClientResult, type GroupId, type Reply } from '@kvorum/model'
import { openCall } from '../calls.js'
import type { Turn } from '../state.js'

/** Questions and commands of a transaction to shards, wherever they are led. */
type Done = (turn: Turn, result: ClientResult) => void

/** A command for the log of a shard. */
export const askShard = (turn: Turn, group: GroupId, command: Uint8Array, done: Done): void =>
  ask(turn, group, { kind: 'transaction', group, command }, done)

export function ask(turn: Turn, id: GroupId, request: ClientRequest, done: Done): void {
  const due = turn.now + turn.state.options.electionTimeoutMs * 2 + STEP_MS
  const call = openCall(turn, { kind: 'own', done }, request, due)
  if (call === null) return
  call.group = id
  turn.routing.push(call)
}

/** Beside two elections. */
const STEP_MS = 1_000

/** What the record says, or that there is none; null: no answer. */
export function endedIn(result: ClientResult): Extract<Reply, { kind: 'ended' }> | null {
  const reply = result.ok ? decodeReply(result.value.body) : null
  return reply?.kind === 'ended' ? reply : null
}
