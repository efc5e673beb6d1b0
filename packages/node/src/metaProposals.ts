import { encodeMetaCommand, type MetaCommand } from '@kvorum/placement'
import { openCall } from './calls.js'
import type { Turn } from './state.js'

/** Proposes a command of the node's own to the meta group; at most one is under way. */
export function proposeMeta(turn: Turn, command: MetaCommand, authRevision: number | null = null): void {
  const { state } = turn
  if (turn.now < state.metaCommandUntil) return
  state.metaCommandUntil = turn.now + state.options.electionTimeoutMs * 2
  const request = { kind: 'meta' as const, command: encodeMetaCommand(command, authRevision) }
  const call = openCall(turn, { kind: 'self' }, request, state.metaCommandUntil)
  if (call !== null) turn.routing.push(call)
}
