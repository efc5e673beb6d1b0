import { CorruptRecordError } from '@kvorum/machine'
import { MalformedError, type GroupId, type StoreAnswer, type StoreNeed } from '@kvorum/model'
import { quarantine } from './quarantine.js'
import { takeId, type Turn } from './state.js'

/**
 * Work that reads the store: it runs until it needs rows, orders them, and goes on in the turn that brings
 * them. One view serves all fetches of a piece of work, so a long read sees one moment.
 */
export interface Work {
  readonly group: GroupId
  readonly view: number | null
  readonly step: Generator<StoreNeed, unknown, StoreAnswer>
  readonly done: (turn: Turn, value: unknown) => void
  /** The work ends without a value: its group was quarantined, or its state replaced. */
  readonly failed: (turn: Turn) => void
  /** Overlay layers that were there when a fetch was ordered stay until it is answered. */
  readonly holdsLayers: boolean
  /** The view outlives this piece of work; its owner closes it. */
  readonly keepsView?: boolean
}

export function runTask(turn: Turn, work: Work): void {
  // The first call of `next` takes no value.
  resume(turn, work, undefined as never)
}

export function fetched(turn: Turn, id: number, answer: StoreAnswer): void {
  const work = turn.state.tasks.get(id)
  if (work === undefined) return
  turn.state.tasks.delete(id)
  resume(turn, work, answer)
}

function resume(turn: Turn, work: Work, answer: StoreAnswer): void {
  let result: IteratorResult<StoreNeed, unknown>
  try {
    result = work.step.next(answer)
  } catch (error) {
    if (!(error instanceof CorruptRecordError) && !(error instanceof MalformedError)) throw error
    closeView(turn, work)
    work.failed(turn)
    const group = turn.state.groups.get(work.group)
    if (group !== undefined) quarantine(turn, group, (error as Error).message)
    return
  }
  if (result.done === true) {
    closeView(turn, work)
    work.done(turn, result.value)
    return
  }
  const id = takeId(turn.state)
  turn.state.tasks.set(id, work)
  turn.out.fetch.push({ id, need: result.value, view: work.view })
}

function closeView(turn: Turn, work: Work): void {
  if (work.view !== null && work.keepsView !== true) turn.out.closeViews.push(work.view)
}

/** The group's data was replaced or is no longer trusted: its work ends without answers from it. */
export function dropTasks(turn: Turn, group: GroupId): void {
  for (const [id, work] of turn.state.tasks) {
    if (work.group !== group) continue
    turn.state.tasks.delete(id)
    closeView(turn, work)
    work.failed(turn)
  }
}

/** The oldest fetch that still relies on the overlay layers of its time; Infinity when none does. */
export function oldestHold(turn: Turn): number {
  let oldest = Infinity
  for (const [id, work] of turn.state.tasks) if (work.holdsLayers && id < oldest) oldest = id
  return oldest
}
