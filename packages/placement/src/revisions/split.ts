import { intersectRanges, isEmptyRange, type GroupId, type KeyRange } from '@kvorum/model'
import type { Transactions } from './transactions.js'

/**
 * What the halves of a split shard remember of transactions. Locks go with their keys. A transaction with locks on both
 * sides has a participant more: the left names the right as its heir, in every answer about this transaction, so that
 * the coordinator tells it the outcome and keeps the record until it has it. Ends go to both: a late copy of a prepare
 * may be routed to either. Records stay with the left, whose group the participants know as the primary.
 */
export function splitTransactions(
  state: Transactions,
  left: KeyRange,
  right: KeyRange,
  heir: GroupId,
): { readonly left: Transactions; readonly right: Transactions } {
  const cut = (locks: readonly KeyRange[], half: KeyRange): readonly KeyRange[] =>
    locks.map(lock => intersectRanges(lock, half)).filter(lock => !isEmptyRange(lock))
  const inherited = state.prepared
    .map(prepared => ({ ...prepared, locks: cut(prepared.locks, right), heirs: [] }))
    .filter(({ locks }) => locks.length > 0)
  const prepared = state.prepared.map(held => ({
    ...held,
    locks: cut(held.locks, left),
    heirs: cut(held.locks, right).length > 0 ? [...held.heirs, heir] : held.heirs,
  }))
  return { left: { ...state, prepared }, right: { prepared: inherited, records: [], ended: state.ended } }
}
