/** The number of an invariant in docs/testing.md. */
export type InvariantId = `I${number}`

export type Facts = Readonly<Record<string, string | number | bigint | boolean | null>>

/** A property that must always hold did not. Carries its id and the facts that show it, nothing else. */
export class Violation extends Error {
  override readonly name = 'Violation'
  readonly id: InvariantId
  readonly facts: Facts

  constructor(id: InvariantId, facts: Facts) {
    const text = Object.entries(facts).map(([name, value]) => `${name} ${String(value)}`)
    super(`${id}: ${text.join(', ')}`)
    this.id = id
    this.facts = facts
  }
}

/** The facts are a function so that a check that holds costs no record. */
export function check(holds: boolean, id: InvariantId, facts: () => Facts): void {
  if (!holds) throw new Violation(id, facts())
}
