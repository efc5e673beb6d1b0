import type { Index, KeyRange, Revision } from '@kvorum/model'
import { overlapAny, type Transactions } from './transactions.js'
import type { LeaderRevisions, Resolve } from './leader.js'
import { isProven, WANTED } from './proof.js'

/** Everything at or below `revision` that touches the ranges asked about is applied at `index` of this log. */
export interface Resolved {
  readonly id: number
  readonly revision: Revision
  readonly index: Index
}

/** `patient`: it waits for revisions that were asked for before, and have not come. */
export type ResolveRequest = Omit<Resolve, 'proof' | 'asksBelow'> & { readonly patient: boolean }

/**
 * Asks for a promise: every write at or below `revision` that there will ever be is applied. `revision` must have been
 * handed out already: later ones can still be given to anybody. The round of leadership has to start after this, when
 * the revision is known; an older round says nothing about writes that another leader was given since.
 */
export const askResolve = (
  leader: LeaderRevisions,
  { patient, ...resolve }: ResolveRequest,
): LeaderRevisions => ({
  ...leader,
  resolves: [...leader.resolves, { ...resolve, asksBelow: patient ? leader.nextAsk : 0, proof: WANTED }],
})

/** Its bounded time for waiting is over: a steady stream of writes must not starve a reader. */
export const losePatience = (leader: LeaderRevisions, id: number): LeaderRevisions => ({
  ...leader,
  resolves: leader.resolves.map(resolve => (resolve.id === id ? { ...resolve, asksBelow: 0 } : resolve)),
})

/**
 * Gives the promises that can be given. What can still come at or below the revision is: a stamped write that is not
 * applied, and a prepared transaction, which commits somewhere above the bound recorded at its prepare. What is asked
 * for and not answered cannot, because the floor goes up in the same step and such a block will be thrown away; it is
 * waited for only for the writes' sake, which a steady stream of readers would starve. Asks that were sent later bring
 * revisions above this one and are not waited for.
 *
 * A leader promises nothing before its no-op is applied: entries of its predecessors are committed that it has not
 * seen. And every promise, for a reader, a watch or a follower, has had its own proof of leadership; a deposed leader
 * would promise that nothing comes while its successor acknowledges it.
 */
export function settleResolves(
  leader: LeaderRevisions,
  transactions: Transactions,
  applied: Index,
): { readonly leader: LeaderRevisions; readonly resolved: readonly Resolved[] } {
  if (!leader.open || leader.splitting > 0) return { leader, resolved: [] }
  const met = leader.resolves.filter(resolve => isProven(resolve) && !isHeldUp(leader, transactions, resolve))
  if (met.length === 0) return { leader, resolved: [] }
  const floor = Math.max(leader.floor, ...met.map(({ revision }) => revision))
  const resolves = leader.resolves.filter(resolve => !met.includes(resolve))
  return {
    leader: { ...leader, floor, resolves },
    resolved: met.map(({ id, revision }) => ({ id, revision, index: applied })),
  }
}

/**
 * What a replica may take for resolved without asking anybody, where `highest` is the greatest revision it has applied:
 * single-shard writes grow along the log, and a transaction's revision is handed out after its prepare is applied by a
 * leader. So below `highest` only a transaction can still come that is prepared here already, and that commits above
 * its bound.
 */
export const resolvedByLog = ({ prepared }: Transactions, highest: Revision): Revision =>
  Math.min(highest, ...prepared.map(({ after }) => after))

function isHeldUp(leader: LeaderRevisions, transactions: Transactions, resolve: Resolve): boolean {
  const touches = (item: { readonly ranges: readonly KeyRange[] }): boolean =>
    overlapAny(item.ranges, resolve.ranges)
  return (
    leader.pending.some(pending => pending.revision <= resolve.revision && touches(pending)) ||
    transactions.prepared.some(
      ({ after, locks }) => after < resolve.revision && overlapAny(locks, resolve.ranges),
    ) ||
    leader.asks.some(({ id, writes }) => id < resolve.asksBelow && writes.some(touches))
  )
}
