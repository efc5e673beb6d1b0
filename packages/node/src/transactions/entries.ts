import {
  assert,
  ByteReader,
  ByteWriter,
  decodeWork,
  leaseLocksOf,
  LIMITS,
  rangeCovers,
  readPrepare,
  refuse,
  type Entry,
  type ErrorCode,
  type KeyRange,
  type LeaseId,
  type PrepareCommand,
  type Reply,
  type ShardCommand,
  type TransactionId,
  type TransactionOutcome,
  type TransactionPrepare,
  type TransactionWork,
  writePrepare,
} from '@kvorum/model'
import { isHome, isKnown, type Machine, type TransactionEntry, type TransactionTask } from '@kvorum/machine'
import {
  acknowledgeEnds,
  applyDecision,
  applyOutcome,
  applyPrepare,
  encodeRevisions,
  forgetRecord,
  hasEnded,
  type Ended,
  type Prepared,
  type ShardRevisions,
  type Transactions,
} from '@kvorum/placement'
import type { GroupMachine } from '../groupMachine.js'

/**
 * Entries of transactions over several shards: placement says what becomes of the transaction, machine does what that
 * means for keys, and both are written together.
 */
export type TransactionCommand = Extract<ShardCommand, { kind: 'prepare' | 'decide' | 'end' | 'forget' }>

export const isTransactional = (command: ShardCommand): command is TransactionCommand =>
  command.kind === 'prepare' ||
  command.kind === 'decide' ||
  command.kind === 'end' ||
  command.kind === 'forget'

/** What this node learns from an entry besides. */
export interface TransactionNews {
  readonly entry: TransactionEntry
  /** The lease that it ends; null: none. */
  readonly endsLease: LeaseId | null
}

/** What the entry does here; 'wait': not applied, the leader proposes it again when the locks in its way are gone. */
export function transactionEntry(
  machine: GroupMachine,
  entry: Entry,
  command: TransactionCommand,
  attached: readonly KeyRange[],
): TransactionNews | 'wait' {
  const { transactions } = machine.revisions
  switch (command.kind) {
    case 'prepare': {
      const prepared = prepareEntry(machine, entry, command, attached)
      return prepared === 'wait' ? 'wait' : plain(prepared)
    }
    case 'decide':
      return endEntry(machine, applyDecision(transactions, command.id, command.outcome), command.id)
    case 'end':
      return endEntry(machine, applyOutcome(transactions, command.id, command.outcome), command.id)
    case 'forget':
      return plain(remembering(machine, forgetRecord(transactions, command.id), note({ kind: 'done' })))
  }
}

const plain = (entry: TransactionEntry): TransactionNews => ({ entry, endsLease: null })

/** The lease whose end the entry prepares: its keys are to be looked up, for their locks. */
export function leaseToLock(command: TransactionCommand): LeaseId | null {
  if (command.kind !== 'prepare') return null
  const { leases, ends } = leaseLocksOf(command.prepare.work)
  return ends ? (leases[0] ?? null) : null
}

const note = (reply: Reply): TransactionTask => ({ kind: 'note', reply })

/** The entry, with what the shard remembers of its transactions afterwards. */
function remembering(
  machine: GroupMachine,
  transactions: Transactions,
  task: TransactionTask,
): TransactionEntry {
  if (transactions === machine.revisions.transactions)
    return { task, remembered: null, commit: () => undefined }
  const revisions: ShardRevisions = { ...machine.revisions, transactions }
  return {
    task,
    remembered: encodeRevisions(revisions),
    commit: () => {
      machine.revisions = revisions
    },
  }
}

function prepareEntry(
  machine: GroupMachine,
  { index }: Entry,
  { prepare, after, endedBelow }: PrepareCommand,
  attached: readonly KeyRange[],
): TransactionEntry | 'wait' {
  const { shard } = machine
  assert(shard !== null, () => 'a transaction is prepared without a state machine')
  const known = acknowledge(machine.revisions.transactions, prepare.id, endedBelow)
  const work = decodeWork(prepare.work)
  const judged = work.kind === 'revoke' ? judgeRevoke(shard, prepare, work) : null
  if (judged !== null && !hasEnded(known, prepare.id)) {
    if (judged === 'moved')
      return remembering(machine, known, note({ kind: 'voted', vote: { kind: judged } }))
    return refusing(judged)
  }
  // Which keys there are to lock, only the shard knows.
  const own = work.kind === 'revoke' ? { ...prepare, locks: attached } : prepare
  const { state, vote } = applyPrepare(known, ownPrepare(own), after, shard.range)
  if (vote.kind === 'wait') return 'wait'
  if (vote.kind !== 'prepared') return remembering(machine, known, note({ kind: 'voted', vote }))
  if (state !== known && isFull(state)) return refusing('tooManyRequests')
  return remembering(machine, state, {
    kind: 'prepare',
    work,
    reply: judgement => ({ kind: 'voted', vote: { ...vote, index, judgement } }),
  })
}

const refusing = (code: ErrorCode): TransactionEntry => ({
  task: { kind: 'refuse', error: refuse(code).error },
  remembered: null,
  commit: () => undefined,
})

/**
 * Whether the shard can say which keys go: it must have all that it is asked about. Its home says whether there is such a
 * lease, and whether all who may have keys of it are asked.
 */
function judgeRevoke(
  shard: Machine,
  { locks }: TransactionPrepare,
  { lease: id, ranges }: Extract<TransactionWork, { kind: 'revoke' }>,
): 'moved' | ErrorCode | null {
  if (!locks.every(lock => rangeCovers(shard.range, lock))) return 'moved'
  if (!isHome(shard)) return null
  const lease = shard.leases.get(id)
  if (lease === undefined) return 'leaseNotFound'
  return isKnown({ ...lease, elsewhere: ranges }, lease.elsewhere ?? []) ? null : 'moved'
}

/** The entry's bytes are the log's; what is remembered of them is not. */
const ownPrepare = (prepare: TransactionPrepare): TransactionPrepare =>
  readPrepare(new ByteReader(writePrepare(new ByteWriter(), prepare).finish()))

const isFull = ({ prepared }: Transactions): boolean =>
  prepared.length > LIMITS.preparedMax ||
  prepared.reduce((sum, { work }) => sum + work.length, 0) > LIMITS.preparedBytesMax

function acknowledge(state: Transactions, { coordinator }: TransactionId, below: number): Transactions {
  const known = state.ended.find(other => other.coordinator === coordinator)
  return below > (known?.below ?? 0) ? acknowledgeEnds(state, coordinator, below) : state
}

function endEntry(machine: GroupMachine, ended: Ended, id: TransactionId): TransactionNews {
  const { state, released, outcome, heirs } = ended
  const reply: Reply = { kind: 'ended', outcome, heirs }
  if (released === null || outcome === null || outcome.kind === 'abort')
    return plain(remembering(machine, state, note(reply)))
  const entry = remembering(machine, state, carryOut(released, outcome, reply, id))
  const { leases, ends } = leaseLocksOf(released.work)
  return { entry, endsLease: ends ? (leases[0] ?? null) : null }
}

function carryOut(
  { after, work }: Prepared,
  outcome: Extract<TransactionOutcome, { kind: 'commit' }>,
  reply: Reply,
  id: TransactionId,
): TransactionTask {
  const { revision, branches } = outcome
  assert(
    revision > after,
    () => `transaction ${id.sequence} at ${revision}, but its shard had promised ${after}`,
  )
  return { kind: 'carryOut', work: decodeWork(work), branches, revision, reply }
}
