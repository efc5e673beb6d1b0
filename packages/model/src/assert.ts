/**
 * A broken invariant: something this code promises itself did not hold. Never caught to go on; whoever owns
 * the process hands it to `fatal`. Expected refusals are values (see errors.ts), not exceptions.
 */
export class InvariantError extends Error {
  override readonly name = 'InvariantError'
}

/** The message is a function so that a check that holds costs no string. */
export function assert(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new InvariantError(message())
}

/** For the default arm of a switch over a union: a new kind must not compile silently. */
export function unreachable(value: never): never {
  throw new InvariantError(
    `unexpected ${JSON.stringify(value, (_, v: unknown) => (typeof v === 'bigint' ? `${v}` : v))}`,
  )
}
