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
import { holds, KEYS, leftOf, POINTS, rightOf, type Cut, type Key } from './keys.js'
import type { Rules } from './rules.js'

/** One shard's state machine, as far as revisions go: which revisions wrote which key, and the locks. */
export interface Replica {
  readonly range: KeyRange
  readonly epoch: number
  /** Per key of KEYS: the revisions that wrote it, in the order of the log. */
  readonly written: readonly (readonly Revision[])[]
  /** The greatest revision applied. */
  readonly highest: Revision
  /** Of older states, histories are gone. */
  readonly compacted: Revision
  readonly mode: RevisionMode
  readonly transactions: Transactions
}

export type Entry =
  | { readonly kind: 'noop'; readonly term: Term }
  | Write
  | PrepareEntry
  | End
  | { readonly kind: 'forget'; readonly term: Term; readonly id: TransactionId }
  | Split
  | { readonly kind: 'switch'; readonly term: Term }
  | { readonly kind: 'compact'; readonly term: Term; readonly revision: Revision }

export interface Split {
  readonly kind: 'split'
  readonly term: Term
  readonly at: Cut
  readonly heir: GroupId
  /** Of both halves. */
  readonly epoch: number
}

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
  readonly endedBelow: number
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
  compacted: 0,
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
      const { prepare, after, endedBelow } = entry
      const { coordinator } = prepare.id
      const { transactions: before } = replica
      const known = before.ended.find(other => other.coordinator === coordinator)?.below ?? 0
      const acknowledged =
        endedBelow > known ? rules.acknowledgeEnds(before, coordinator, endedBelow) : before
      const { state, vote } = rules.applyPrepare(acknowledged, prepare, after, replica.range)
      if (vote.kind === 'wait') return { replica, applied: { kind: 'vote', vote } }
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
      if (!splits(replica, entry)) return { replica, applied: NOTHING }
      const { left } = halves(rules, replica, entry)
      const range = leftOf(replica.range, entry.at)
      return { replica: { ...replica, range, epoch: entry.epoch, transactions: left }, applied: NOTHING }
    }
    case 'compact':
      return {
        replica: { ...replica, compacted: Math.max(replica.compacted, entry.revision) },
        applied: NOTHING,
      }
    case 'switch':
      return {
        replica: { ...replica, mode: rules.endDenseMode(replica.mode, replica.highest) },
        applied: NOTHING,
      }
  }
}

/** The right half begins with what the left had when the split was applied. */
export function rightHalf(rules: Rules, before: Replica, split: Split): Replica {
  const { right } = halves(rules, before, split)
  return { ...before, range: rightOf(before.range, split.at), epoch: split.epoch, transactions: right }
}

/** Not a copy of one that was done; and shards that count their own revisions are not split. */
export const splits = ({ epoch, mode }: Replica, split: Split): boolean =>
  epoch < split.epoch && mode.kind === 'oracle'

const halves = (rules: Rules, { transactions, range }: Replica, { at, heir }: Split) =>
  rules.splitTransactions(transactions, leftOf(range, at), rightOf(range, at), heir)

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
