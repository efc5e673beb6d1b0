import { LIMITS, type GroupId, type Index, type Millis, type Revision } from '@kvorum/model'
import { hasUnchecked } from './checking.js'
import { inOracleMode } from './membership.js'
import { isReadElsewhere } from './remotes.js'
import { standAtCurrent, type StandingShard } from './standing.js'
import { takeId, type Group, type Turn } from './state.js'

/**
 * Someone outside wants to read all of this node's state at one moment (a snapshot file). As soon as the store
 * holds a whole state that is not older than the question, a view of it is opened; what is read through it is
 * no business of the turn's.
 */
export interface Hold {
  readonly id: number
  /** What the store must have reached of each group. */
  readonly wanted: ReadonlyMap<GroupId, Index>
  /** Of the state only what was written up to here is whole; null: there is one shard, and all of it is. */
  readonly revision: Revision | null
  /** Where some shards have no state here: all of them, with what the others are to be asked for. */
  readonly shards: readonly StandingShard[] | null
  /** Who asks is told by then that it cannot be had. */
  readonly due: Millis
}

export function holdState(turn: Turn, id: number): void {
  if (!inOracleMode(turn.state)) {
    hold(turn, id, null, [])
    return
  }
  standAtCurrent(turn, turn.now + LIMITS.standMsMax, (later, at, shards) => {
    if (at === null) later.out.holds.push({ id, view: null, revision: null, shards: null })
    else hold(later, id, at.revision, shards)
  })
}

function hold(turn: Turn, id: number, revision: Revision | null, all: readonly StandingShard[]): void {
  const { state } = turn
  const shards = all.some(({ group }) => isReadElsewhere(state, group)) ? all : null
  const groups = [...state.groups.values()].filter(group => !isReadElsewhere(state, group.id))
  if (groups.length === 0 || !groups.every(isUsable) || hasUnchecked(state)) {
    turn.out.holds.push({ id, view: null, revision, shards: null })
    return
  }
  const wanted = new Map(groups.map(group => [group.id, group.machine.applied]))
  const due = turn.now + LIMITS.standMsMax
  state.holds = [...state.holds, { id, wanted, revision, shards, due }]
}

const isUsable = ({ raft, quarantined, machine }: Group): boolean =>
  raft !== null && quarantined === null && !machine.installing

/** To be called before the next batch is handed to the store. */
export function openHolds(turn: Turn): void {
  const { state } = turn
  if (state.holds.length === 0) return
  for (const { id, revision, due } of state.holds)
    if (turn.now >= due) turn.out.holds.push({ id, view: null, revision, shards: null })
  state.holds = state.holds.filter(({ due }) => turn.now < due)
  if (state.flushing.out !== null) return
  const [open, waiting]: [Hold[], Hold[]] = [[], []]
  for (const hold of state.holds) (isReached(turn, hold) ? open : waiting).push(hold)
  state.holds = waiting
  for (const { id, wanted, revision, shards } of open) {
    const usable = [...wanted.keys()].every(group => {
      const found = state.groups.get(group)
      return found !== undefined && isUsable(found)
    })
    const places = shards?.map(shard => ({ ...shard, here: wanted.has(shard.group) })) ?? null
    turn.out.holds.push({ id, view: usable ? takeId(state) : null, revision, shards: places })
  }
}

/** A group that has lost its state meanwhile is not waited for. */
const isReached = ({ state }: Turn, { wanted }: Hold): boolean =>
  [...wanted].every(([id, applied]) => {
    const group = state.groups.get(id)
    if (group === undefined || !isUsable(group)) return true
    const flushed = state.flushing.flushed.get(id)
    return flushed !== undefined && flushed.whole && flushed.applied >= applied
  })
