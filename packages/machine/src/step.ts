import type { StoreAnswer, StoreNeed } from '@kvorum/model'

/**
 * Work that stops whenever it must know something of the store: it yields what it needs and is resumed with
 * the answer. A need that asks for nothing is a pause; the owner resumes it when other work has had its turn.
 */
export type Step<Result> = Generator<StoreNeed, Result, StoreAnswer>

export const NO_NEED: StoreNeed = { gets: [], scans: [] }

/** Runs a step to its end against something that answers at once. */
export function runStep<Result>(step: Step<Result>, answer: (need: StoreNeed) => StoreAnswer): Result {
  let state = step.next()
  while (state.done !== true) state = step.next(answer(state.value))
  return state.value
}
