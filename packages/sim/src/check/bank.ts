import type { Anomaly } from './anomaly.js'
import type { History } from './history.js'

/** Transfers between accounts keep the sum; every read of all accounts must show it, and no overdraft. */
export interface BankOptions {
  readonly total: number
  readonly overdraft: boolean
}

/** Only reads matter: `result` is every account's balance, or null for a transfer. */
export function checkBank(
  history: History<unknown, readonly number[] | null>,
  options: BankOptions,
): Anomaly[] {
  return history.flatMap(({ id, outcome, result }): Anomaly[] => {
    if (outcome !== 'ok' || result === null) return []
    const sum = result.reduce((a, b) => a + b, 0)
    if (sum !== options.total) {
      return [{ kind: 'wrong total', operations: [id], facts: `${sum} instead of ${options.total}` }]
    }
    return options.overdraft || result.every(balance => balance >= 0)
      ? []
      : [{ kind: 'overdraft', operations: [id], facts: result.join(' ') }]
  })
}

/**
 * Long fork: keys that are written once each. Reads of several of them, as sets of what was there, must form
 * a chain; two reads that each see something the other does not have seen two different pasts.
 */
export function checkLongFork(history: History<unknown, readonly boolean[] | null>): Anomaly[] {
  const reads = history.flatMap(({ id, outcome, result }) =>
    outcome === 'ok' && result !== null ? [{ id, seen: result }] : [],
  )
  // In the order of how much they saw, each must contain the one before it.
  const size = (seen: readonly boolean[]): number => seen.filter(Boolean).length
  reads.sort((a, b) => size(a.seen) - size(b.seen))
  const found: Anomaly[] = []
  for (let i = 1; i < reads.length; i++) {
    const [less, more] = [reads[i - 1]!, reads[i]!]
    if (less.seen.every((there, at) => !there || more.seen[at])) continue
    const facts = [less, more].map(({ seen }) => seen.map(Number).join('')).join(' and ')
    found.push({ kind: 'long fork', operations: [less.id, more.id], facts })
  }
  return found
}
