import {
  assert,
  ByteReader,
  ByteWriter,
  commandHeader,
  decodeWork,
  encodeWork,
  leaseLocksOf,
  LIMITS,
  passesFence,
  rangeCovers,
  readPrepare,
  refuse,
  sessionWriteOf,
  type Entry,
  type ErrorCode,
  type KeptReply,
  type KeyRange,
  type KvError,
  type LeaseId,
  type PrepareCommand,
  type Reply,
  type Revision,
  type SessionTag,
  type ShardCommand,
  type TransactionId,
  type TransactionOutcome,
  type TransactionPrepare,
  type TransactionWork,
  writePrepare,
} from '@kvorum/model'
import {
  claim,
  isHome,
  isKnown,
  type Claim,
  type Machine,
  type TransactionEntry,
  type TransactionTask,
} from '@kvorum/machine'
import {
  acknowledgeEnds,
  applyDecision,
  applyOutcome,
  applyPrepare,
  encodeRevisions,
  forgetRecord,
  hasEnded,
  isPrepared,
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

/** Not applied: the leader proposes it again when these are over. */
export interface WaitsForLocks {
  readonly wait: readonly TransactionId[]
}

/** What the entry does here. */
export function transactionEntry(
  machine: GroupMachine,
  entry: Entry,
  command: TransactionCommand,
  attached: readonly KeyRange[],
): TransactionNews | WaitsForLocks {
  const { transactions } = machine.revisions
  switch (command.kind) {
    case 'prepare': {
      const prepared = prepareEntry(machine, entry, command, attached)
      return 'wait' in prepared ? prepared : plain(prepared)
    }
    case 'decide':
      return decisionEntry(machine, applyDecision(transactions, command.id, command.outcome), command)
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
  { index, data }: Entry,
  { prepare, after, endedBelow }: PrepareCommand,
  attached: readonly KeyRange[],
): TransactionEntry | WaitsForLocks {
  const { shard } = machine
  assert(shard !== null, () => 'a transaction is prepared without a state machine')
  const known = acknowledge(machine.revisions.transactions, prepare.id, endedBelow)
  const work = decodeWork(prepare.work)
  const session = work.kind === 'revoke' || work.session === undefined ? null : work.session.tag
  const claimed =
    session === null || isHere(known, prepare.id)
      ? null
      : claim(shard.sessions, session, waiting(known, session))
  if (claimed !== null && claimed.kind !== 'first') {
    if (!passesFence(shard.authFence, commandHeader(data).authRevision)) return refusing('authOutdated')
    const reply = claimed.kind === 'repeated' ? claimed.reply : unkept(shard.revision, claimed.error)
    return remembering(machine, known, note({ kind: 'voted', vote: { kind: 'answered', reply } }))
  }
  const judged = work.kind === 'revoke' ? judgeRevoke(shard, prepare, work) : null
  if (judged !== null && !hasEnded(known, prepare.id)) {
    if (judged === 'moved')
      return remembering(machine, known, note({ kind: 'voted', vote: { kind: judged } }))
    return refusing(judged)
  }
  const own = asHeldHere(prepare, work, attached, claimed)
  const { state, vote } = applyPrepare(known, ownPrepare(own), after, shard.range)
  if (vote.kind === 'wait') return { wait: vote.behind }
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

/** Known already, as prepared or as over: a copy is not judged again. */
const isHere = (known: Transactions, id: TransactionId): boolean =>
  hasEnded(known, id) || isPrepared(known, id)

/** Writes of the session that are prepared: each will have an answer to be kept. */
const waiting = ({ prepared }: Transactions, { session }: SessionTag): number =>
  prepared.filter(({ work }) => sessionWriteOf(work)?.tag.session === session).length

const unkept = (revision: Revision, error: KvError): KeptReply => ({
  revision,
  result: { ok: false, error },
})

/** Which keys there are to lock, and to which lease a session belongs, only the shard knows. */
function asHeldHere(
  prepare: TransactionPrepare,
  work: TransactionWork,
  attached: readonly KeyRange[],
  claimed: Claim | null,
): TransactionPrepare {
  if (work.kind === 'revoke') return { ...prepare, locks: attached }
  if (work.session === undefined || claimed?.kind !== 'first') return prepare
  const { lease } = claimed.session
  return { ...prepare, work: encodeWork({ ...work, session: { ...work.session, lease } }) }
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

/** What the home of a session keeps with the record, if it is this one that stands. */
function decisionEntry(
  machine: GroupMachine,
  ended: Ended,
  { id, answer }: Extract<TransactionCommand, { kind: 'decide' }>,
): TransactionNews {
  const news = endEntry(machine, ended, id)
  const session = ended.released === null ? null : sessionWriteOf(ended.released.work)
  if (session === null) return news
  const { outcome } = ended
  assert(outcome?.kind !== 'commit' || answer !== undefined, () => 'a write of a session without its answer')
  if (answer === undefined) return news
  return { ...news, entry: { ...news.entry, keep: { tag: session.tag, reply: answer } } }
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
