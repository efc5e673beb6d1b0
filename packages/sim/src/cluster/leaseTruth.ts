import { addRange, rangeCovers, type GroupId, type KeyRange, type LeaseId } from '@kvorum/model'
import type { EndOfLease, Outcome } from './transactionTruth.js'

/** Leases have their records in the first shard, which keeps its group for ever. */
const HOME = 1

/** Where else the leases of a group may have keys, as its log says. */
export class LeaseTruth {
  readonly #group: GroupId
  /** By lease, with its time to live. */
  readonly #leases: Map<LeaseId, number>
  readonly #elsewhere = new Map<LeaseId, readonly KeyRange[]>()

  constructor(group: GroupId, leases: Map<LeaseId, number>) {
    this.#group = group
    this.#leases = leases
  }

  /** Then its end is no single entry. */
  isElsewhere(lease: LeaseId): boolean {
    return this.#leases.has(lease) && this.#elsewhere.has(lease)
  }

  /** The home lets only a lease end that there is, and only where all are asked who may have keys. */
  judgeEnd({ lease, ranges }: EndOfLease): 'mayEnd' | 'isGone' | 'asksTooFew' {
    if (this.#group !== HOME) return 'mayEnd'
    if (!this.#leases.has(lease)) return 'isGone'
    const known = this.#elsewhere.get(lease) ?? []
    const asksAll = known.every(range => ranges.some(asked => rangeCovers(asked, range)))
    return asksAll ? 'mayEnd' : 'asksTooFew'
  }

  /** The lease is over, as one entry or as a transaction. */
  ended(lease: LeaseId): void {
    this.#leases.delete(lease)
    this.#elsewhere.delete(lease)
  }

  /** A part of a transaction took effect; which lease it ended, or undefined. */
  carriedOut({ work }: Outcome): LeaseId | undefined {
    if (work?.kind === 'attach' && this.#group === HOME) this.attached(work.leases, work.ranges)
    if (work?.kind !== 'revoke') return undefined
    this.ended(work.lease)
    return work.lease
  }

  /** From here on keys in these ranges may be attached. */
  attached(leases: Iterable<LeaseId>, ranges: readonly KeyRange[]): void {
    for (const lease of leases) {
      if (!this.#leases.has(lease) || ranges.length === 0) continue
      const copies = ranges.map(({ start, end }) => ({
        start: Buffer.from(start),
        end: end === null ? null : Buffer.from(end),
      }))
      this.#elsewhere.set(
        lease,
        copies.reduce<readonly KeyRange[]>(addRange, this.#elsewhere.get(lease) ?? []),
      )
    }
  }
}
