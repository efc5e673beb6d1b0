import { META_GROUP, type AuthState, type ReplyHeader } from '@kvorum/model'
import { answerCall, openCall, type Call } from './calls.js'
import { leads, metaOf } from './membership.js'
import type { Group, NodeState, Turn } from './state.js'
import { fenceHere } from './transactions/fencing.js'
import { routeCall } from './writes.js'

/** An answer about users or roles that waits until every shard holds what it acknowledges. */
export interface HeldAnswer {
  readonly call: Call
  readonly header: ReplyHeader
  readonly body: Uint8Array
  readonly fence: number
}

/** Users and roles as the meta group has them here; null while it has no state. */
export const authOf = (state: NodeState): AuthState | null => metaOf(state)?.auth ?? null

/** Answers at once where every shard is known to hold the newest change already. */
export function answerWhenFenced(turn: Turn, held: Omit<HeldAnswer, 'fence'>): void {
  const fence = authOf(turn.state)?.fence ?? 0
  turn.state.heldAnswers.push({ ...held, fence })
  driveAuthChanges(turn)
}

/**
 * Puts the newest change into the log of every shard that lacks it: the meta group's leader does, and whoever has
 * an answer that waits for it. An entry too many does no harm.
 */
export function driveAuthChanges(turn: Turn): void {
  const { state } = turn
  state.authFences.moved = false
  const auth = authOf(state)
  const meta = state.groups.get(META_GROUP)
  if (auth === null || meta === undefined) return
  if (auth.fence > 0 && (leads(meta) || state.heldAnswers.length > 0)) sendFences(turn, auth)
  if (state.heldAnswers.length > 0) releaseAnswers(turn)
}

function sendFences(turn: Turn, auth: AuthState): void {
  const { authFences, options, shards } = turn.state
  const fence = { revision: auth.fence, enabled: auth.enabled }
  for (const { group } of shards.shards) {
    if (appliedFence(turn.state, group) >= auth.fence) continue
    if ((authFences.askedUntil.get(group) ?? 0) > turn.now) continue
    const until = turn.now + options.electionTimeoutMs * 2
    authFences.askedUntil.set(group, until)
    const call = openCall(turn, { kind: 'self' }, { kind: 'authFence', group, fence }, until)
    if (call !== null) routeCall(turn, call)
  }
}

/** By its own replica, if it has one, or by what the shard's leader answered. */
function appliedFence(state: NodeState, group: Group['id']): number {
  const here = state.groups.get(group)
  const own = here === undefined ? 0 : fenceHere(here)
  return Math.max(own, state.authFences.applied.get(group) ?? 0)
}

function releaseAnswers(turn: Turn): void {
  const { state } = turn
  const least = Math.min(...state.shards.shards.map(({ group }) => appliedFence(state, group)))
  const ready = state.heldAnswers.filter(({ call, fence }) => call.done || fence <= least)
  if (ready.length === 0) return
  state.heldAnswers = state.heldAnswers.filter(held => !ready.includes(held))
  for (const { call, header, body } of ready) answerCall(turn, call, header, body)
}
