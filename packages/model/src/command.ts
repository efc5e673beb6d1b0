import type { AuthFence } from './auth.js'
import { ByteReader, ByteWriter, MalformedError, readMany } from './codec.js'
import {
  groupId,
  leaseId,
  sessionId,
  type Epoch,
  type GroupId,
  type Index,
  type LeaseId,
  type Revision,
  type SessionId,
} from './ids.js'
import { readKeptReply, writeKeptReply, type KeptReply } from './keptReply.js'
import type { Compare, CompareResult, Op, SortOrder, SortTarget } from './ops.js'
import type { KeyRange } from './range.js'
import { readRange, writeRange } from './rangeCodec.js'
import {
  readId,
  readOutcome,
  readPrepare,
  writeId,
  writeOutcome,
  writePrepare,
  type TransactionId,
  type TransactionOutcome,
  type TransactionPrepare,
} from './transaction.js'
import { unreachable } from './assert.js'

/**
 * What a data shard's log can hold. Encoded once, at the edge; raft, log and peer carry the bytes and never
 * decode them. Layout: format, kind, flags, body (see docs/storage-format.md). A reader that meets a format,
 * a kind or a flag it does not know throws: an unknown command stops a replica and is never skipped.
 */
export type ShardCommand =
  /** A put, a delete or a transaction. */
  | { readonly kind: 'write'; readonly op: Op }
  | { readonly kind: 'compact'; readonly revision: Revision }
  /** `ttl` in seconds, already raised to the minimum; the id is chosen before the log, so that replicas agree. */
  | { readonly kind: 'leaseGrant'; readonly id: LeaseId; readonly ttl: number }
  | { readonly kind: 'leaseRevoke'; readonly id: LeaseId }
  /** An exactly-once session that lives as long as the lease; its id comes back. */
  | { readonly kind: 'sessionOpen'; readonly lease: LeaseId }
  /** What was allowed by older users and roles is refused from here on. */
  | { readonly kind: 'authFence'; readonly fence: AuthFence }
  /** The long command at `index`, earlier in the same log, may be shown. Proposed by leaders, never by clients. */
  | { readonly kind: 'publish'; readonly index: Index }
  /** What writes are refused from here on, as the meta group has it at `version`, and the quota of the leader. */
  | { readonly kind: 'guard'; readonly guard: Guard }
  /** The history before `revision` is gone from disks; `bytes` is all that compactions have freed so far. */
  | { readonly kind: 'reclaim'; readonly revision: Revision; readonly bytes: number }
  /** From here on the oracle gives this shard's revisions. Proposed by leaders, once; a second one has no effect. */
  | { readonly kind: 'endDense' }
  /** From here on the keys from `at` on are another shard's, of group `right`; both have this epoch. */
  | { readonly kind: 'split'; readonly at: Uint8Array; readonly right: GroupId; readonly epoch: Epoch }
  | PrepareCommand
  /** In the log of the primary: what becomes of the transaction, unless that is decided already. */
  | {
      readonly kind: 'decide'
      readonly id: TransactionId
      readonly outcome: TransactionOutcome
      /** Of a write of a session: what is kept as its answer, if this is the record that stands. */
      readonly answer?: KeptReply
    }
  /** In the others' logs: what the primary's record says. */
  | { readonly kind: 'end'; readonly id: TransactionId; readonly outcome: TransactionOutcome }
  /** Every participant has applied the outcome: the primary's record goes. */
  | { readonly kind: 'forget'; readonly id: TransactionId }

/** One shard's part of a transaction over several: locks its keys. */
export interface PrepareCommand {
  readonly kind: 'prepare'
  readonly prepare: TransactionPrepare
  /** Filled in by the leader that proposes it: the transaction's revision will be above it. */
  readonly after: Revision
  /** The coordinator prepares nothing below this sequence any more: a copy that comes late is refused. */
  readonly endedBelow: number
}

/** Replicated, so that every replica refuses the same commands. */
export interface Guard {
  /** Of the alarms; a guard made from older ones has no effect. */
  readonly version: number
  /** Most logical bytes; 0: no bound. */
  readonly quota: number
  readonly noSpace: boolean
  readonly corrupt: boolean
}

export const NO_GUARD: Guard = { version: 0, quota: 0, noSpace: false, corrupt: false }

/**
 * What travels in front of a command beside what it does. Each part has a bit in the flags; the parts follow the
 * flags in the order of their bits, and one that is absent takes no bytes.
 */
export interface CommandHeader {
  /** Revision of the users and roles by which the command was allowed; null: authentication was off. */
  readonly authRevision: number | null
  /** Makes the command exactly-once; null: it may be carried out again if it is sent again. */
  readonly session: SessionTag | null
  /** Where the user may write; looked at for the keys of leases. Absent: everywhere, or no lease is concerned. */
  readonly writable?: readonly KeyRange[]
  /** The revision that the oracle gave the command; absent: none, and where it needs one, apply gives the next. */
  readonly stamp?: Revision
}

/** One write of a session. Sequences count from 1. */
export interface SessionTag {
  readonly session: SessionId
  readonly sequence: number
  /** The client has the answers of all sequences below this and will not ask for them again. */
  readonly acknowledgedBelow: number
}

export const NO_HEADER: CommandHeader = { authRevision: null, session: null }

export const COMMAND_FORMAT = 1
const FLAG_AUTH = 1
const FLAG_SESSION = 2
const FLAG_WRITABLE = 4
const FLAG_STAMP = 8
const FLAGS = FLAG_AUTH | FLAG_SESSION | FLAG_WRITABLE | FLAG_STAMP

/** Numbers on disk. Retired ones stay, commented out, so that none is used twice. */
const KINDS = {
  write: 1,
  compact: 2,
  leaseGrant: 3,
  leaseRevoke: 4,
  sessionOpen: 5,
  publish: 6,
  endDense: 7,
  authFence: 10,
  guard: 20,
  reclaim: 21,
  split: 40,
  prepare: 50,
  decide: 51,
  end: 52,
  forget: 53,
  /** A `decide` with an answer behind the outcome. */
  decideWithAnswer: 54,
} as const
const OPS = { put: 1, delete: 2, range: 3, txn: 4 } as const
const ORDERS: readonly SortOrder[] = ['none', 'ascend', 'descend']
const SORT_TARGETS: readonly SortTarget[] = ['key', 'version', 'create', 'mod', 'value']
const COMPARE_TARGETS: readonly Compare['target'][] = ['version', 'create', 'mod', 'value', 'lease']
const COMPARE_RESULTS: readonly CompareResult[] = ['equal', 'greater', 'less', 'notEqual']

/** Deeper transactions are refused at the edge; here the bound keeps hostile bytes from exhausting the stack. */
export const TXN_DEPTH_MAX = 64

export function encodeShardCommand(command: ShardCommand, header: CommandHeader = NO_HEADER): Uint8Array {
  const out = new ByteWriter()
  out.u8(COMMAND_FORMAT).u8(kindOf(command))
  writeHeader(out, header)
  switch (command.kind) {
    case 'write':
      writeOp(out, command.op)
      break
    case 'compact':
      out.varint(command.revision)
      break
    case 'leaseGrant':
      out.u64(command.id).varint(command.ttl)
      break
    case 'leaseRevoke':
      out.u64(command.id)
      break
    case 'sessionOpen':
      out.u64(command.lease)
      break
    case 'authFence':
      out.varint(command.fence.revision).bool(command.fence.enabled)
      break
    case 'publish':
      out.varint(command.index)
      break
    case 'guard':
      writeGuard(out, command.guard)
      break
    case 'reclaim':
      out.varint(command.revision).varint(command.bytes)
      break
    case 'endDense':
      break
    case 'split':
      out.bytes(command.at).varint(command.right).varint(command.epoch)
      break
    case 'prepare':
      writePrepare(out.varint(command.after).varint(command.endedBelow), command.prepare)
      break
    case 'decide':
      writeOutcome(writeId(out, command.id), command.outcome)
      if (command.answer !== undefined) writeKeptReply(out, command.answer)
      break
    case 'end':
      writeOutcome(writeId(out, command.id), command.outcome)
      break
    case 'forget':
      writeId(out, command.id)
      break
    default:
      unreachable(command)
  }
  return out.finish()
}

const kindOf = (command: ShardCommand): number =>
  command.kind === 'decide' && command.answer !== undefined ? KINDS.decideWithAnswer : KINDS[command.kind]

export const writeGuard = (out: ByteWriter, guard: Guard): ByteWriter =>
  out.varint(guard.version).varint(guard.quota).bool(guard.noSpace).bool(guard.corrupt)

export const readGuard = (input: ByteReader): Guard => ({
  version: input.varint(),
  quota: input.varint(),
  noSpace: input.bool(),
  corrupt: input.bool(),
})

export function decodeShardCommand(bytes: Uint8Array): ShardCommand {
  const input = new ByteReader(bytes)
  const { kind } = readStart(input)
  const command = readBody(kind, input)
  input.end()
  return command
}

/** The header alone, without looking at what follows. */
export const commandHeader = (bytes: Uint8Array): CommandHeader => readStart(new ByteReader(bytes)).header

/** Which long command these bytes publish; null: they are some other command. Looks at no more than it must. */
export function publishedBy(bytes: Uint8Array): Index | null {
  if (bytes[1] !== KINDS.publish) return null
  const command = decodeShardCommand(bytes)
  return command.kind === 'publish' ? command.index : null
}

/** Whether the command splits its shard. Looks at no more than it must. */
export const splitsShard = (bytes: Uint8Array): boolean => bytes[1] === KINDS.split

/** Whether the command may change keys, and so needs a revision. Looks at no more than it must. */
export const takesRevision = (bytes: Uint8Array): boolean =>
  bytes[1] === KINDS.write || bytes[1] === KINDS.leaseRevoke

/** The same command with the revision that the oracle gave it. */
export const stamped = (bytes: Uint8Array, stamp: Revision): Uint8Array =>
  withHeader(bytes, { ...commandHeader(bytes), stamp })

/** A prepare as its leader proposes it: the transaction's revision will be above `after`. */
export function prepareAbove(bytes: Uint8Array, after: Revision): Uint8Array {
  const command = decodeShardCommand(bytes)
  if (command.kind !== 'prepare') return bytes
  return encodeShardCommand({ ...command, after }, commandHeader(bytes))
}

/** The same command behind another header. */
export function withHeader(bytes: Uint8Array, header: CommandHeader): Uint8Array {
  const input = new ByteReader(bytes)
  const { kind } = readStart(input)
  const out = new ByteWriter()
  out.u8(COMMAND_FORMAT).u8(kind)
  writeHeader(out, header)
  return out.raw(bytes.subarray(bytes.length - input.remaining)).finish()
}

function writeHeader(out: ByteWriter, { authRevision, session, writable, stamp }: CommandHeader): void {
  out.u8(
    (authRevision === null ? 0 : FLAG_AUTH) |
      (session === null ? 0 : FLAG_SESSION) |
      (writable === undefined ? 0 : FLAG_WRITABLE) |
      (stamp === undefined ? 0 : FLAG_STAMP),
  )
  if (authRevision !== null) out.varint(authRevision)
  if (session !== null) out.u64(session.session).varint(session.sequence).varint(session.acknowledgedBelow)
  if (writable !== undefined) {
    out.varint(writable.length)
    for (const range of writable) writeRange(out, range)
  }
  if (stamp !== undefined) out.varint(stamp)
}

function readStart(input: ByteReader): { kind: number; header: CommandHeader } {
  const format = input.u8()
  if (format !== COMMAND_FORMAT) throw new MalformedError(`command format ${format} is not known`)
  const kind = input.u8()
  const flags = input.u8()
  if ((flags & ~FLAGS) !== 0) throw new MalformedError(`command flags ${flags} are not known`)
  const authRevision = flags & FLAG_AUTH ? input.varint() : null
  const session =
    flags & FLAG_SESSION
      ? {
          session: sessionId(input.u64()),
          sequence: input.varint(),
          acknowledgedBelow: input.varint(),
        }
      : null
  const plain = { authRevision, session }
  if ((flags & (FLAG_WRITABLE | FLAG_STAMP)) === 0) return { kind, header: plain }
  const header =
    (flags & FLAG_WRITABLE) === 0 ? plain : { ...plain, writable: readMany(input, () => readRange(input)) }
  return { kind, header: flags & FLAG_STAMP ? { ...header, stamp: input.varint() } : header }
}

function readBody(kind: number, input: ByteReader): ShardCommand {
  switch (kind) {
    case KINDS.write:
      return { kind: 'write', op: readOp(input, 0) }
    case KINDS.compact:
      return { kind: 'compact', revision: input.varint() }
    case KINDS.leaseGrant:
      return { kind: 'leaseGrant', id: leaseId(input.u64()), ttl: input.varint() }
    case KINDS.leaseRevoke:
      return { kind: 'leaseRevoke', id: leaseId(input.u64()) }
    case KINDS.sessionOpen:
      return { kind: 'sessionOpen', lease: leaseId(input.u64()) }
    case KINDS.authFence:
      return { kind: 'authFence', fence: { revision: input.varint(), enabled: input.bool() } }
    case KINDS.publish:
      return { kind: 'publish', index: input.varint() }
    case KINDS.guard:
      return { kind: 'guard', guard: readGuard(input) }
    case KINDS.reclaim:
      return { kind: 'reclaim', revision: input.varint(), bytes: input.varint() }
    case KINDS.endDense:
      return { kind: 'endDense' }
    case KINDS.split:
      return {
        kind: 'split',
        at: input.bytes(),
        right: groupId(input.varint()),
        epoch: input.varint(),
      }
    case KINDS.prepare: {
      const after = input.varint()
      return { kind: 'prepare', after, endedBelow: input.varint(), prepare: readPrepare(input) }
    }
    case KINDS.decide:
      return { kind: 'decide', id: readId(input), outcome: readOutcome(input) }
    case KINDS.decideWithAnswer: {
      const decision = { id: readId(input), outcome: readOutcome(input) }
      return { kind: 'decide', ...decision, answer: readKeptReply(input) }
    }
    case KINDS.end:
      return { kind: 'end', id: readId(input), outcome: readOutcome(input) }
    case KINDS.forget:
      return { kind: 'forget', id: readId(input) }
    default:
      throw new MalformedError(`command kind ${kind} is not known`)
  }
}

/** Also used by the peer protocol, for queries that travel to another node. */
export function writeOp(out: ByteWriter, op: Op): void {
  out.u8(OPS[op.kind])
  switch (op.kind) {
    case 'put':
      out.bytes(op.key).bytes(op.value).u64(op.lease)
      out.bool(op.prevKv).bool(op.ignoreValue).bool(op.ignoreLease)
      return
    case 'delete':
      writeRange(out, op.range)
      out.bool(op.prevKv)
      return
    case 'range':
      writeRange(out, op.range)
      out.varint(op.limit).varint(op.revision)
      out.u8(ORDERS.indexOf(op.order)).u8(SORT_TARGETS.indexOf(op.target))
      out.bool(op.keysOnly).bool(op.countOnly)
      out.signed(op.minMod).signed(op.maxMod).signed(op.minCreate).signed(op.maxCreate)
      return
    case 'txn':
      out.varint(op.compares.length)
      for (const compare of op.compares) writeCompare(out, compare)
      for (const branch of [op.success, op.failure]) {
        out.varint(branch.length)
        for (const nested of branch) writeOp(out, nested)
      }
      return
    default:
      unreachable(op)
  }
}

export function readOp(input: ByteReader, depth: number): Op {
  if (depth > TXN_DEPTH_MAX) throw new MalformedError('transaction nested too deeply')
  const kind = input.u8()
  switch (kind) {
    case OPS.put:
      return {
        kind: 'put',
        key: input.bytes(),
        value: input.bytes(),
        lease: leaseId(input.u64()),
        prevKv: input.bool(),
        ignoreValue: input.bool(),
        ignoreLease: input.bool(),
      }
    case OPS.delete:
      return { kind: 'delete', range: readRange(input), prevKv: input.bool() }
    case OPS.range:
      return {
        kind: 'range',
        range: readRange(input),
        limit: input.varint(),
        revision: input.varint(),
        order: pick(ORDERS, input.u8(), 'sort order'),
        target: pick(SORT_TARGETS, input.u8(), 'sort target'),
        keysOnly: input.bool(),
        countOnly: input.bool(),
        minMod: input.signed(),
        maxMod: input.signed(),
        minCreate: input.signed(),
        maxCreate: input.signed(),
      }
    case OPS.txn:
      return {
        kind: 'txn',
        compares: readMany(input, () => readCompare(input)),
        success: readMany(input, () => readOp(input, depth + 1)),
        failure: readMany(input, () => readOp(input, depth + 1)),
      }
    default:
      throw new MalformedError(`operation kind ${kind} is not known`)
  }
}

function writeCompare(out: ByteWriter, compare: Compare): void {
  writeRange(out, compare.range)
  out.u8(COMPARE_RESULTS.indexOf(compare.result)).u8(COMPARE_TARGETS.indexOf(compare.target))
  switch (compare.target) {
    case 'value':
      out.bytes(compare.operand)
      return
    case 'lease':
      out.u64(compare.operand)
      return
    default:
      out.signed(compare.operand)
  }
}

function readCompare(input: ByteReader): Compare {
  const range = readRange(input)
  const result = pick(COMPARE_RESULTS, input.u8(), 'compare result')
  const target = pick(COMPARE_TARGETS, input.u8(), 'compare target')
  switch (target) {
    case 'value':
      return { range, result, target, operand: input.bytes() }
    case 'lease':
      return { range, result, target, operand: leaseId(input.u64()) }
    default:
      return { range, result, target, operand: input.signed() }
  }
}

function pick<Item>(table: readonly Item[], number: number, what: string): Item {
  const item = table[number]
  if (item === undefined) throw new MalformedError(`${what} ${number} is not known`)
  return item
}
