import type { Index, KeyRange, Revision } from '@kvorum/model'
import type { Drain, LeaderRevisions } from './leader.js'
import { isProven, WANTED } from './proof.js'
import { overlapAny, type Transactions } from './transactions.js'

/** The read may be served from the state at `index`; its header says `revision`. */
export interface Drained {
  readonly id: number
  readonly revision: Revision
  readonly index: Index
}

/**
 * A linearizable read of this shard alone that does not ask the oracle. `seen` is the highest revision that the
 * reader's node had seen when the read arrived.
 */
export const askDrain = (
  leader: LeaderRevisions,
  drain: Omit<Drain, 'asksBelow' | 'proof'>,
): LeaderRevisions => ({
  ...leader,
  drains: [...leader.drains, { ...drain, asksBelow: leader.nextAsk, proof: WANTED }],
})

/**
 * Serves the drain reads that can be served. ReadIndex alone is not enough: a write of this shard may have a revision
 * already, below one that another shard has acknowledged, and not be applied; the read would miss it, and whoever saw
 * the other shard's write would see the order turned round. So it waits until every write whose revision was asked for
 * before the read is applied, and until no transaction holds a lock in its way: one may be decided in its primary, and
 * seen there. Here the wait for unanswered asks is needed for safety: no floor is known that would refuse them.
 *
 * The header is the highest revision applied here or seen by the reader's node, whichever is greater. The floor goes up
 * to it, so that no write can come at or below what the reader was told.
 */
export function settleDrains(
  leader: LeaderRevisions,
  transactions: Transactions,
  applied: { readonly index: Index; readonly revision: Revision },
): { readonly leader: LeaderRevisions; readonly drained: readonly Drained[] } {
  if (!leader.open || leader.splitting > 0) return { leader, drained: [] }
  const header = (drain: Drain): Revision => Math.max(drain.seen, applied.revision)
  const met = leader.drains.filter(
    drain => isProven(drain) && !isHeldUp(leader, transactions, drain, header(drain)),
  )
  if (met.length === 0) return { leader, drained: [] }
  const floor = Math.max(leader.floor, ...met.map(header))
  const drains = leader.drains.filter(drain => !met.includes(drain))
  return {
    leader: { ...leader, floor, drains },
    drained: met.map(drain => ({ id: drain.id, revision: header(drain), index: applied.index })),
  }
}

function isHeldUp(
  leader: LeaderRevisions,
  transactions: Transactions,
  drain: Drain,
  header: Revision,
): boolean {
  const touches = (item: { readonly ranges: readonly KeyRange[] }): boolean =>
    overlapAny(item.ranges, drain.ranges)
  const inTheWay = (asked: number, revision: Revision): boolean =>
    asked < drain.asksBelow || revision <= header
  return (
    leader.asks.some(({ id, writes }) => id < drain.asksBelow && writes.some(touches)) ||
    leader.pending.some(pending => inTheWay(pending.ask, pending.revision) && touches(pending)) ||
    transactions.prepared.some(({ locks }) => overlapAny(locks, drain.ranges))
  )
}
