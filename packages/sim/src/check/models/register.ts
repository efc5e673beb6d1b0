import { partitionBy, type SequentialModel } from '../model.js'

/** A register per key, with compare-and-swap. `null` is "never written". */
export type RegisterOp =
  | { readonly kind: 'read'; readonly key: string }
  | { readonly kind: 'write'; readonly key: string; readonly value: number }
  | { readonly kind: 'cas'; readonly key: string; readonly from: number | null; readonly to: number }

export type RegisterResult =
  | { readonly kind: 'read'; readonly value: number | null }
  | { readonly kind: 'write' }
  | { readonly kind: 'cas'; readonly swapped: boolean }

export const registerModel: SequentialModel<number | null, RegisterOp, RegisterResult> = {
  initial: null,
  step(state, op, result) {
    switch (op.kind) {
      case 'read':
        return result === null || (result.kind === 'read' && result.value === state) ? state : undefined
      case 'write':
        return op.value
      case 'cas': {
        const swapped = state === op.from
        if (result !== null && !(result.kind === 'cas' && result.swapped === swapped)) return undefined
        return swapped ? op.to : state
      }
    }
  },
  stateKey: state => `${state}`,
  partition: partitionBy(op => op.key),
}
