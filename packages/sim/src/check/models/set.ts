import { partitionBy, type SequentialModel } from '../model.js'

/** A set of integers per key that only a full read shows. */
export type SetOp =
  | { readonly kind: 'add'; readonly key: string; readonly element: number }
  | { readonly kind: 'remove'; readonly key: string; readonly element: number }
  | { readonly kind: 'read'; readonly key: string }

/** add and remove answer with null elements; a read with all of them, ascending. */
export interface SetResult {
  readonly elements: readonly number[] | null
}

/** The state is the sorted list of elements as text, so that it is its own key. */
export const setModel: SequentialModel<string, SetOp, SetResult> = {
  initial: '',
  step(state, op, result) {
    if (op.kind === 'read') {
      return result === null || result.elements?.join(',') === state ? state : undefined
    }
    const elements = new Set(state === '' ? [] : state.split(',').map(Number))
    if (op.kind === 'add') elements.add(op.element)
    else elements.delete(op.element)
    return [...elements].sort((a, b) => a - b).join(',')
  },
  stateKey: state => state,
  partition: partitionBy(op => op.key),
}
