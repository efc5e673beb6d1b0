import { createHash } from 'node:crypto'
import { LIMITS } from '@kvorum/model'

/** Wrong passwords that cost nothing: everybody mistypes. */
const FREE_FAILURES = 5
const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 60_000
/** After so long without a failure everything is forgotten. */
const FORGET_MS = 600_000

interface Failures {
  readonly count: number
  readonly at: number
}

/**
 * Who gave a wrong password again and again for one user has to wait, twice as long each time. Counted by the name
 * and the address that it came from: others who log in as the same user from elsewhere do not wait, and other users
 * do not at all. A name that is nobody's is treated as any other.
 */
export class LoginBackoff {
  readonly #now: () => number
  /** Longest since the last failure first. */
  readonly #failures = new Map<string, Failures>()

  /** `now`: milliseconds of a clock that does not jump. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** How many are remembered. */
  get size(): number {
    return this.#failures.size
  }

  /** Milliseconds to wait before the next password is looked at. 0: none. */
  waitMs(name: string, host: string): number {
    const failures = this.#known(keyOf(name, host))
    if (failures === null || failures.count < FREE_FAILURES) return 0
    const doubled = FIRST_WAIT_MS * 2 ** Math.min(20, failures.count - FREE_FAILURES)
    return Math.max(0, failures.at + Math.min(LONGEST_WAIT_MS, doubled) - this.#now())
  }

  failed(name: string, host: string): void {
    const key = keyOf(name, host)
    const before = this.#known(key)
    this.#failures.delete(key)
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size < LIMITS.loginFailuresMax) break
      this.#failures.delete(oldest)
    }
    this.#failures.set(key, { count: (before?.count ?? 0) + 1, at: this.#now() })
  }

  succeeded(name: string, host: string): void {
    this.#failures.delete(keyOf(name, host))
  }

  #known(key: string): Failures | null {
    const failures = this.#failures.get(key)
    return failures === undefined || this.#now() - failures.at > FORGET_MS ? null : failures
  }
}

/** Of one length, however long the name is that somebody sent. */
const keyOf = (name: string, host: string): string =>
  createHash('sha256').update(host).update('\0').update(name).digest('base64')
