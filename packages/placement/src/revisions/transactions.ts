import {
  assert,
  leaseLocksOf,
  rangeCovers,
  rangesOverlap,
  sessionWriteOf,
  type GroupId,
  type Incarnation,
  type KeyRange,
  type LeaseId,
  type LeaseLocks,
  type Revision,
  type SessionTag,
  type TransactionAge,
  type TransactionId,
  type TransactionOutcome,
  type TransactionPrepare,
} from '@kvorum/model'

/**
 * What a shard's replicas remember of transactions over several shards. All of it changes at apply only.
 *
 *     prepare --> prepared (locks) --> end: committed at C | aborted --> ended (remembered until no copy can come)
 *                                       in the primary the end is a record: written once, read by the others
 */
export interface Transactions {
  readonly prepared: readonly Prepared[]
  /** Of transactions whose primary this shard is. */
  readonly records: readonly DecisionRecord[]
  readonly ended: readonly EndedOfCoordinator[]
}

export interface Prepared extends TransactionPrepare {
  /** The floor of the leader that proposed the prepare: the transaction's revision will be above it. */
  readonly after: Revision
  /** Groups that were split off since, and inherited their part of the locks. */
  readonly heirs: readonly GroupId[]
}

export interface DecisionRecord {
  readonly id: TransactionId
  readonly outcome: TransactionOutcome
  /** Who has to be told before it may be forgotten; empty where an abort came before the prepare. */
  readonly participants: readonly GroupId[]
  readonly heirs: readonly GroupId[]
}

export interface EndedOfCoordinator {
  readonly coordinator: Incarnation
  /** A prepare of a lower sequence is refused unseen. */
  readonly below: number
  readonly ended: readonly { readonly sequence: number; readonly heirs: readonly GroupId[] }[]
}

export const NO_TRANSACTIONS: Transactions = { prepared: [], records: [], ended: [] }

export const sameTransaction = (a: TransactionId, b: TransactionId): boolean =>
  a.coordinator === b.coordinator && a.sequence === b.sequence

const preparedOf = (state: Transactions, id: TransactionId): Prepared | undefined =>
  state.prepared.find(prepared => sameTransaction(prepared.id, id))

export const isPrepared = (state: Transactions, id: TransactionId): boolean =>
  preparedOf(state, id) !== undefined

export const recordOf = (state: Transactions, id: TransactionId): DecisionRecord | undefined =>
  state.records.find(record => sameTransaction(record.id, id))

/**
 * Whether a prepare of it is refused. What is still prepared here has not ended, whatever its coordinator's next life
 * says of the sequences of this one.
 */
export function hasEnded(state: Transactions, id: TransactionId): boolean {
  if (isPrepared(state, id)) return false
  const known = state.ended.find(({ coordinator }) => coordinator === id.coordinator)
  if (known === undefined) return false
  return id.sequence < known.below || known.ended.some(({ sequence }) => sequence === id.sequence)
}

/** Locks that overlap `ranges`; a write that meets one at apply is not applied, and its revision is never used. */
export const locksOn = (state: Transactions, ranges: readonly KeyRange[]): readonly Prepared[] =>
  state.prepared.filter(({ locks }) => overlapAny(locks, ranges))

/** Transactions that attach keys to the lease, or end it, and are not over. */
export const locksOnLease = (state: Transactions, lease: LeaseId): readonly Prepared[] =>
  state.prepared.filter(({ work }) => leaseLocksOf(work).leases.includes(lease))

/** The lease may be over already: nothing is attached to it any more, and nobody keeps it alive. */
export const isLeaseEnding = (state: Transactions, lease: LeaseId): boolean =>
  endsOfLease(state, lease).length > 0

/** Transactions that end it, and are not over. */
export const endsOfLease = (state: Transactions, lease: LeaseId): readonly Prepared[] =>
  locksOnLease(state, lease).filter(({ work }) => leaseLocksOf(work).ends)

/**
 * Whoever attaches keys to a lease excludes whoever ends it, in every shard that either touches: an end deletes exactly the
 * keys that it has locked.
 */
const leasesConflict = (a: LeaseLocks, b: LeaseLocks): boolean =>
  (a.ends || b.ends) && a.leases.some(lease => b.leases.includes(lease))

/** One sequence of a session is one write, however often it is sent: the second sending is judged when the first is over. */
export const locksOnSequence = (state: Transactions, tag: SessionTag): readonly Prepared[] =>
  state.prepared.filter(({ work }) => {
    const other = sessionWriteOf(work)?.tag
    return other?.session === tag.session && other.sequence === tag.sequence
  })

export const overlapAny = (some: readonly KeyRange[], others: readonly KeyRange[]): boolean =>
  some.some(a => others.some(b => rangesOverlap(a, b)))

export type Vote =
  /** Locked; the transaction's revision will be above `after`. */
  | { readonly kind: 'prepared'; readonly after: Revision }
  /** An older transaction holds a lock: this one gives up, and is tried again under its old age. */
  | { readonly kind: 'die' }
  /** Younger ones hold locks: the leader proposes the prepare again when they have ended. No answer yet. */
  | { readonly kind: 'wait'; readonly behind: readonly TransactionId[] }
  /** The transaction is over; this was a late copy. */
  | { readonly kind: 'over' }
  /** Some of the locks lie in a shard that was split off since: the transaction is tried again by the new map. */
  | { readonly kind: 'moved' }

/**
 * A prepare is applied; `range` is the shard's at this entry. A copy that comes after the end is refused: it would lock
 * keys that nobody will unlock, or, asked what became of it, apply the writes a second time. A conflict is decided by age
 * (wait-die): only older ones wait for younger ones, so no two wait for each other. A prepare that was routed before a
 * split and is applied behind it would hold less than it says: keys of the right half would stay free. And a second copy
 * there would be judged by what the left half knows, and be taken for the vote of both.
 */
export function applyPrepare(
  state: Transactions,
  prepare: TransactionPrepare,
  after: Revision,
  range: KeyRange,
): { readonly state: Transactions; readonly vote: Vote } {
  const { id, age, locks, work } = prepare
  if (hasEnded(state, id)) return { state, vote: { kind: 'over' } }
  if (!locks.every(lock => rangeCovers(range, lock))) return { state, vote: { kind: 'moved' } }
  const before = preparedOf(state, id)
  if (before !== undefined) return { state, vote: { kind: 'prepared', after: before.after } }
  const leases = leaseLocksOf(work)
  const tag = sessionWriteOf(work)?.tag
  const sameWrite = tag === undefined ? [] : locksOnSequence(state, tag)
  const holders = state.prepared.filter(
    other =>
      overlapAny(other.locks, locks) ||
      leasesConflict(leaseLocksOf(other.work), leases) ||
      sameWrite.includes(other),
  )
  if (holders.length > 0) {
    const dies = holders.some(holder => compareAges(holder.age, age) < 0)
    return { state, vote: dies ? { kind: 'die' } : { kind: 'wait', behind: holders.map(other => other.id) } }
  }
  const prepared = [...state.prepared, { ...prepare, after, heirs: [] }]
  return { state: { ...state, prepared }, vote: { kind: 'prepared', after } }
}

/** Negative when `a` is older. Total: no two transactions have one id. */
export function compareAges(a: TransactionAge, b: TransactionAge): number {
  if (a.since !== b.since) return a.since - b.since
  if (a.coordinator !== b.coordinator) return a.coordinator < b.coordinator ? -1 : 1
  return a.sequence - b.sequence
}

export interface Ended {
  readonly state: Transactions
  /** The prepare that this outcome ends here: its writes take effect now if it commits. Null: none, or a copy. */
  readonly released: Prepared | null
  /** What the transaction came to; null where nobody remembers, because everybody who could ask knows. */
  readonly outcome: TransactionOutcome | null
  /** Groups that were split off with a part of the locks: they have to be told as well. */
  readonly heirs: readonly GroupId[]
}

/**
 * The decision is applied in the primary's log. The first record stands: a coordinator's commit and an orphan's abort
 * may both be in the log, and everybody must learn the same one. It is also the end of the primary's own prepare.
 */
export function applyDecision(state: Transactions, id: TransactionId, wanted: TransactionOutcome): Ended {
  const record = recordOf(state, id)
  if (record !== undefined) return { state, released: null, outcome: record.outcome, heirs: record.heirs }
  if (hasEnded(state, id)) return { state, released: null, outcome: null, heirs: [] }
  assert(
    wanted.kind === 'abort' || preparedOf(state, id) !== undefined,
    () => `transaction ${id.sequence} commits, but its primary has not prepared it`,
  )
  const ended = endHere(state, id)
  const participants = ended.released?.participants ?? []
  const records = [...state.records, { id, outcome: wanted, participants, heirs: ended.heirs }]
  return { ...ended, state: { ...ended.state, records }, outcome: wanted }
}

/** The outcome, as the primary's record has it, is applied in another participant. */
export function applyOutcome(state: Transactions, id: TransactionId, outcome: TransactionOutcome): Ended {
  if (hasEnded(state, id)) return { state, released: null, outcome, heirs: heirsOf(state, id) }
  assert(
    outcome.kind === 'abort' || preparedOf(state, id) !== undefined,
    () => `transaction ${id.sequence} commits in a shard that has not prepared it`,
  )
  return { ...endHere(state, id), outcome }
}

/** The locks go, the end is remembered; also of an abort that comes before its prepare, which is then refused. */
function endHere(state: Transactions, id: TransactionId): Omit<Ended, 'outcome'> {
  const released = preparedOf(state, id) ?? null
  const heirs = released?.heirs ?? []
  const prepared = state.prepared.filter(other => other !== released)
  const known = state.ended.find(({ coordinator }) => coordinator === id.coordinator)
  const others = state.ended.filter(other => other !== known)
  const ended = [...(known?.ended ?? []), { sequence: id.sequence, heirs }].sort(
    (a, b) => a.sequence - b.sequence,
  )
  const mine = { coordinator: id.coordinator, below: known?.below ?? 0, ended }
  return { state: { ...state, prepared, ended: [...others, mine] }, released, heirs }
}

function heirsOf(state: Transactions, id: TransactionId): readonly GroupId[] {
  const known = state.ended.find(({ coordinator }) => coordinator === id.coordinator)
  return known?.ended.find(({ sequence }) => sequence === id.sequence)?.heirs ?? []
}

/**
 * Every participant has applied the outcome, heirs included: the record goes. Forgotten earlier, a participant that
 * still holds locks asks in vain, or is told of an abort where others have committed.
 */
export const forgetRecord = (state: Transactions, id: TransactionId): Transactions => ({
  ...state,
  records: state.records.filter(record => !sameTransaction(record.id, id)),
})

/**
 * The coordinator prepares nothing below `below` any more: single ends need not be kept. It may say so while older ones
 * are prepared here and there. They end by the primary's record, which is there until every participant has ended; and
 * where there is none, the primary never prepared, never will, and nothing was committed.
 *
 * Ends with heirs are kept: whoever brings the record to its end has to hear of the heirs from here, in every answer.
 * Were they forgotten, the record would be as well, and an heir that still holds its locks would be told of an abort.
 */
export function acknowledgeEnds(state: Transactions, coordinator: Incarnation, below: number): Transactions {
  const known = state.ended.find(other => other.coordinator === coordinator)
  const ended = (known?.ended ?? []).filter(({ sequence, heirs }) => sequence >= below || heirs.length > 0)
  const mine = { coordinator, below: Math.max(below, known?.below ?? 0), ended }
  return { ...state, ended: [...state.ended.filter(other => other !== known), mine] }
}
