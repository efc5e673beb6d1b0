import { ByteReader, ByteWriter, MalformedError, readMany } from './codec.js'
import { groupId, incarnation, type GroupId, type Incarnation, type Index, type Revision } from './ids.js'
import { readKeptReply, writeKeptReply, type KeptReply } from './keptReply.js'
import type { KeyRange } from './range.js'
import { readRange, writeRange } from './rangeCodec.js'

/**
 * What travels between the nodes that take part in a transaction over several shards. The rules are in placement
 * (revisions/transactions.ts), the work is done by machine.
 */

/** The coordinator's data directory, and a number that it counts up over all its starts. */
export interface TransactionId {
  readonly coordinator: Incarnation
  readonly sequence: number
}

/**
 * Who began first. `since` is a revision that the coordinator's node had seen when the transaction was first tried;
 * a transaction that is tried again keeps it, and so becomes the oldest in the end.
 */
export interface TransactionAge {
  readonly since: Revision
  readonly coordinator: Incarnation
  readonly sequence: number
}

export interface TransactionPrepare {
  readonly id: TransactionId
  readonly age: TransactionAge
  /** The shard whose log holds the decision. */
  readonly primary: GroupId
  /** All shards, the primary first: whoever finds the record without its coordinator can bring it to its end. */
  readonly participants: readonly GroupId[]
  /** Keys and ranges of the compares and of both branches that lie in this shard; what is only read, too. */
  readonly locks: readonly KeyRange[]
  /** What is to be done if it commits, as `encodeWork` wrote it. */
  readonly work: Uint8Array
}

/** `branches`: which one each transaction of the operation takes, depth first over what is carried out. */
export type TransactionOutcome =
  | { readonly kind: 'commit'; readonly revision: Revision; readonly branches: readonly boolean[] }
  | { readonly kind: 'abort' }

/** What is true of a compare in one shard's part of its range. */
export type PieceVerdict = 'none' | 'holds' | 'fails'
export const PIECE_VERDICTS: readonly PieceVerdict[] = ['none', 'holds', 'fails']

/** What a put depends on; null: its key is in another shard. */
export type PutFacts = { readonly keyExists: boolean; readonly leaseExists: boolean } | null

/** What one shard says of an operation when it has prepared it: enough to choose the branches and to refuse. */
export interface Judgement {
  /** Of every compare, depth first over both branches. */
  readonly compares: readonly PieceVerdict[]
  /** Of every put, depth first over both branches. */
  readonly puts: readonly PutFacts[]
  /** Revisions below it can no longer be read. */
  readonly compactRevision: Revision
}

export type TransactionVote =
  /** Locked from the entry at `index` on; the transaction's revision will be above `after`. */
  | {
      readonly kind: 'prepared'
      readonly after: Revision
      readonly index: Index
      readonly judgement: Judgement
    }
  /** An older transaction holds a lock: this one is tried again, under its old age. */
  | { readonly kind: 'die' }
  /** It has ended here before. */
  | { readonly kind: 'over' }
  /** Some of its keys are in another shard by now. */
  | { readonly kind: 'moved' }
  /** A write of a session that is not to be carried out, says the session's home: this is its answer. */
  | { readonly kind: 'answered'; readonly reply: KeptReply }

export const writeId = (out: ByteWriter, id: TransactionId): ByteWriter =>
  out.u64(id.coordinator).varint(id.sequence)

export const readId = (input: ByteReader): TransactionId => ({
  coordinator: incarnation(input.u64()),
  sequence: input.varint(),
})

export function writeGroups(out: ByteWriter, groups: readonly GroupId[]): ByteWriter {
  out.varint(groups.length)
  for (const group of groups) out.varint(group)
  return out
}

export const readGroups = (input: ByteReader): GroupId[] => readMany(input, () => groupId(input.varint()))

export function writePrepare(out: ByteWriter, prepare: TransactionPrepare): ByteWriter {
  const { id, age, primary, participants, locks, work } = prepare
  writeId(out, id).varint(age.since)
  writeId(out, age).varint(primary)
  writeGroups(out, participants).varint(locks.length)
  for (const lock of locks) writeRange(out, lock)
  return out.bytes(work)
}

export const readPrepare = (input: ByteReader): TransactionPrepare => ({
  id: readId(input),
  age: { since: input.varint(), ...readId(input) },
  primary: groupId(input.varint()),
  participants: readGroups(input),
  locks: readMany(input, () => readRange(input)),
  work: input.bytes(),
})

export function writeOutcome(out: ByteWriter, outcome: TransactionOutcome): ByteWriter {
  if (outcome.kind === 'abort') return out.bool(false)
  out.bool(true).varint(outcome.revision).varint(outcome.branches.length)
  for (const branch of outcome.branches) out.bool(branch)
  return out
}

export function readOutcome(input: ByteReader): TransactionOutcome {
  if (!input.bool()) return { kind: 'abort' }
  return { kind: 'commit', revision: input.varint(), branches: readMany(input, () => input.bool()) }
}

const VOTES = { prepared: 1, die: 2, over: 3, moved: 4, answered: 5 } as const
const VOTE_KINDS = ['die', 'over', 'moved'] as const

export function writeVote(out: ByteWriter, vote: TransactionVote): void {
  out.u8(VOTES[vote.kind])
  if (vote.kind === 'answered') writeKeptReply(out, vote.reply)
  if (vote.kind !== 'prepared') return
  const { compares, puts, compactRevision } = vote.judgement
  out.varint(vote.after).varint(vote.index).varint(compactRevision)
  out.varint(compares.length)
  for (const verdict of compares) out.u8(PIECE_VERDICTS.indexOf(verdict))
  out.varint(puts.length)
  for (const facts of puts)
    out.u8(facts === null ? 0 : 1 | (facts.keyExists ? 2 : 0) | (facts.leaseExists ? 4 : 0))
}

export function readVote(input: ByteReader): TransactionVote {
  const number = input.u8()
  const plain = VOTE_KINDS.find(kind => VOTES[kind] === number)
  if (plain !== undefined) return { kind: plain }
  if (number === VOTES.answered) return { kind: 'answered', reply: readKeptReply(input) }
  if (number !== VOTES.prepared) throw new MalformedError(`vote ${number} is not known`)
  const after = input.varint()
  const index = input.varint()
  const compactRevision = input.varint()
  const compares = readMany(input, () => readVerdict(input))
  const puts = readMany(input, () => readFacts(input))
  return { kind: 'prepared', after, index, judgement: { compares, puts, compactRevision } }
}

function readVerdict(input: ByteReader): PieceVerdict {
  const number = input.u8()
  const verdict = PIECE_VERDICTS[number]
  if (verdict === undefined) throw new MalformedError(`verdict ${number} is not known`)
  return verdict
}

function readFacts(input: ByteReader): PutFacts {
  const flags = input.u8()
  if (flags > 7 || (flags > 0 && (flags & 1) === 0)) throw new MalformedError(`facts ${flags} are not known`)
  return flags === 0 ? null : { keyExists: (flags & 2) !== 0, leaseExists: (flags & 4) !== 0 }
}
