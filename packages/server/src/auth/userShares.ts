/** What one user has of something that is bounded for each. */
export class UserShares {
  readonly #most: number
  readonly #taken = new Map<string, number>()

  constructor(most: number) {
    this.#most = most
  }

  /** Whether there was one left; each that is taken has to be given back. */
  take(user: string): boolean {
    const taken = this.#taken.get(user) ?? 0
    if (taken >= this.#most) return false
    this.#taken.set(user, taken + 1)
    return true
  }

  giveBack(user: string): void {
    const left = (this.#taken.get(user) ?? 0) - 1
    if (left > 0) this.#taken.set(user, left)
    else this.#taken.delete(user)
  }

  taken(user: string): number {
    return this.#taken.get(user) ?? 0
  }
}
