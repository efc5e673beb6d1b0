/** What a checker found in a history: which rule, which operations, and the facts that show it. */
export interface Anomaly {
  readonly kind: string
  /** Ids of the operations involved, in the order that explains the anomaly. */
  readonly operations: readonly number[]
  readonly facts: string
}
