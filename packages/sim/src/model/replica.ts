import type {
  GroupId,
  KeyRange,
  Revision,
  Term,
  TransactionId,
  TransactionOutcome,
  TransactionPrepare,
} from '@kvorum/model'
import type { Ended, RevisionMode, Transactions, Vote } from '@kvorum/placement'
import type { Breach } from './configuration.js'
import { holds, KEYS, LEFT_RANGE, POINTS, RIGHT_RANGE, type Key } from './keys.js'
import type { Rules } from './rules.js'

/** One shard's state machine, as far as revisions go: which revisions wrote which key, and the locks. */
export interface Replica {
  readonly range: KeyRange
  readonly epoch: number
  /** Per key of KEYS: the revisions that wrote it, in the order of the log. */
  readonly written: readonly (readonly Revision[])[]
  /** The greatest revision applied. */
  readonly highest: Revision
  readonly mode: RevisionMode
  readonly transactions: Transactions
}

export type Entry =
  | { readonly kind: 'noop'; readonly term: Term }
  | Write
  | PrepareEntry
  | End
  | { readonly kind: 'forget'; readonly term: Term; readonly id: TransactionId }
  | { readonly kind: 'split'; readonly term: Term; readonly heir: GroupId }
  | { readonly kind: 'switch'; readonly term: Term }

/** `term` is the term of the leader that proposed the entry, and that answers for it when it has applied it. */
export interface Write {
  readonly kind: 'write'
  readonly term: Term
  readonly write: number
  readonly key: Key
  readonly stamp: Revision | null
}

export interface PrepareEntry {
  readonly kind: 'prepare'
  readonly term: Term
  readonly transaction: number
  readonly prepare: TransactionPrepare
  readonly after: Revision
}

/** decide: in the primary's log. end: in another participant's. */
export interface End {
  readonly kind: 'decide' | 'end'
  readonly term: Term
  readonly transaction: number
  /** The group whose orphaned locks made it ask, or null. */
  readonly asker: GroupId | null
  readonly id: TransactionId
  readonly outcome: TransactionOutcome
  readonly writes: readonly Key[]
}

export type Applied =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'written'; readonly revision: Revision }
  | { readonly kind: 'refused' }
  /** The key is another shard's by now. */
  | { readonly kind: 'moved' }
  | { readonly kind: 'vote'; readonly vote: Vote }
  | { readonly kind: 'ended'; readonly ended: Ended; readonly written: readonly Key[] }

export interface AppliedEntry {
  readonly replica: Replica
  readonly applied: Applied
}

export const emptyReplica = (rules: Rules, range: KeyRange, dense: boolean): Replica => ({
  range,
  epoch: 1,
  written: KEYS.map(() => []),
  highest: 0,
  mode: dense ? rules.DENSE : rules.endDenseMode(rules.DENSE, 0),
  transactions: rules.NO_TRANSACTIONS,
})

const NOTHING: Applied = { kind: 'nothing' }
const REFUSED: Applied = { kind: 'refused' }
const MOVED: Applied = { kind: 'moved' }

export function applyEntry(
  rules: Rules,
  breach: Breach | null,
  replica: Replica,
  entry: Entry,
): AppliedEntry {
  switch (entry.kind) {
    case 'noop':
      return { replica, applied: NOTHING }
    case 'write': {
      const { key, stamp } = entry
      if (!holds(replica.range, key)) return { replica, applied: MOVED }
      const locked = rules.locksOn(replica.transactions, [POINTS[key]]).length > 0
      if (locked && breach !== 'locksNotChecked') return { replica, applied: REFUSED }
      const revision = rules.revisionAtApply(replica.mode, replica.highest, stamp)
      if (revision === 'again') return { replica, applied: REFUSED }
      return { replica: put(replica, [key], revision), applied: { kind: 'written', revision } }
    }
    case 'prepare': {
      const { state, vote } = rules.applyPrepare(
        replica.transactions,
        entry.prepare,
        entry.after,
        replica.range,
      )
      return { replica: { ...replica, transactions: state }, applied: { kind: 'vote', vote } }
    }
    case 'decide':
      return end(rules.applyDecision(replica.transactions, entry.id, entry.outcome), replica, entry.writes)
    case 'end':
      return end(rules.applyOutcome(replica.transactions, entry.id, entry.outcome), replica, entry.writes)
    case 'forget': {
      const transactions = rules.forgetRecord(replica.transactions, entry.id)
      return { replica: { ...replica, transactions }, applied: NOTHING }
    }
    case 'split': {
      const { left } = rules.splitTransactions(replica.transactions, LEFT_RANGE, RIGHT_RANGE, entry.heir)
      const epoch = replica.epoch + 1
      return { replica: { ...replica, range: LEFT_RANGE, epoch, transactions: left }, applied: NOTHING }
    }
    case 'switch':
      return {
        replica: { ...replica, mode: rules.endDenseMode(replica.mode, replica.highest) },
        applied: NOTHING,
      }
  }
}

/** The right half begins with what the left had when the split was applied. */
export function rightHalf(rules: Rules, before: Replica, heir: GroupId): Replica {
  const { right } = rules.splitTransactions(before.transactions, LEFT_RANGE, RIGHT_RANGE, heir)
  return { ...before, range: RIGHT_RANGE, epoch: before.epoch + 1, transactions: right }
}

function end(ended: Ended, replica: Replica, writes: readonly Key[]): AppliedEntry {
  const { outcome, released } = ended
  const next = { ...replica, transactions: ended.state }
  if (released === null || outcome?.kind !== 'commit')
    return { replica: next, applied: { kind: 'ended', ended, written: [] } }
  const { revision } = outcome
  const written = writes.filter(key => holds(replica.range, key))
  const highest = Math.max(next.highest, revision)
  return { replica: { ...put(next, written, revision), highest }, applied: { kind: 'ended', ended, written } }
}

const put = (replica: Replica, keys: readonly Key[], revision: Revision): Replica => ({
  ...replica,
  written: replica.written.map((revisions, i) =>
    keys.includes(KEYS[i]!) ? [...revisions, revision] : revisions,
  ),
  highest: Math.max(replica.highest, revision),
})
