import {
  decodeReply,
  type ClientRequest,
  type ClientResult,
  type GroupId,
  type Index,
  type KeyRange,
  type Millis,
  type Revision,
  type Term,
} from '@kvorum/model'
import { openCall } from './calls.js'
import { noteOracleTerm } from './membership.js'
import { isReadElsewhere } from './remotes.js'
import { learnRoute } from './routing.js'
import type { NodeState, Turn } from './state.js'

/**
 * All that this node holds, up to one revision of the oracle's: what a hash or a snapshot file of several shards is
 * made of.
 *
 *     current() -> G --> every shard's leader: nothing at or below G can come any more, as of its index
 *                    --> the replicas here have applied those indices: everything up to G is here, and more may be
 *
 * Each shard is asked about the range that the map here gives it. One that was split since refuses: its promise would be
 * about what it has left, and nobody would have asked the right half, which may have acknowledged writes of its own.
 */
export interface Standing {
  readonly at: StandsAt
  readonly shards: readonly StandingShard[]
  readonly due: Millis
  readonly reached: Reached
}

export interface StandsAt {
  readonly revision: Revision
  readonly term: Term
}

/** With the range it had when its leader was asked: whoever reads it elsewhere asks for this one. */
export interface StandingShard {
  readonly group: GroupId
  readonly range: KeyRange
  /** By which everything up to the revision is applied. */
  readonly index: Index
}

/** Null: not in time, or a shard was cut meanwhile. Of shards that are placed elsewhere nothing is here. */
export type Reached = (turn: Turn, at: StandsAt | null, shards: readonly StandingShard[]) => void

/** Those who ask see to it that they are few. */
export function standAtCurrent(turn: Turn, due: Millis, reached: Reached): void {
  ask(turn, { kind: 'oracle', ask: { kind: 'current' } }, due, (later, result) => {
    if (!result.ok) {
      reached(later, null, [])
      return
    }
    const { revision, term } = result.value.header
    noteOracleTerm(later.state, term)
    resolveAll(later, { revision, term }, due, reached)
  })
}

function resolveAll(turn: Turn, at: StandsAt, due: Millis, reached: Reached): void {
  const { shards } = turn.state.shards
  const standing = new Map<GroupId, StandingShard>()
  let isOver = false
  for (const { group, range } of shards) {
    const request = { kind: 'resolve', group, revision: at.revision, ranges: [range] } as const
    ask(turn, request, due, (later, result) => {
      if (isOver) return
      if (!result.ok && result.error.code === 'staleRoute') {
        isOver = true
        learnRoute(later.state, result.error)
        standAtCurrent(later, due, reached)
        return
      }
      const reply = result.ok ? decodeReply(result.value.body) : null
      if (reply?.kind !== 'resolved') {
        isOver = true
        reached(later, null, [])
        return
      }
      standing.set(group, { group, range, index: reply.index })
      if (standing.size < shards.length) return
      const all = shards.map(shard => standing.get(shard.group)!)
      later.state.standings.push({ at, shards: all, due, reached })
    })
  }
}

function ask(
  turn: Turn,
  request: ClientRequest,
  due: Millis,
  done: (turn: Turn, result: ClientResult) => void,
): void {
  const call = openCall(turn, { kind: 'own', done }, request, due)
  if (call !== null) turn.routing.push(call)
}

/** Ends those that stand, or stood too long. Called once a turn. */
export function driveStandings(turn: Turn): void {
  const { state } = turn
  if (state.standings.length === 0) return
  const standings = state.standings
  state.standings = []
  for (const standing of standings) {
    if (isThere(state, standing)) standing.reached(turn, standing.at, standing.shards)
    else if (turn.now >= standing.due || isLost(state, standing)) standing.reached(turn, null, [])
    else state.standings.push(standing)
  }
}

function isThere(state: NodeState, { shards }: Standing): boolean {
  return shards.every(({ group, index }) => {
    if (isReadElsewhere(state, group)) return true
    const machine = state.groups.get(group)?.machine
    return machine !== undefined && !machine.installing && machine.applied >= index
  })
}

/** No waiting brings it here. */
const isLost = (state: NodeState, { shards }: Standing): boolean =>
  shards.some(({ group }) => !isReadElsewhere(state, group) && state.groups.get(group)?.quarantined !== null)
