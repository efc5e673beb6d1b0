import {
  EMPTY,
  type GroupId,
  type KeyRange,
  type Revision,
  type Term,
  type TransactionId,
  type TransactionOutcome,
  type TransactionPrepare,
} from '@kvorum/model'
import type { Ended, RevisionMode, Transactions, Vote } from '@kvorum/placement'
import type { Breach, PlannedWork } from './configuration.js'
import { holds, KEYS, leftOf, POINTS, rightOf, type Cut, type Key } from './keys.js'
import {
  attachedIn,
  claimSequence,
  decodedWork,
  ENDED,
  heldHere,
  homeAfter,
  homeSplit,
  type Home,
  type Known,
  waitsFor,
} from './lease.js'
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
  readonly home: Home | null
  /** Keys that are attached to the lease. */
  readonly attached: readonly Key[]
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
  readonly work: PlannedWork
  readonly key: Key | null
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
  /** By the locks of these; of none: it has no revision. */
  | { readonly kind: 'refused'; readonly behind: readonly TransactionId[] }
  /** The key is another shard's by now. */
  | { readonly kind: 'moved' }
  | { readonly kind: 'vote'; readonly vote: Vote }
  | { readonly kind: 'ended'; readonly ended: Ended; readonly written: readonly Key[] }
  /** The lease has ended in its home, and nobody else has keys of it. */
  | { readonly kind: 'leaseEnded'; readonly revision: Revision; readonly written: readonly Key[] }
  /** Other shards may have keys of the lease: its end is a transaction. */
  | { readonly kind: 'spread' }
  | Known

export interface AppliedEntry {
  readonly replica: Replica
  readonly applied: Applied
}

export const emptyReplica = (
  rules: Rules,
  range: KeyRange,
  dense: boolean,
  attached: readonly Key[],
  elsewhere: readonly KeyRange[],
): Replica => ({
  range,
  epoch: 1,
  written: KEYS.map(() => []),
  highest: 0,
  compacted: 0,
  mode: dense ? rules.DENSE : rules.endDenseMode(rules.DENSE, 0),
  transactions: rules.NO_TRANSACTIONS,
  home: range.start.length === 0 ? { alive: true, elsewhere, answer: null } : null,
  attached: attachedIn(attached, range),
})

const NOTHING: Applied = { kind: 'nothing' }
const UNSTAMPED: Applied = { kind: 'refused', behind: [] }
const MOVED: Applied = { kind: 'moved' }
const SPREAD: Applied = { kind: 'spread' }

export function applyEntry(
  rules: Rules,
  breach: Breach | null,
  replica: Replica,
  entry: Entry,
): AppliedEntry {
  switch (entry.kind) {
    case 'noop':
      return { replica, applied: NOTHING }
    case 'write':
      return applyWrite(rules, breach, replica, entry)
    case 'prepare': {
      const { prepare, after, endedBelow } = entry
      const { coordinator } = prepare.id
      const { transactions: before } = replica
      const known = before.ended.find(other => other.coordinator === coordinator)?.below ?? 0
      const acknowledged =
        endedBelow > known ? rules.acknowledgeEnds(before, coordinator, endedBelow) : before
      const held = heldHere(rules, breach, replica, acknowledged, prepare)
      const refused = { ...replica, transactions: acknowledged }
      if (held === 'moved') return { replica: refused, applied: { kind: 'vote', vote: { kind: 'moved' } } }
      if ('kind' in held) return { replica: refused, applied: held }
      const { state, vote } = locked(rules, breach, replica, acknowledged, held, after)
      if (vote.kind === 'wait') return { replica, applied: { kind: 'vote', vote } }
      return { replica: { ...replica, transactions: state }, applied: { kind: 'vote', vote } }
    }
    case 'decide':
      return end(rules.applyDecision(replica.transactions, entry.id, entry.outcome), breach, replica, entry)
    case 'end':
      return end(rules.applyOutcome(replica.transactions, entry.id, entry.outcome), breach, replica, entry)
    case 'forget': {
      const transactions = rules.forgetRecord(replica.transactions, entry.id)
      return { replica: { ...replica, transactions }, applied: NOTHING }
    }
    case 'split': {
      if (!splits(replica, entry)) return { replica, applied: NOTHING }
      const { left } = halves(rules, replica, entry)
      const range = leftOf(replica.range, entry.at)
      const home = homeSplit(breach, replica.home, rightOf(replica.range, entry.at))
      const attached = attachedIn(replica.attached, range)
      const half = { ...replica, range, epoch: entry.epoch, transactions: left, home, attached }
      return { replica: half, applied: NOTHING }
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
  const { right: transactions } = halves(rules, before, split)
  const range = rightOf(before.range, split.at)
  const attached = attachedIn(before.attached, range)
  return { ...before, range, epoch: split.epoch, transactions, home: null, attached }
}

/** Not a copy of one that was done; and shards that count their own revisions are not split. */
export const splits = ({ epoch, mode }: Replica, split: Split): boolean =>
  epoch < split.epoch && mode.kind === 'oracle'

const halves = (rules: Rules, { transactions, range }: Replica, { at, heir }: Split) =>
  rules.splitTransactions(transactions, leftOf(range, at), rightOf(range, at), heir)

function applyWrite(rules: Rules, breach: Breach | null, replica: Replica, entry: Write): AppliedEntry {
  const { work, key, stamp } = entry
  const { range, home, transactions } = replica
  const misses = work === 'session' && home === null && breach !== 'sequenceAtAnyShard'
  if (misses || (key !== null && !holds(range, key))) return { replica, applied: MOVED }
  const ranges = key === null ? [range] : [POINTS[key]]
  const behind = [...rules.locksOn(transactions, ranges), ...waitsFor(rules, breach, transactions, work)].map(
    ({ id }) => id,
  )
  if (behind.length > 0 && breach !== 'locksNotChecked')
    return { replica, applied: { kind: 'refused', behind } }
  const revision = rules.revisionAtApply(replica.mode, replica.highest, stamp)
  if (revision === 'again') return { replica, applied: UNSTAMPED }
  const done: Applied = { kind: 'written', revision }
  if (key === null) return endsHere(breach, replica, revision)
  if (work === 'op' || home === null) return { replica: put(replica, [key], revision), applied: done }
  const known = claimSequence(work === 'session' ? home : { ...home, answer: null })
  if (known !== null) return { replica, applied: known }
  if (work === 'attach') return { replica: put(replica, [key], revision, [key]), applied: done }
  return { replica: { ...put(replica, [key], revision), home: { ...home, answer: revision } }, applied: done }
}

/** The end of a lease that is one entry: its home looks again whether it can be. */
function endsHere(breach: Breach | null, replica: Replica, revision: Revision): AppliedEntry {
  const { home, attached } = replica
  if (home === null || !home.alive) return { replica, applied: { kind: 'known', answer: null } }
  if (home.elsewhere.length > 0 && breach !== 'plainEndNotJudged') return { replica, applied: SPREAD }
  return {
    replica: { ...put(replica, attached, revision), home: ENDED },
    applied: { kind: 'leaseEnded', revision, written: attached },
  }
}

/** The locks are taken; or, with a breach, those on leases are taken in their home only. */
function locked(
  rules: Rules,
  breach: Breach | null,
  { range, home }: Replica,
  known: Transactions,
  prepare: TransactionPrepare,
  after: Revision,
): ReturnType<Rules['applyPrepare']> {
  if (breach !== 'leaseLockedAtHomeOnly' || home !== null)
    return rules.applyPrepare(known, prepare, after, range)
  const { state, vote } = rules.applyPrepare(known, { ...prepare, work: EMPTY }, after, range)
  const prepared = state.prepared.map(held =>
    rules.sameTransaction(held.id, prepare.id) ? { ...held, work: prepare.work } : held,
  )
  return { state: { ...state, prepared }, vote }
}

/** The leader sees that a prepare that waits would wait again. */
export function wouldWait(
  rules: Rules,
  breach: Breach | null,
  replica: Replica,
  prepare: TransactionPrepare,
): boolean {
  const held = heldHere(rules, breach, replica, replica.transactions, prepare)
  if (held === 'moved' || 'kind' in held) return false
  return locked(rules, breach, replica, replica.transactions, held, 0).vote.kind === 'wait'
}

function end(ended: Ended, breach: Breach | null, replica: Replica, { kind, writes }: End): AppliedEntry {
  const { outcome, released } = ended
  const next = { ...replica, transactions: ended.state }
  if (released === null || outcome?.kind !== 'commit')
    return { replica: next, applied: { kind: 'ended', ended, written: [] } }
  const { revision } = outcome
  const work = decodedWork(released.work)
  const written = work?.kind === 'revoke' ? replica.attached : writes.filter(key => holds(replica.range, key))
  const highest = Math.max(next.highest, revision)
  const home = homeAfter(breach, replica.home, work, kind === 'decide', revision)
  const done = put(next, written, revision, work?.kind === 'attach' ? written : [])
  return { replica: { ...done, highest, home }, applied: { kind: 'ended', ended, written } }
}

/** `attached`: those of `keys` that the lease has from here on. */
function put(
  replica: Replica,
  keys: readonly Key[],
  revision: Revision,
  attached: readonly Key[] = [],
): Replica {
  const others = replica.attached.filter(key => !keys.includes(key))
  return {
    ...replica,
    written: replica.written.map((revisions, i) =>
      keys.includes(KEYS[i]!) ? [...revisions, revision] : revisions,
    ),
    highest: Math.max(replica.highest, revision),
    attached: [...others, ...attached].sort(),
  }
}
