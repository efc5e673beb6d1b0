import { copyBitset, emptyBitset, flip, sameBitset, type Bitset } from './bitset.js'
import type { History, Operation } from './history.js'
import type { SequentialModel } from './model.js'

/**
 * Linearizability by search: Wing and Gong's algorithm with Lowe's memory of (set of linearized operations,
 * state), applied to each part of a partitioned history.
 *
 * Operations that failed are left out. Unknown ones have no end: the search may place them anywhere after
 * their call, or nowhere.
 */
export type Verdict =
  | { readonly kind: 'legal' }
  /** `longest`: ids of the longest legal order that was found; `stuck`: the operation that fits nowhere in it. */
  | { readonly kind: 'illegal'; readonly longest: readonly number[]; readonly stuck: number }
  /** The budget ran out. Whoever asked must not take it for legal. */
  | { readonly kind: 'unknown' }

/** Steps of the model before the search gives up. */
export const SEARCH_STEPS_MAX = 5_000_000

export function checkLinearizable<State, Op, Result>(
  model: SequentialModel<State, Op, Result>,
  history: History<Op, Result>,
  stepsMax = SEARCH_STEPS_MAX,
): Verdict {
  const possible = history.filter(operation => operation.outcome !== 'fail')
  const budget = { steps: stepsMax }
  let unknown = false
  for (const part of model.partition?.(possible) ?? [possible]) {
    const verdict = search(model, part, budget)
    if (verdict.kind === 'illegal') return verdict
    if (verdict.kind === 'unknown') unknown = true
  }
  return unknown ? { kind: 'unknown' } : { kind: 'legal' }
}

/** A call or a return in the order of time, in a doubly linked list from which linearized pairs are lifted. */
interface Event<Op, Result> {
  readonly operation: Operation<Op, Result>
  /** Position in the history: the member of the bitset. */
  readonly member: number
  /** Of a call, its return; null for a call without one, and for returns. */
  readonly match: Event<Op, Result> | null
  readonly isCall: boolean
  previous: Event<Op, Result> | null
  next: Event<Op, Result> | null
}

interface Choice<State, Op, Result> {
  readonly call: Event<Op, Result>
  /** The state before it. */
  readonly state: State
}

function search<State, Op, Result>(
  model: SequentialModel<State, Op, Result>,
  history: History<Op, Result>,
  budget: { steps: number },
): Verdict {
  const head = eventList(history)
  const stack: Choice<State, Op, Result>[] = []
  const memory = new Memory()
  const linearized = emptyBitset(history.length)
  let open = history.filter(operation => operation.return !== Infinity).length
  let state = model.initial
  let longest: readonly number[] = []
  let stuck = -1
  let event = head.next
  while (open > 0) {
    // Every operation with an end has its return in the list until it is linearized.
    const current = event!
    if (current.isCall) {
      if (budget.steps-- <= 0) return { kind: 'unknown' }
      const after = model.step(state, current.operation.op, current.operation.result)
      if (after !== undefined) {
        flip(linearized, current.member)
        if (memory.add(linearized, model.stateKey(after))) {
          stack.push({ call: current, state })
          state = after
          lift(current)
          if (current.match !== null) open--
          event = head.next
          continue
        }
        flip(linearized, current.member)
      }
      event = current.next
      continue
    }
    // The return of an operation that could not be placed before it: undo the last choice and try the next.
    if (stuck < 0 || stack.length > longest.length) {
      longest = stack.map(choice => choice.call.operation.id)
      stuck = current.operation.id
    }
    const last = stack.pop()
    if (last === undefined) return { kind: 'illegal', longest, stuck }
    state = last.state
    flip(linearized, last.call.member)
    unlift(last.call)
    if (last.call.match !== null) open++
    event = last.call.next
  }
  return { kind: 'legal' }
}

function eventList<Op, Result>(history: History<Op, Result>): { next: Event<Op, Result> | null } {
  const events = history.flatMap((operation, member) => {
    const plain = { operation, member, previous: null, next: null }
    const end: Event<Op, Result> | null =
      operation.return === Infinity ? null : { ...plain, isCall: false, match: null }
    const call: Event<Op, Result> = { ...plain, isCall: true, match: end }
    return end === null ? [call] : [call, end]
  })
  const time = (event: Event<Op, Result>): number =>
    event.isCall ? event.operation.call : event.operation.return
  // Calls before returns at one instant: touching intervals overlap.
  events.sort((a, b) => time(a) - time(b) || Number(b.isCall) - Number(a.isCall))
  const head: Event<Op, Result> = {
    operation: history[0]!,
    member: -1,
    match: null,
    isCall: false,
    previous: null,
    next: null,
  }
  let last = head
  for (const event of events) {
    last.next = event
    event.previous = last
    last = event
  }
  return head
}

function lift<Op, Result>(call: Event<Op, Result>): void {
  unlink(call)
  if (call.match !== null) unlink(call.match)
}

/** The exact reverse of `lift`, which is why both links of a lifted event are left as they were. */
function unlift<Op, Result>(call: Event<Op, Result>): void {
  if (call.match !== null) relink(call.match)
  relink(call)
}

function unlink<Op, Result>(event: Event<Op, Result>): void {
  event.previous!.next = event.next
  if (event.next !== null) event.next.previous = event.previous
}

function relink<Op, Result>(event: Event<Op, Result>): void {
  event.previous!.next = event
  if (event.next !== null) event.next.previous = event
}

/** Configurations seen before: reaching one again cannot help. */
class Memory {
  readonly #seen = new Map<string, Bitset[]>()

  add(set: Bitset, stateKey: string | number): boolean {
    const key = `${set.hash} ${stateKey}`
    const bucket = this.#seen.get(key)
    if (bucket === undefined) {
      this.#seen.set(key, [copyBitset(set)])
      return true
    }
    if (bucket.some(other => sameBitset(other, set))) return false
    bucket.push(copyBitset(set))
    return true
  }
}
