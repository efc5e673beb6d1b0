import {
  ALL_KEYS,
  decodeReply,
  type ClientResult,
  type GroupId,
  type Millis,
  type Revision,
} from '@kvorum/model'
import { openCall } from '../calls.js'
import type { Turn } from '../state.js'
import { notePromise, noteSeen } from './news.js'
import { mergingWants } from './merging.js'

/** Asks the leaders of shards to promise what the hubs wait for. Called once a turn. */
export function askLeaders(turn: Turn): void {
  const { hub } = turn.state
  const wanted = new Map<GroupId, Revision>()
  for (const { merging } of hub.merged.values()) {
    if (merging === null) continue
    for (const { group, revision } of mergingWants(merging))
      wanted.set(group, Math.max(revision, wanted.get(group) ?? 0))
  }
  for (const [group, revision] of wanted) {
    const { resolving, again } = hub.asking
    if (!resolving.has(group) && turn.now >= (again.get(group) ?? 0)) askLeader(turn, group, revision)
  }
}

function askLeader(turn: Turn, group: GroupId, revision: Revision): void {
  const { asking } = turn.state.hub
  asking.resolving.add(group)
  const done = (later: Turn, result: ClientResult): void => {
    asking.resolving.delete(group)
    const reply = result.ok ? decodeReply(result.value.body) : null
    if (result.ok && reply?.kind === 'resolved') {
      asking.again.delete(group)
      notePromise(later, group, { revision: result.value.header.revision, index: reply.index })
    } else asking.again.set(group, later.now + later.state.options.heartbeatMs)
  }
  const request = { kind: 'resolve', group, revision, ranges: [ALL_KEYS] } as const
  const call = openCall(turn, { kind: 'own', done }, request, dueOf(turn))
  if (call !== null) turn.routing.push(call)
}

/**
 * Asks the oracle for the highest revision it has handed out, for those who want to know how far they are. `told` is
 * called with 0 when there is no answer.
 */
export function askCurrent(turn: Turn, told: (turn: Turn, revision: Revision) => void): void {
  const { asking } = turn.state.hub
  if (asking.current !== null) {
    asking.current.push(told)
    return
  }
  asking.current = [told]
  const done = (later: Turn, result: ClientResult): void => {
    const waiting = asking.current ?? []
    asking.current = null
    const revision = result.ok ? result.value.header.revision : 0
    noteSeen(later.state, revision)
    for (const one of waiting) one(later, revision)
  }
  const request = { kind: 'oracle', ask: { kind: 'current' } } as const
  const call = openCall(turn, { kind: 'own', done }, request, dueOf(turn))
  if (call !== null) turn.routing.push(call)
}

const dueOf = ({ now, state }: Turn): Millis => now + state.options.electionTimeoutMs * 2
