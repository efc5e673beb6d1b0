import {
  ByteReader,
  ByteWriter,
  EMPTY,
  groupId,
  incarnation,
  MalformedError,
  readRange,
  writeRange,
  type GroupId,
  type KeyRange,
} from '@kvorum/model'
import { DENSE, type RevisionMode } from './denseSwitch.js'
import {
  NO_TRANSACTIONS,
  type Age,
  type Outcome,
  type TransactionId,
  type Transactions,
} from './transactions.js'

/** What a shard's replicas remember of revisions: one row of the state store. */
export interface ShardRevisions {
  readonly mode: RevisionMode
  readonly transactions: Transactions
}

/** What a shard begins with that is the only one: nothing is written down. */
export const PLAIN_REVISIONS: ShardRevisions = { mode: DENSE, transactions: NO_TRANSACTIONS }

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
  for (const one of prepared) {
    writeId(out, one.id)
    out.varint(one.age.since).u64(one.age.coordinator).varint(one.age.sequence)
    out.varint(one.primary).varint(one.after)
    out.varint(one.locks.length)
    for (const lock of one.locks) writeRange(out, lock)
    writeGroups(out, one.heirs)
  }
  out.varint(records.length)
  for (const record of records) {
    writeId(out, record.id)
    writeOutcome(out, record.outcome)
    writeGroups(out, record.heirs)
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
  const input = new ByteReader(bytes)
  const format = input.u8()
  if (format !== FORMAT) throw new MalformedError(`revisions format ${format} is not known`)
  const mode: RevisionMode = input.bool() ? { kind: 'oracle', denseUpTo: input.varint() } : DENSE
  const prepared = readMany(input, () => ({
    id: readId(input),
    age: readAge(input),
    primary: groupId(input.varint()),
    after: input.varint(),
    locks: readMany(input, () => ownRange(readRange(input))),
    heirs: readGroups(input),
  }))
  const records = readMany(input, () => ({
    id: readId(input),
    outcome: readOutcome(input),
    heirs: readGroups(input),
  }))
  const ended = readMany(input, () => ({
    coordinator: incarnation(input.u64()),
    below: input.varint(),
    ended: readMany(input, () => ({ sequence: input.varint(), heirs: readGroups(input) })),
  }))
  input.end()
  return { mode, transactions: { prepared, records, ended } }
}

export const writeId = (out: ByteWriter, { coordinator, sequence }: TransactionId): ByteWriter =>
  out.u64(coordinator).varint(sequence)

export const readId = (input: ByteReader): TransactionId => ({
  coordinator: incarnation(input.u64()),
  sequence: input.varint(),
})

const readAge = (input: ByteReader): Age => ({
  since: input.varint(),
  coordinator: incarnation(input.u64()),
  sequence: input.varint(),
})

export function writeOutcome(out: ByteWriter, outcome: Outcome): void {
  out.bool(outcome.kind === 'commit')
  if (outcome.kind === 'commit') out.varint(outcome.revision)
}

export const readOutcome = (input: ByteReader): Outcome =>
  input.bool() ? { kind: 'commit', revision: input.varint() } : { kind: 'abort' }

function writeGroups(out: ByteWriter, groups: readonly GroupId[]): void {
  out.varint(groups.length)
  for (const group of groups) out.varint(group)
}

const readGroups = (input: ByteReader): GroupId[] => readMany(input, () => groupId(input.varint()))

/** The row's bytes are the store's; what is remembered of them is not. */
const ownRange = ({ start, end }: KeyRange): KeyRange => ({
  start: Buffer.from(start),
  end: end === null ? null : Buffer.from(end),
})

function readMany<Item>(input: ByteReader, read: () => Item): Item[] {
  const count = input.varint()
  if (count > input.remaining)
    throw new MalformedError(`${count} items cannot be in ${input.remaining} bytes`)
  return Array.from({ length: count }, read)
}
