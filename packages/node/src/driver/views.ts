import type { StoreAnswer, StoreNeed } from '@kvorum/model'
import type { StorePort } from './ports.js'

/** The node numbers its views; the store opens them when the first fetch through one is ordered. */
export class Views {
  readonly #store: StorePort
  readonly #open = new Map<number, number>()

  constructor(store: StorePort) {
    this.#store = store
  }

  fetch(need: StoreNeed, view: number | null): Promise<StoreAnswer> {
    return this.#store.fetch(need, this.#viewOf(view))
  }

  /** Only before the view's first fetch, or without one, is "now" the moment to look at. */
  fetchNow(need: StoreNeed, view: number | null): StoreAnswer | null {
    if (view === null) return this.#store.fetchNow(need)
    if (this.#open.has(view)) return null
    const answer = this.#store.fetchNow(need)
    if (answer !== null) this.#viewOf(view)
    return answer
  }

  /** The view is of this moment, whatever is read through it later. */
  open(view: number): void {
    this.#viewOf(view)
  }

  close(view: number): void {
    const open = this.#open.get(view)
    if (open === undefined) return
    this.#open.delete(view)
    this.#store.closeView(open)
  }

  #viewOf(view: number | null): number | null {
    if (view === null) return null
    let open = this.#open.get(view)
    if (open === undefined) {
      open = this.#store.openView()
      this.#open.set(view, open)
    }
    return open
  }
}
