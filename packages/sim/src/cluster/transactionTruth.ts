import {
  ALL_KEYS,
  decodeWork,
  rangeContains,
  type KeyRange,
  type Op,
  type RevisionEvents,
  type ShardCommand,
} from '@kvorum/model'
import {
  acknowledgeEnds,
  applyDecision,
  applyOutcome,
  applyPrepare,
  forgetRecord,
  locksOn,
  NO_TRANSACTIONS,
  type Ended,
  type Transactions,
} from '@kvorum/placement'
import { evaluate } from '../check/kvReference.js'
import type { Truth } from '../check/kvView.js'

/**
 * What one group's log says of transactions over several groups: which locks there are, and what an outcome changes
 * here. Whether the branches were chosen rightly is not asked here: all groups together are compared with what the
 * client asked and was told.
 */
export class TransactionTruth {
  #state: Transactions = NO_TRANSACTIONS

  /** A write that meets a lock is not carried out. Of the end of a lease nobody knows the keys. */
  isLocked(command: ShardCommand): boolean {
    if (command.kind === 'write') return locksOn(this.#state, rangesOf(command.op)).length > 0
    return command.kind === 'leaseRevoke' && this.#state.prepared.length > 0
  }

  /** Null: no key changes. */
  apply(command: ShardCommand, truth: Truth): RevisionEvents | null {
    switch (command.kind) {
      case 'prepare': {
        const { prepare, after, endedBelow } = command
        const known = acknowledgeEnds(this.#state, prepare.id.coordinator, endedBelow)
        this.#state = applyPrepare(known, prepare, after, ALL_KEYS).state
        return null
      }
      case 'decide':
        return this.#end(applyDecision(this.#state, command.id, command.outcome), truth)
      case 'end':
        return this.#end(applyOutcome(this.#state, command.id, command.outcome), truth)
      case 'forget':
        this.#state = forgetRecord(this.#state, command.id)
        return null
      default:
        return null
    }
  }

  #end({ state, released, outcome }: Ended, truth: Truth): RevisionEvents | null {
    this.#state = state
    if (released === null || outcome?.kind !== 'commit') return null
    const { revision, branches } = outcome
    const { locks, work } = released
    const success = taken(decodeWork(work).op, [...branches]).filter(
      op => op.kind === 'delete' || (op.kind === 'put' && locks.some(lock => rangeContains(lock, op.key))),
    )
    const part: Op = { kind: 'txn', compares: [], success, failure: [] }
    const effect = evaluate(truth.view(revision - 1), part, revision)
    return effect === null || effect.events.length === 0 ? null : { revision, events: effect.events }
  }
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
