import type { Facts } from '../invariants/violation.js'

/** A run went wrong in a way that is no numbered invariant: a crash of the code, or no progress after healing. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly what: string
  readonly facts: Facts

  constructor(what: string, facts: Facts = {}) {
    const text = Object.entries(facts).map(([name, value]) => `${name} ${String(value)}`)
    super(text.length === 0 ? what : `${what}: ${text.join(', ')}`)
    this.what = what
    this.facts = facts
  }
}
