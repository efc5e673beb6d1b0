import type { History, Operation } from './history.js'

/**
 * A sequential object to compare a history with, as pure functions. The operations of a legal history can be
 * ordered so that each, at one point of its interval, is a legal `step` from the state before it.
 */
export interface SequentialModel<State, Op, Result> {
  readonly initial: State
  /**
   * The state after `op`, or undefined if `op` cannot answer `result` in `state`. A null `result` is one that
   * nobody saw: then the step always succeeds.
   */
  readonly step: (state: State, op: Op, result: Result | null) => State | undefined
  /** Equal for equal states, different for different ones. */
  readonly stateKey: (state: State) => string | number
  /** Parts that can be checked apart because the object is a product of independent ones (P-compositionality). */
  readonly partition?: (history: History<Op, Result>) => History<Op, Result>[]
}

/** The partition of an object that is one independent object per key. */
export function partitionBy<Op, Result>(keyOf: (op: Op) => string) {
  return (history: History<Op, Result>): History<Op, Result>[] => {
    const parts = new Map<string, Operation<Op, Result>[]>()
    for (const operation of history) {
      const key = keyOf(operation.op)
      const part = parts.get(key)
      if (part === undefined) parts.set(key, [operation])
      else part.push(operation)
    }
    return [...parts.values()]
  }
}
