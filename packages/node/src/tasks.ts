import { CorruptRecordError, userKeyOf } from '@kvorum/machine'
import { rangeContains, type GroupId, type StoreAnswer, type StoreNeed } from '@kvorum/model'
import { quarantine } from './quarantine.js'
import { takeId, type Turn } from './state.js'

/**
 * Work that reads the store: it runs until it needs rows, orders them, and goes on in the turn that brings
 * them. One view serves all fetches of a piece of work, so a long read sees one moment.
 */
export interface Work<Value> {
  readonly group: GroupId
  /** Where it reads the rows of several: all of them, `group` too. */
  readonly groups?: readonly GroupId[]
  readonly view: number | null
  readonly step: Generator<StoreNeed, Value, StoreAnswer>
  readonly done: (turn: Turn, value: Value) => void
  /** The work ends without a value: its group was quarantined, or its state replaced. */
  readonly failed: (turn: Turn) => void
  /** Called whenever the work begins to wait for rows. */
  readonly paused?: (turn: Turn) => void
  /** Overlay layers that were there when a fetch was ordered stay until it is answered. */
  readonly holdsLayers: boolean
  /** The view outlives this piece of work; its owner closes it. */
  readonly keepsView?: boolean
}

/** Work that waits for rows, whatever its value will be. */
export interface Task {
  readonly groups: readonly GroupId[]
  readonly holdsLayers: boolean
  readonly resume: (turn: Turn, answer: StoreAnswer) => void
  readonly drop: (turn: Turn) => void
}

export function runTask<Value>(turn: Turn, work: Work<Value>): void {
  // The first call of `next` takes no value.
  resume(turn, work, undefined as never)
}

export function fetched(turn: Turn, id: number, answer: StoreAnswer): void {
  const task = turn.state.tasks.get(id)
  if (task === undefined) return
  turn.state.tasks.delete(id)
  task.resume(turn, answer)
}

function resume<Value>(turn: Turn, work: Work<Value>, answer: StoreAnswer): void {
  let result: IteratorResult<StoreNeed, Value>
  try {
    result = work.step.next(answer)
  } catch (error) {
    if (!(error instanceof CorruptRecordError)) throw error
    drop(turn, work)
    for (const id of damagedGroups(turn, work, error)) {
      const group = turn.state.groups.get(id)
      if (group !== undefined) quarantine(turn, group, error.message)
    }
    return
  }
  if (result.done === true) {
    closeView(turn, work)
    work.done(turn, result.value)
    return
  }
  const id = takeId(turn.state)
  turn.state.tasks.set(id, {
    groups: work.groups ?? [work.group],
    holdsLayers: work.holdsLayers,
    resume: (later, rows) => resume(later, work, rows),
    drop: later => drop(later, work),
  })
  turn.out.fetch.push({ id, need: result.value, view: work.view })
  work.paused?.(turn)
}

/** Whose row it is; of a row that does not say, anybody's who is being read. */
function damagedGroups<Value>(
  turn: Turn,
  { group, groups }: Work<Value>,
  { rowKey }: CorruptRecordError,
): readonly GroupId[] {
  if (groups === undefined) return [group]
  const key = userKeyOf(rowKey)
  const owner = groups.find(id => {
    const range = turn.state.groups.get(id)?.range ?? null
    return key !== null && range !== null && rangeContains(range, key)
  })
  return owner === undefined ? groups : [owner]
}

function drop<Value>(turn: Turn, work: Work<Value>): void {
  closeView(turn, work)
  work.failed(turn)
}

function closeView<Value>(turn: Turn, work: Work<Value>): void {
  if (work.view !== null && work.keepsView !== true) turn.out.closeViews.push(work.view)
}

/** The group's data was replaced or is no longer trusted: its work ends without answers from it. */
export function dropTasks(turn: Turn, group: GroupId): void {
  for (const [id, task] of turn.state.tasks) {
    if (!task.groups.includes(group)) continue
    turn.state.tasks.delete(id)
    task.drop(turn)
  }
}

/** The oldest fetch that still relies on the overlay layers of its time; Infinity when none does. */
export function oldestHold(turn: Turn): number {
  let oldest = Infinity
  for (const [id, task] of turn.state.tasks) if (task.holdsLayers && id < oldest) oldest = id
  return oldest
}
