/** What was asked, to be shown when the answer comes. */
export interface Asked {
  readonly on: boolean
  readonly contrary: number
}

/**
 * Something that the cluster's log turns on and off, and what of it clients may rely on. A request whose answer was
 * lost may come into the log at any later time, so what was acknowledged holds only until the log says otherwise:
 *
 *     asked --> (in the log) --> acknowledged, and nothing contrary in the log since asked: settled
 *     settled --> something contrary in the log: unsettled
 *
 * It begins as off, and that is settled: the log says nothing yet.
 */
export class Switch {
  #settled: boolean | null = false
  readonly #logged = { on: 0, off: 0 }
  /** Counts changes of what is settled: what was so twice at one number was so all the time between. */
  version = 0

  /** Null: nothing can be relied on. */
  get settled(): boolean | null {
    return this.#settled
  }

  /** An entry that says so was applied somewhere for the first time. */
  logged(on: boolean): void {
    this.#logged[on ? 'on' : 'off']++
    if (this.#settled === !on) this.#settle(null)
  }

  asked(on: boolean): Asked {
    return { on, contrary: this.#logged[on ? 'off' : 'on'] }
  }

  acknowledged({ on, contrary }: Asked): void {
    if (this.#logged[on ? 'off' : 'on'] === contrary) this.#settle(on)
  }

  #settle(on: boolean | null): void {
    if (this.#settled === on) return
    this.#settled = on
    this.version++
  }
}
