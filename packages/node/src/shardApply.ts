import {
  assert,
  leasesOf,
  type SessionTag,
  type ShardCommand,
  type StoreAnswer,
  type StoreNeed,
  type TransactionId,
} from '@kvorum/model'
import {
  applyConfig,
  applyNoop,
  applyRevisions,
  applySplit,
  attachedLocks,
  isAttachedElsewhere,
  workCommand,
  workTransaction,
  type Applied,
  type Machine,
  type Overlay,
  type SplitAt,
  type Worked,
} from '@kvorum/machine'
import {
  encodeRevisions,
  endDenseMode,
  endsOfLease,
  locksOn,
  locksOnLease,
  locksOnSequence,
  revisionAtApply,
  splitTransactions,
  type Prepared,
  type ShardRevisions,
} from '@kvorum/placement'
import { isJoint } from '@kvorum/raft'
import type { Pending } from './applying.js'
import { rangesOf } from './commands.js'
import type { GroupMachine } from './groupMachine.js'
import { isTransactional, leaseToLock, transactionEntry } from './transactions/entries.js'

/**
 * Carrying out an entry of a shard's log. Placement knows which revision a write gets and whether it may be carried
 * out at all; the state machine carries it out at the revision it is told. Neither knows of the other.
 */

/** What came of an entry. */
export type ShardOutcome =
  /** Nothing that anybody waits for: the entry of a new leader, a configuration, a meta group's entry. */
  | { readonly kind: 'nothing' }
  /** A command of the machine, to be shown. */
  | { readonly kind: 'worked'; readonly worked: Worked }
  /** The shard was to be split; `right` is the new half, if it was. */
  | { readonly kind: 'split'; readonly applied: Applied; readonly right: Machine | null }
  /** Not applied; its leader queues the command again and asks a revision, when those in its way are over. */
  | { readonly kind: 'again'; readonly behind: readonly TransactionId[] }
  /** Not applied: other shards may have keys of the lease, so that its end is a transaction. */
  | { readonly kind: 'spread' }
  /** Not applied: a prepare with locks of younger transactions in its way. Its leader proposes it again. */
  | { readonly kind: 'wait'; readonly behind: readonly TransactionId[] }

export const NOTHING_CAME: ShardOutcome = { kind: 'nothing' }

export function* applyShardEntry(
  machine: GroupMachine,
  overlay: Overlay,
  pending: Pending,
): Generator<StoreNeed, ShardOutcome, StoreAnswer> {
  const { entry, command, header, prefetched } = pending
  const { shard } = machine
  assert(shard !== null, () => 'an entry is applied without a state machine')
  switch (entry.kind) {
    case 'noop':
      applyNoop(shard, overlay, entry)
      return NOTHING_CAME
    case 'config':
      applyConfig(shard, overlay, entry, entry.data)
      return NOTHING_CAME
    case 'normal':
  }
  if (command?.kind === 'endDense') {
    const mode = endDenseMode(machine.revisions.mode, shard.revision)
    changeRevisions(machine, shard, overlay, entry, { ...machine.revisions, mode })
    return NOTHING_CAME
  }
  if (command?.kind === 'split') return splitEntry(machine, shard, overlay, entry, command)
  if (command !== null && isTransactional(command)) {
    const lease = leaseToLock(command)
    const attached = lease === null ? [] : yield* attachedLocks(shard, overlay, prefetched, lease)
    const transaction = transactionEntry(machine, entry, command, attached)
    if ('wait' in transaction) {
      applyNoop(shard, overlay, entry)
      return { kind: 'wait', behind: transaction.wait }
    }
    const worked = yield* workTransaction(
      shard,
      overlay,
      { ...entry, command, header },
      prefetched,
      transaction.entry,
    )
    pending.endsLease = transaction.endsLease
    return { kind: 'worked', worked }
  }
  const stamp = header?.stamp ?? null
  if (command !== null && needsRevision(command)) {
    const revision = revisionAtApply(machine.revisions.mode, shard.revision, stamp)
    const behind = locksInWay(machine, shard, command, header?.session ?? null)
    if (revision === 'again' || behind.length > 0) {
      applyNoop(shard, overlay, entry)
      return { kind: 'again', behind: behind.map(({ id }) => id) }
    }
    if (command.kind === 'leaseRevoke' && isAttachedElsewhere(shard, command.id)) {
      applyNoop(shard, overlay, entry)
      return { kind: 'spread' }
    }
  }
  const worked = yield* workCommand(shard, overlay, { ...entry, command, header, stamp }, prefetched)
  return { kind: 'worked', worked }
}

/**
 * Keys of a transaction that is not decided, a lease, or the same write of a session. Which keys a lease has, only carrying
 * out its end would tell: all of them.
 */
function locksInWay(
  { revisions }: GroupMachine,
  { range }: Machine,
  command: ShardCommand,
  tag: SessionTag | null,
): readonly Prepared[] {
  const { transactions } = revisions
  if (transactions.prepared.length === 0) return []
  switch (command.kind) {
    case 'write':
      return [
        ...locksOn(transactions, rangesOf(command.op)),
        ...(tag === null ? [] : locksOnSequence(transactions, tag)),
        ...[...leasesOf(command.op)].flatMap(lease => endsOfLease(transactions, lease)),
      ]
    case 'leaseRevoke':
      return [...locksOn(transactions, [range]), ...locksOnLease(transactions, command.id)]
    default:
      return []
  }
}

/** By replicated state alone, so that all replicas split or none does. */
function splitEntry(
  machine: GroupMachine,
  shard: Machine,
  overlay: Overlay,
  entry: Pending['entry'],
  split: SplitAt,
): ShardOutcome {
  const { mode, transactions } = machine.revisions
  const { range } = shard
  // The bytes of the command are not kept.
  const at = Buffer.from(split.at)
  const halves = splitTransactions(
    transactions,
    { start: range.start, end: at },
    { start: at, end: range.end },
    split.right,
  )
  const left = { mode, transactions: halves.left }
  const { applied, right } = applySplit(shard, overlay, entry, split, {
    mayNot: mayNotSplit(machine),
    left: encodeRevisions(left),
    right: encodeRevisions({ mode, transactions: halves.right }),
  })
  if (right !== null) machine.revisions = left
  return { kind: 'split', applied, right }
}

/** Two shards that count their own revisions have no order; and a right half begins with a settled configuration. */
function mayNotSplit({ revisions, config }: GroupMachine): string | null {
  if (revisions.mode.kind === 'dense') return 'the shard counts its own revisions'
  if (config === null || isJoint(config.value)) return 'its members are changing'
  return null
}

/** Every replica does the same, so a command that may write takes a revision whether it does write or not. */
const needsRevision = ({ kind }: ShardCommand): boolean => kind === 'write' || kind === 'leaseRevoke'

/** The entry changes what the shard remembers of revisions and transactions, and no key. */
function changeRevisions(
  machine: GroupMachine,
  shard: Machine,
  overlay: Overlay,
  entry: Pending['entry'],
  revisions: ShardRevisions,
): void {
  applyRevisions(shard, overlay, entry, encodeRevisions(revisions))
  machine.revisions = revisions
}
