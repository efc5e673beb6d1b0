import type { History, ListHistory, ListResult, ListTxn, Operation, SequentialModel } from '@kvorum/sim'

/**
 * The definition itself: some order of the operations that respects real time and explains every answer, found
 * by trying all of them. For at most eight operations.
 */
export function hasLegalOrder<State, Op, Result>(
  model: SequentialModel<State, Op, Result>,
  history: History<Op, Result>,
): boolean {
  const possible = history.filter(operation => operation.outcome !== 'fail')
  return anyOrder(possible, model.initial, (state, operation) =>
    model.step(state, operation.op, operation.result),
  )
}

function anyOrder<State, Op, Result>(
  left: readonly Operation<Op, Result>[],
  state: State,
  step: (state: State, operation: Operation<Op, Result>) => State | undefined,
): boolean {
  if (left.every(operation => operation.return === Infinity)) return true
  return left.some((operation, at) => {
    if (left.some(other => other.return < operation.call)) return false
    const after = step(state, operation)
    return after !== undefined && anyOrder(left.toSpliced(at, 1), after, step)
  })
}

/** The same for list transactions: strict serializability by definition. */
export function hasSerialOrder(history: ListHistory): boolean {
  const model: SequentialModel<ReadonlyMap<string, readonly number[]>, ListTxn, ListResult> = {
    initial: new Map(),
    stateKey: () => '',
    step(state, txn, result) {
      const after = new Map(state)
      const fits = txn.every((op, at) => {
        const list = after.get(op.key) ?? []
        if (op.kind === 'append') after.set(op.key, [...list, op.value])
        return op.kind === 'append' || result === null || same(list, result[at])
      })
      return fits ? after : undefined
    },
  }
  return hasLegalOrder(model, history)
}

const same = (list: readonly number[], other: readonly number[] | null | undefined): boolean =>
  list.join() === other?.join()
