/** How failed attempts are repeated: capped exponential back-off with full jitter. */
export interface RetryPolicy {
  /** Attempts in all, the first included. 1: never repeat. */
  readonly attemptsMax: number
  /** The first pause is at most this long, and each further one at most twice the one before. */
  readonly initialMs: number
  readonly maxMs: number
}

export const RETRY_DEFAULT: RetryPolicy = { attemptsMax: 10, initialMs: 50, maxMs: 1_000 }

/** The pause after the `failures`-th failure in a row, counted from 1. */
export function backoffMs(policy: RetryPolicy, failures: number, random: number): number {
  const ceiling = Math.min(policy.maxMs, policy.initialMs * 2 ** Math.min(failures - 1, 30))
  return ceiling * random
}
