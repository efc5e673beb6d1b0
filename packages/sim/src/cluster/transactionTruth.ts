import {
  ALL_KEYS,
  decodeWork,
  encodeWork,
  leasesOf,
  pointRange,
  rangeContains,
  rangeCovers,
  sessionWriteOf,
  type GroupId,
  type KeyRange,
  type KeyValue,
  type LeaseId,
  type Op,
  type OperationWork,
  type Revision,
  type RevisionEvents,
  type SessionTag,
  type ShardCommand,
  type TransactionId,
  type TransactionPrepare,
  type TransactionWork,
} from '@kvorum/model'
import {
  acknowledgeEnds,
  applyDecision,
  applyOutcome,
  applyPrepare,
  forgetRecord,
  hasEnded,
  isLeaseEnding,
  locksOn,
  locksOnLease,
  locksOnSequence,
  NO_TRANSACTIONS,
  sameTransaction,
  splitTransactions,
  type Ended,
  type Transactions,
} from '@kvorum/placement'
import { evaluate } from '../check/kvReference.js'
import { deletedKey, type Truth } from '../check/kvView.js'
import type { TransactionEnds } from '../invariants/transactionEnds.js'
import type { LeaseTruth } from './leaseTruth.js'
import type { SessionTruth } from './sessionTruth.js'

export type EndOfLease = Extract<TransactionWork, { kind: 'revoke' }>

/** What an entry changes, and what was to be done by the transaction that it commits here. */
export interface Outcome {
  /** Null: no key. */
  readonly change: RevisionEvents | null
  readonly work: TransactionWork | null
}

/** What else the group's state says of a transaction. */
interface Owner {
  readonly range: KeyRange
  readonly leases: LeaseTruth
  readonly sessions: SessionTruth
}

const NOTHING: Outcome = { change: null, work: null }

/**
 * What one group's log says of transactions over several groups: which locks there are, and what an outcome changes
 * here. Whether the branches were chosen rightly is not asked here: all groups together are compared with what the
 * client asked and was told.
 */
export class TransactionTruth {
  #state: Transactions
  readonly #ends: TransactionEnds

  constructor(ends: TransactionEnds, state: Transactions = NO_TRANSACTIONS) {
    this.#ends = ends
    this.#state = state
  }

  /** Locks go with their keys. */
  split(left: KeyRange, right: KeyRange, heir: GroupId): TransactionTruth {
    const halves = splitTransactions(this.#state, left, right, heir)
    this.#state = halves.left
    return new TransactionTruth(this.#ends.split(halves.right.prepared.map(({ id }) => id)), halves.right)
  }

  /** A write that meets a lock is not carried out. Of the end of a lease nobody knows the keys. */
  isLocked(command: ShardCommand, tag: SessionTag | null): boolean {
    if (command.kind === 'write')
      return (
        (tag !== null && locksOnSequence(this.#state, tag).length > 0) ||
        locksOn(this.#state, rangesOf(command.op)).length > 0 ||
        [...leasesOf(command.op)].some(lease => isLeaseEnding(this.#state, lease))
      )
    if (command.kind !== 'leaseRevoke') return false
    return locksOn(this.#state, [ALL_KEYS]).length > 0 || locksOnLease(this.#state, command.id).length > 0
  }

  apply(command: ShardCommand, truth: Truth, { range, leases, sessions }: Owner): Outcome {
    switch (command.kind) {
      case 'prepare': {
        const { prepare, after, endedBelow } = command
        const work = decodeWork(prepare.work)
        const known = acknowledgeEnds(this.#state, prepare.id.coordinator, endedBelow)
        if (work.kind === 'revoke' && !hasEnded(known, prepare.id)) {
          const isMoved = !prepare.locks.every(lock => rangeCovers(range, lock))
          const judged = isMoved ? 'asksTooFew' : leases.judgeEnd(work)
          if (judged === 'asksTooFew') this.#state = known
          if (judged !== 'mayEnd') return NOTHING
        }
        const own = work.kind === 'revoke' ? prepare : writtenBy(prepare, work, sessions)
        if (own === null && !isKnown(known, prepare)) {
          this.#state = known
          return NOTHING
        }
        this.#state = applyPrepare(known, lockedBy(own ?? prepare, truth), after, range).state
        if (isPrepared(this.#state, prepare)) this.#prepared(prepare.id)
        return NOTHING
      }
      case 'decide':
        return this.#decide(applyDecision(this.#state, command.id, command.outcome), command, truth, sessions)
      case 'end':
        return this.#end(applyOutcome(this.#state, command.id, command.outcome), command, truth)
      case 'forget':
        this.#state = forgetRecord(this.#state, command.id)
        this.#ends.forgotten(command.id)
        return NOTHING
      default:
        return NOTHING
    }
  }

  #prepared(id: TransactionId): void {
    this.#ends.prepared(id)
    const writes = this.#state.prepared.map(({ work }) => sessionWriteOf(work)?.tag)
    this.#ends.underWay(writes.filter(tag => tag !== undefined))
  }

  /** What is answered has been written, or never will be. */
  #decide(
    ended: Ended,
    command: Extract<ShardCommand, { kind: 'decide' }>,
    truth: Truth,
    sessions: SessionTruth,
  ): Outcome {
    const write = ended.released === null ? null : sessionWriteOf(ended.released.work)
    if (write !== null && command.answer !== undefined) sessions.answered(write.tag)
    return this.#end(ended, command, truth)
  }

  #end({ state, released, outcome }: Ended, { id }: { readonly id: TransactionId }, truth: Truth): Outcome {
    this.#state = state
    this.#ends.ended(id, outcome, released !== null)
    if (released === null || outcome?.kind !== 'commit') return NOTHING
    const { revision, branches } = outcome
    const { locks } = released
    const work = decodeWork(released.work)
    if (work.kind === 'revoke') return { change: endOfLease(truth, work.lease, revision), work }
    const success = taken(work.op, [...branches]).filter(
      op => op.kind === 'delete' || (op.kind === 'put' && locks.some(lock => rangeContains(lock, op.key))),
    )
    const part: Op = { kind: 'txn', compares: [], success, failure: [] }
    const effect = evaluate(truth.view(revision - 1), part, revision)
    const change = effect === null || effect.events.length === 0 ? null : { revision, events: effect.events }
    return { change, work }
  }
}

const isKnown = (known: Transactions, prepare: TransactionPrepare): boolean =>
  hasEnded(known, prepare.id) || isPrepared(known, prepare)

const isPrepared = ({ prepared }: Transactions, { id }: TransactionPrepare): boolean =>
  prepared.some(other => sameTransaction(other.id, id))

/** With the lease of its session; null: the session does not want it. */
function writtenBy(
  prepare: TransactionPrepare,
  work: OperationWork,
  sessions: SessionTruth,
): TransactionPrepare | null {
  if (work.session === undefined) return prepare
  const { tag } = work.session
  const lease = sessions.leaseOf(tag)
  return lease === null ? null : { ...prepare, work: encodeWork({ ...work, session: { tag, lease } }) }
}

/** The end of a lease locks the keys that it finds. */
function lockedBy(prepare: TransactionPrepare, truth: Truth): TransactionPrepare {
  const work = decodeWork(prepare.work)
  if (work.kind !== 'revoke') return prepare
  return {
    ...prepare,
    locks: attachedTo(truth, work.lease, truth.revision).map(({ key }) => pointRange(key)),
  }
}

const attachedTo = (truth: Truth, lease: LeaseId, at: Revision): KeyValue[] =>
  truth
    .view(at)
    .scan(ALL_KEYS)
    .filter(kv => kv.lease === lease)

/** All its keys go; null: it had none. */
export function endOfLease(truth: Truth, lease: LeaseId, revision: Revision): RevisionEvents | null {
  const events = attachedTo(truth, lease, revision - 1).map(prev => ({
    kind: 'delete' as const,
    kv: deletedKey(prev.key, revision),
    prev,
  }))
  return events.length === 0 ? null : { revision, events }
}

/** The operations that are carried out, in order. */
function taken(op: Op, branches: boolean[]): Op[] {
  if (op.kind !== 'txn') return [op]
  const succeeded = branches.shift() === true
  return (succeeded ? op.success : op.failure).flatMap(nested => taken(nested, branches))
}

function rangesOf(op: Op): KeyRange[] {
  if (op.kind === 'put') return [{ start: op.key, end: Buffer.concat([op.key, Buffer.of(0)]) }]
  if (op.kind !== 'txn') return [op.range]
  return [
    ...op.compares.map(({ range }) => range),
    ...op.success.flatMap(rangesOf),
    ...op.failure.flatMap(rangesOf),
  ]
}
