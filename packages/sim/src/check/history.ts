/**
 * What clients saw. One record per request, in the terms of one recorder's clock, so that intervals of
 * different clients compare. Intervals are closed: two that touch overlap.
 *
 * ok       it happened, and `result` is what it answered
 * fail     it definitely did not and never will happen (I42 holds the server to that)
 * unknown  either; `return` is Infinity, because it may still happen
 */
export interface Operation<Op, Result> {
  /** Who asked. One client has one request at a time; after an unknown outcome it goes on under a new number. */
  readonly client: number
  readonly id: number
  readonly call: number
  readonly return: number
  readonly op: Op
  readonly outcome: 'ok' | 'fail' | 'unknown'
  readonly result: Result | null
}

export type History<Op, Result> = readonly Operation<Op, Result>[]

/** Records a history while it happens. `now` is the recorder's clock. */
export class Recorder<Op, Result> {
  readonly #now: () => number
  readonly #operations: Operation<Op, Result>[] = []

  constructor(now: () => number) {
    this.#now = now
  }

  /** The id to end the request with. Until then its outcome is unknown. */
  call(client: number, op: Op): number {
    const id = this.#operations.length
    this.#operations.push({
      client,
      id,
      call: this.#now(),
      return: Infinity,
      op,
      outcome: 'unknown',
      result: null,
    })
    return id
  }

  ok(id: number, result: Result): void {
    this.#end(id, { return: this.#now(), outcome: 'ok', result })
  }

  fail(id: number): void {
    this.#end(id, { return: this.#now(), outcome: 'fail' })
  }

  /** Everything so far, in the order of the calls. */
  history(): History<Op, Result> {
    return [...this.#operations]
  }

  #end(id: number, end: Partial<Operation<Op, Result>>): void {
    const operation = this.#operations[id]
    if (operation === undefined) throw new RangeError(`no operation ${id}`)
    if (operation.outcome !== 'unknown') throw new RangeError(`operation ${id} has ended before`)
    this.#operations[id] = { ...operation, ...end }
  }
}
