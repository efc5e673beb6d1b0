import {
  assert,
  ByteReader,
  ByteWriter,
  decodeWork,
  LIMITS,
  readPrepare,
  refuse,
  type Entry,
  type PrepareCommand,
  type Reply,
  type ShardCommand,
  type TransactionId,
  type TransactionOutcome,
  type TransactionPrepare,
  writePrepare,
} from '@kvorum/model'
import type { TransactionEntry, TransactionTask } from '@kvorum/machine'
import {
  acknowledgeEnds,
  applyDecision,
  applyOutcome,
  applyPrepare,
  encodeRevisions,
  forgetRecord,
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

/** What the entry does here; 'wait': not applied, the leader proposes it again when the locks in its way are gone. */
export function transactionEntry(
  machine: GroupMachine,
  entry: Entry,
  command: TransactionCommand,
): TransactionEntry | 'wait' {
  const { transactions } = machine.revisions
  switch (command.kind) {
    case 'prepare':
      return prepareEntry(machine, entry, command)
    case 'decide':
      return endEntry(machine, applyDecision(transactions, command.id, command.outcome), command.id)
    case 'end':
      return endEntry(machine, applyOutcome(transactions, command.id, command.outcome), command.id)
    case 'forget':
      return remembering(machine, forgetRecord(transactions, command.id), note({ kind: 'done' }))
  }
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
): TransactionEntry | 'wait' {
  const { shard } = machine
  assert(shard !== null, () => 'a transaction is prepared without a state machine')
  const known = acknowledge(machine.revisions.transactions, prepare.id, endedBelow)
  const { state, vote } = applyPrepare(known, ownPrepare(prepare), after, shard.range)
  if (vote.kind === 'wait') return 'wait'
  if (vote.kind !== 'prepared') return remembering(machine, known, note({ kind: 'voted', vote }))
  if (state !== known && isFull(state)) {
    const task = { kind: 'refuse', error: refuse('tooManyRequests').error } as const
    return { task, remembered: null, commit: () => undefined }
  }
  return remembering(machine, state, {
    kind: 'prepare',
    op: decodeWork(prepare.work).op,
    reply: judgement => ({ kind: 'voted', vote: { ...vote, index, judgement } }),
  })
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

function endEntry(machine: GroupMachine, ended: Ended, id: TransactionId): TransactionEntry {
  const { state, released, outcome, heirs } = ended
  const reply: Reply = { kind: 'ended', outcome, heirs }
  if (released === null || outcome === null || outcome.kind === 'abort')
    return remembering(machine, state, note(reply))
  return remembering(machine, state, carryOut(released, outcome, reply, id))
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
  return { kind: 'carryOut', op: decodeWork(work).op, branches, revision, reply }
}
