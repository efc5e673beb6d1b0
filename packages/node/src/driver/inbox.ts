import type { Input } from '../types.js'

/** What waits for the next turns, in the order of its arrival. */
export class Inbox {
  #inputs: Input[] = []

  get length(): number {
    return this.#inputs.length
  }

  put(input: Input): void {
    this.#inputs.push(input)
  }

  /** The first of them. Every parcel of a peer counts as one, and what does not fit of a frame stays in front. */
  take(max: number): readonly Input[] {
    let left = max
    let whole = 0
    for (const input of this.#inputs) {
      const size = sizeOf(input)
      if (size > left) break
      left -= size
      whole++
    }
    const taken = this.#inputs.splice(0, whole)
    const next = this.#inputs[0]
    if (left > 0 && next?.kind === 'parcels') {
      taken.push({ ...next, parcels: next.parcels.slice(0, left) })
      this.#inputs[0] = { ...next, parcels: next.parcels.slice(left) }
    }
    return taken
  }
}

const sizeOf = (input: Input): number => (input.kind === 'parcels' ? input.parcels.length : 1)
