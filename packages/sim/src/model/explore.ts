import { Interner } from './interner.js'

/** What may happen next. `to` is the state after it, or what it violates. */
export interface Step<State> {
  readonly label: string
  readonly to: State | Violated
}

/** A property that does not hold, in words that begin with its name. */
export class Violated {
  readonly what: string

  constructor(what: string) {
    this.what = what
  }
}

export interface Model<State extends object> {
  readonly initial: State
  readonly next: (state: State) => readonly Step<State>[]
  /** Judges a state in which nothing more can happen. */
  readonly atEnd: (state: State) => Violated | null
}

export interface Explored {
  readonly states: number
  readonly steps: number
  /** Length of the longest shortest way to a state. */
  readonly depth: number
  /** False when the bound on states was met first: nothing was found, and nothing is proven. */
  readonly complete: boolean
  readonly violation: { readonly what: string; readonly trace: readonly string[] } | null
}

/**
 * Breadth first over every state that can be reached, so the first violation has a shortest trace. Only keys and
 * parents of visited states are kept, and the states of two levels; a trace is found by walking it again.
 */
export function explore<State extends object>(model: Model<State>, statesMax: number): Explored {
  const interner = new Interner()
  const visited = new Map<number, number>()
  const parents: number[] = []
  const ordinals: number[] = []
  let steps = 0
  const found = (what: string, last: number, label: string | null, depth: number): Explored => {
    const trace = walk(model, parents, ordinals, last)
    const violation = { what, trace: label === null ? trace : [...trace, label] }
    return { states: parents.length, steps, depth, complete: false, violation }
  }
  const visit = (state: State, parent: number, ordinal: number): number | null => {
    const id = interner.id(state)
    if (visited.has(id)) return null
    visited.set(id, parents.length)
    parents.push(parent)
    ordinals.push(ordinal)
    return parents.length - 1
  }
  visit(model.initial, -1, -1)
  let level: { readonly state: State; readonly number: number }[] = [{ state: model.initial, number: 0 }]
  for (let depth = 0; ; depth++) {
    const deeper: typeof level = []
    for (const { state, number } of level) {
      const next = model.next(state)
      if (next.length === 0) {
        const verdict = model.atEnd(state)
        if (verdict !== null) return found(verdict.what, number, null, depth)
      }
      for (const [ordinal, { label, to }] of next.entries()) {
        steps++
        if (to instanceof Violated) return found(to.what, number, label, depth + 1)
        const fresh = visit(to, number, ordinal)
        if (fresh !== null) deeper.push({ state: to, number: fresh })
      }
      if (parents.length > statesMax)
        return { states: parents.length, steps, depth, complete: false, violation: null }
    }
    if (deeper.length === 0) return { states: parents.length, steps, depth, complete: true, violation: null }
    level = deeper
  }
}

function walk<State extends object>(
  model: Model<State>,
  parents: readonly number[],
  ordinals: readonly number[],
  last: number,
): string[] {
  const way: number[] = []
  for (let at = last; at > 0; at = parents[at]!) way.unshift(ordinals[at]!)
  const trace: string[] = []
  let state = model.initial
  for (const ordinal of way) {
    const { label, to } = model.next(state)[ordinal]!
    trace.push(label)
    if (!(to instanceof Violated)) state = to
  }
  return trace
}
