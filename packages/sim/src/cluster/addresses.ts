import type { Station } from '../network/partition.js'

/** Which machine is reached at which peer URL: what name servers and operators keep in order. */
export class Addresses {
  readonly #stations = new Map<string, Station>()

  /** Null: nobody is there. */
  at(url: string): Station | null {
    return this.#stations.get(url) ?? null
  }

  set(url: string, station: Station): void {
    this.#stations.set(url, station)
  }

  /** From now on the machine is reached at this one only. */
  move(url: string, station: Station): void {
    for (const [other, at] of this.#stations) if (at === station) this.#stations.delete(other)
    this.#stations.set(url, station)
  }

  /** Where the machine is reached, if it is not where it began. */
  movedTo(station: Station): string[] {
    return [...this.#stations].flatMap(([url, at]) => (at === station && url !== urlOf(station) ? [url] : []))
  }
}

export const urlOf = (station: Station, moves = 0): string =>
  moves === 0 ? `http://n${station + 1}` : `http://n${station + 1}.${moves}`
