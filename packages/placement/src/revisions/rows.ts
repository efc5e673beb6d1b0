import {
  ByteReader,
  ByteWriter,
  EMPTY,
  incarnation,
  MalformedError,
  readGroups,
  readId,
  readMany,
  readOutcome,
  readPrepare,
  writeGroups,
  writeId,
  writeOutcome,
  writePrepare,
} from '@kvorum/model'
import { DENSE, type RevisionMode } from './denseSwitch.js'
import { NO_TRANSACTIONS, type Transactions } from './transactions.js'

/** What a shard's replicas remember of revisions: one row of the state store. */
export interface ShardRevisions {
  readonly mode: RevisionMode
  readonly transactions: Transactions
}

/** What a shard begins with that is the only one: nothing is written down. */
export const PLAIN_REVISIONS: ShardRevisions = { mode: DENSE, transactions: NO_TRANSACTIONS }

/** A shard begins with this revision, and no write has it. */
export const FIRST_REVISION = 1

/** What each of several shards begins with. */
export const ORACLE_REVISIONS: ShardRevisions = {
  ...PLAIN_REVISIONS,
  mode: { kind: 'oracle', denseUpTo: FIRST_REVISION },
}

const FORMAT = 1

/** Plain revisions are no bytes, so that a shard in dense mode looks the same as before there were others. */
export function encodeRevisions(revisions: ShardRevisions): Uint8Array {
  const { mode, transactions } = revisions
  const { prepared, records, ended } = transactions
  if (mode.kind === 'dense' && prepared.length + records.length + ended.length === 0) return EMPTY
  const out = new ByteWriter().u8(FORMAT)
  out.bool(mode.kind === 'oracle')
  if (mode.kind === 'oracle') out.varint(mode.denseUpTo)
  out.varint(prepared.length)
  for (const one of prepared) writeGroups(writePrepare(out, one).varint(one.after), one.heirs)
  out.varint(records.length)
  for (const { id, outcome, participants, heirs } of records) {
    writeOutcome(writeId(out, id), outcome)
    writeGroups(writeGroups(out, participants), heirs)
  }
  out.varint(ended.length)
  for (const { coordinator, below, ended: sequences } of ended) {
    out.u64(coordinator).varint(below).varint(sequences.length)
    for (const { sequence, heirs } of sequences) writeGroups(out.varint(sequence), heirs)
  }
  return out.finish()
}

export function decodeRevisions(bytes: Uint8Array): ShardRevisions {
  if (bytes.length === 0) return PLAIN_REVISIONS
  // The row's bytes are the store's; what is remembered of them is not.
  const input = new ByteReader(Buffer.from(bytes))
  const format = input.u8()
  if (format !== FORMAT) throw new MalformedError(`revisions format ${format} is not known`)
  const mode: RevisionMode = input.bool() ? { kind: 'oracle', denseUpTo: input.varint() } : DENSE
  const transactions = readTransactions(input)
  input.end()
  return { mode, transactions }
}

const readTransactions = (input: ByteReader): Transactions => ({
  prepared: readMany(input, () => ({
    ...readPrepare(input),
    after: input.varint(),
    heirs: readGroups(input),
  })),
  records: readMany(input, () => ({
    id: readId(input),
    outcome: readOutcome(input),
    participants: readGroups(input),
    heirs: readGroups(input),
  })),
  ended: readMany(input, () => ({
    coordinator: incarnation(input.u64()),
    below: input.varint(),
    ended: readMany(input, () => ({ sequence: input.varint(), heirs: readGroups(input) })),
  })),
})
