import { ALARM_KINDS, type AlarmKind, type MemberAlarm } from './alarm.js'
import { unreachable } from './assert.js'
import { ByteReader, ByteWriter, MalformedError, readMany } from './codec.js'
import type { AuthFence } from './auth.js'
import type { PlacedEvents, WatchEvent } from './event.js'
import type { Member } from './handle.js'
import {
  groupId,
  leaseId,
  nodeId,
  sessionId,
  type Epoch,
  type GroupId,
  type Index,
  type LeaseId,
  type NodeId,
  type Revision,
  type SessionId,
} from './ids.js'
import { TXN_DEPTH_MAX } from './command.js'
import type { KeyValue, OpReply } from './ops.js'
import type { StoreRow } from './store.js'
import {
  readGroups,
  readOutcome,
  readVote,
  writeGroups,
  writeOutcome,
  writeVote,
  type TransactionOutcome,
  type TransactionVote,
} from './transaction.js'

/**
 * Answers as bytes. The machine encodes an answer where it is made; peers and (later) sessions carry it
 * unread; the edge decodes it once into the protocol the client speaks.
 */
export type Reply =
  | { readonly kind: 'op'; readonly op: OpReply }
  | { readonly kind: 'done' }
  /** The right half of the split, when there is one: a group with this number. */
  | { readonly kind: 'splitBegun'; readonly right: GroupId }
  | { readonly kind: 'leaseGranted'; readonly id: LeaseId; readonly ttl: number }
  /** `ttl` 0: there is no such lease (not an error, as in etcd). */
  | { readonly kind: 'leaseRenewed'; readonly id: LeaseId; readonly ttl: number }
  /** `remaining` -1: there is no such lease. Seconds. */
  | {
      readonly kind: 'leaseTimeToLive'
      readonly id: LeaseId
      readonly remaining: number
      readonly granted: number
      readonly keys: readonly Uint8Array[]
    }
  | { readonly kind: 'leases'; readonly ids: readonly LeaseId[] }
  | { readonly kind: 'sessionOpened'; readonly id: SessionId }
  /** The number in the issued token. */
  | { readonly kind: 'tokenIssued'; readonly index: number }
  /** All members after a change of `member`. */
  | { readonly kind: 'members'; readonly member: NodeId; readonly members: readonly Member[] }
  /** Alarms that a change raised or took back; none where it changed nothing. */
  | { readonly kind: 'alarms'; readonly alarms: readonly MemberAlarm[] }
  | ({ readonly kind: 'hashed' } & StoreHash)
  /** Of the oracle: `count` revisions from `first` on. */
  | { readonly kind: 'block'; readonly first: Revision; readonly count: number }
  /** Of a shard's leader: everything at or below the header's revision is applied at `index`. */
  | { readonly kind: 'resolved'; readonly index: Index }
  /** Of a shard that is followed: the same, by what it has applied itself. */
  | {
      readonly kind: 'followed'
      readonly index: Index
      readonly compactRevision: Revision
      readonly fence: AuthFence
    }
  /** A page of a shard's history; `next`: the first revision that is not in it. */
  | { readonly kind: 'history'; readonly events: readonly PlacedEvents[]; readonly next: Revision }
  | ({ readonly kind: 'rows' } & ShardRowsRead)
  /** One shard's part of a transaction was prepared, or was not. */
  | { readonly kind: 'voted'; readonly vote: TransactionVote }
  | TransactionEnded
  /** A shard's part of the answer to an operation: of each that is carried out, null where it has no part in it. */
  | { readonly kind: 'part'; readonly answers: readonly (OpReply | null)[] }

/** Rows of a shard that were asked for from elsewhere, in the order of the need. */
export interface ShardRowsRead {
  /** What the shard has compacted by then: rows of before may be gone. */
  readonly compactRevision: Revision
  readonly values: readonly (Uint8Array | null)[]
  readonly pages: readonly {
    readonly rows: readonly StoreRow[]
    /** Where the scan goes on, also behind a page without rows; null: it is at its end. */
    readonly next: Uint8Array | null
  }[]
}

/** A decision or an end is applied. */
export interface TransactionEnded {
  readonly kind: 'ended'
  /** What the transaction came to; null: nobody remembers it, and nobody has to. */
  readonly outcome: TransactionOutcome | null
  /** Shards split off with a part of the locks: they have to be told as well. */
  readonly heirs: readonly GroupId[]
}

/** A replica's data, to be compared with that of others. */
export interface StoreHash {
  /** Of all versions that can be read at revisions from `compactRevision` to `revision`. */
  readonly hash: number
  readonly revision: Revision
  readonly compactRevision: Revision
  /** The replica's position when it was taken, and its digest there (machine). */
  readonly applied: Index
  readonly digest: number
  /** Which keys the shard had then: splits change it. 0: all keys, of all shards. */
  readonly epoch: Epoch
}

const REPLIES = {
  op: 1,
  done: 2,
  leaseGranted: 3,
  leaseRenewed: 4,
  leaseTimeToLive: 5,
  leases: 6,
  sessionOpened: 7,
  tokenIssued: 10,
  members: 16,
  alarms: 20,
  hashed: 21,
  block: 22,
  resolved: 23,
  followed: 24,
  history: 25,
  rows: 26,
  splitBegun: 40,
  voted: 50,
  ended: 51,
  part: 52,
} as const
/** `txnWithoutBefore` is read and no longer written. */
const OPS = { put: 1, delete: 2, range: 3, txnWithoutBefore: 4, txn: 5 } as const
const REPLY_FORMAT = 1

export function encodeReply(reply: Reply): Uint8Array {
  const out = new ByteWriter()
  out.u8(REPLY_FORMAT).u8(REPLIES[reply.kind])
  switch (reply.kind) {
    case 'op':
      writeOpReply(out, reply.op)
      break
    case 'done':
      break
    case 'leaseGranted':
    case 'leaseRenewed':
      out.u64(reply.id).varint(reply.ttl)
      break
    case 'leaseTimeToLive':
      out.u64(reply.id).signed(reply.remaining).varint(reply.granted).varint(reply.keys.length)
      for (const key of reply.keys) out.bytes(key)
      break
    case 'leases':
      out.varint(reply.ids.length)
      for (const id of reply.ids) out.u64(id)
      break
    case 'sessionOpened':
      out.u64(reply.id)
      break
    case 'tokenIssued':
      out.varint(reply.index)
      break
    case 'members':
      out.u64(reply.member).varint(reply.members.length)
      for (const member of reply.members) writeMember(out, member)
      break
    case 'alarms':
      writeAlarms(out, reply.alarms)
      break
    case 'hashed':
      out.u32(reply.hash).varint(reply.revision).varint(reply.compactRevision)
      out.varint(reply.applied).u32(reply.digest).varint(reply.epoch)
      break
    case 'splitBegun':
      out.varint(reply.right)
      break
    case 'block':
      out.varint(reply.first).varint(reply.count)
      break
    case 'resolved':
      out.varint(reply.index)
      break
    case 'followed':
      out.varint(reply.index).varint(reply.compactRevision)
      out.varint(reply.fence.revision).bool(reply.fence.enabled)
      break
    case 'history':
      writeHistory(out, reply.events)
      out.varint(reply.next)
      break
    case 'rows':
      writeRows(out, reply)
      break
    case 'voted':
      writeVote(out, reply.vote)
      break
    case 'ended':
      out.bool(reply.outcome !== null)
      if (reply.outcome !== null) writeOutcome(out, reply.outcome)
      writeGroups(out, reply.heirs)
      break
    case 'part':
      out.varint(reply.answers.length)
      for (const answer of reply.answers) {
        out.bool(answer !== null)
        if (answer !== null) writeOpReply(out, answer)
      }
      break
    default:
      unreachable(reply)
  }
  return out.finish()
}

export function decodeReply(bytes: Uint8Array): Reply {
  const input = new ByteReader(bytes)
  const format = input.u8()
  if (format !== REPLY_FORMAT) throw new MalformedError(`reply format ${format} is not known`)
  const reply = readReply(input)
  input.end()
  return reply
}

function readReply(input: ByteReader): Reply {
  const kind = input.u8()
  switch (kind) {
    case REPLIES.op:
      return { kind: 'op', op: readOpReply(input, 0) }
    case REPLIES.done:
      return { kind: 'done' }
    case REPLIES.splitBegun:
      return { kind: 'splitBegun', right: groupId(input.varint()) }
    case REPLIES.leaseGranted:
      return { kind: 'leaseGranted', id: leaseId(input.u64()), ttl: input.varint() }
    case REPLIES.leaseRenewed:
      return { kind: 'leaseRenewed', id: leaseId(input.u64()), ttl: input.varint() }
    case REPLIES.leaseTimeToLive: {
      const id = leaseId(input.u64())
      const remaining = input.signed()
      const granted = input.varint()
      return { kind: 'leaseTimeToLive', id, remaining, granted, keys: readMany(input, () => input.bytes()) }
    }
    case REPLIES.leases:
      return { kind: 'leases', ids: readMany(input, () => leaseId(input.u64())) }
    case REPLIES.sessionOpened:
      return { kind: 'sessionOpened', id: sessionId(input.u64()) }
    case REPLIES.tokenIssued:
      return { kind: 'tokenIssued', index: input.varint() }
    case REPLIES.members: {
      const member = nodeId(input.u64())
      return { kind: 'members', member, members: readMany(input, () => readMember(input)) }
    }
    case REPLIES.alarms:
      return { kind: 'alarms', alarms: readAlarms(input) }
    case REPLIES.hashed:
      return {
        kind: 'hashed',
        hash: input.u32(),
        revision: input.varint(),
        compactRevision: input.varint(),
        applied: input.varint(),
        digest: input.u32(),
        epoch: input.varint(),
      }
    case REPLIES.block:
      return { kind: 'block', first: input.varint(), count: input.varint() }
    case REPLIES.resolved:
      return { kind: 'resolved', index: input.varint() }
    case REPLIES.followed:
      return {
        kind: 'followed',
        index: input.varint(),
        compactRevision: input.varint(),
        fence: { revision: input.varint(), enabled: input.bool() },
      }
    case REPLIES.history:
      return { kind: 'history', events: readHistory(input), next: input.varint() }
    case REPLIES.rows:
      return { kind: 'rows', ...readRows(input) }
    case REPLIES.voted:
      return { kind: 'voted', vote: readVote(input) }
    case REPLIES.ended:
      return { kind: 'ended', outcome: input.bool() ? readOutcome(input) : null, heirs: readGroups(input) }
    case REPLIES.part:
      return { kind: 'part', answers: readMany(input, () => (input.bool() ? readOpReply(input, 0) : null)) }
    default:
      throw new MalformedError(`reply kind ${kind} is not known`)
  }
}

/** Also how the meta group's state keeps them. */
export function writeAlarms(out: ByteWriter, alarms: readonly MemberAlarm[]): void {
  out.varint(alarms.length)
  for (const { member, alarm } of alarms) out.u64(member).u8(ALARM_KINDS.indexOf(alarm))
}

export const readAlarms = (input: ByteReader): MemberAlarm[] =>
  readMany(input, () => {
    const member = nodeId(input.u64())
    return { member, alarm: alarmKind(input.u8()) }
  })

export function alarmKind(number: number): AlarmKind {
  const kind = ALARM_KINDS[number]
  if (kind === undefined) throw new MalformedError(`alarm ${number} is not known`)
  return kind
}

function writeOpReply(out: ByteWriter, reply: OpReply): void {
  out.u8(OPS[reply.kind])
  switch (reply.kind) {
    case 'put':
      out.bool(reply.prev !== null)
      if (reply.prev !== null) writeKeyValue(out, reply.prev)
      return
    case 'delete':
      out.varint(reply.deleted).varint(reply.prevs.length)
      for (const kv of reply.prevs) writeKeyValue(out, kv)
      return
    case 'range':
      out.bool(reply.more).varint(reply.count).varint(reply.kvs.length)
      for (const kv of reply.kvs) writeKeyValue(out, kv)
      return
    case 'txn':
      out.bool(reply.succeeded).varint(reply.revision).varint(reply.before).varint(reply.responses.length)
      for (const nested of reply.responses) writeOpReply(out, nested)
      return
    default:
      unreachable(reply)
  }
}

function readOpReply(input: ByteReader, depth: number): OpReply {
  if (depth > TXN_DEPTH_MAX) throw new MalformedError('reply nested too deeply')
  const kind = input.u8()
  switch (kind) {
    case OPS.put:
      return { kind: 'put', prev: input.bool() ? readKeyValue(input) : null }
    case OPS.delete:
      return { kind: 'delete', deleted: input.varint(), prevs: readMany(input, () => readKeyValue(input)) }
    case OPS.range: {
      const more = input.bool()
      const count = input.varint()
      return { kind: 'range', more, count, kvs: readMany(input, () => readKeyValue(input)) }
    }
    case OPS.txnWithoutBefore:
    case OPS.txn: {
      const succeeded = input.bool()
      const revision: Revision = input.varint()
      const before: Revision = kind === OPS.txn ? input.varint() : revision
      const responses = readMany(input, () => readOpReply(input, depth + 1))
      return { kind: 'txn', succeeded, revision, before, responses }
    }
    default:
      throw new MalformedError(`reply operation ${kind} is not known`)
  }
}

function writeOptional(out: ByteWriter, value: Uint8Array | null): void {
  out.bool(value !== null)
  if (value !== null) out.bytes(value)
}

const readOptional = (input: ByteReader): Uint8Array | null => (input.bool() ? input.bytes() : null)

function writeRows(out: ByteWriter, { compactRevision, values, pages }: ShardRowsRead): void {
  out.varint(compactRevision).varint(values.length)
  for (const value of values) writeOptional(out, value)
  out.varint(pages.length)
  for (const { rows, next } of pages) {
    out.varint(rows.length)
    for (const { key, value } of rows) out.bytes(key).bytes(value)
    writeOptional(out, next)
  }
}

const readRows = (input: ByteReader): ShardRowsRead => ({
  compactRevision: input.varint(),
  values: readMany(input, () => readOptional(input)),
  pages: readMany(input, () => ({
    rows: readMany(input, () => ({ key: input.bytes(), value: input.bytes() })),
    next: readOptional(input),
  })),
})

function writeHistory(out: ByteWriter, history: readonly PlacedEvents[]): void {
  out.varint(history.length)
  for (const { revision, events, positions } of history) {
    out.varint(revision).varint(events.length)
    events.forEach(({ kind, kv, prev }, i) => {
      out.varint(positions[i] ?? 0).bool(kind === 'delete')
      writeKeyValue(out, kv)
      out.bool(prev !== null)
      if (prev !== null) writeKeyValue(out, prev)
    })
  }
}

const readHistory = (input: ByteReader): PlacedEvents[] =>
  readMany(input, () => {
    const revision: Revision = input.varint()
    const placed = readMany(input, () => ({ position: input.varint(), event: readEvent(input) }))
    return {
      revision,
      events: placed.map(({ event }) => event),
      positions: placed.map(({ position }) => position),
    }
  })

const readEvent = (input: ByteReader): WatchEvent => ({
  kind: input.bool() ? 'delete' : 'put',
  kv: readKeyValue(input),
  prev: input.bool() ? readKeyValue(input) : null,
})

function writeMember(out: ByteWriter, member: Member): void {
  out.u64(member.id).text(member.name).bool(member.learner)
  for (const urls of [member.peerUrls, member.clientUrls]) {
    out.varint(urls.length)
    for (const url of urls) out.text(url)
  }
}

function readMember(input: ByteReader): Member {
  const id = nodeId(input.u64())
  const name = input.text()
  const learner = input.bool()
  const peerUrls = readMany(input, () => input.text())
  return { id, name, learner, peerUrls, clientUrls: readMany(input, () => input.text()) }
}

function writeKeyValue(out: ByteWriter, kv: KeyValue): void {
  out.bytes(kv.key).varint(kv.create).varint(kv.mod).varint(kv.version).u64(kv.lease).bytes(kv.value)
}

function readKeyValue(input: ByteReader): KeyValue {
  return {
    key: input.bytes(),
    create: input.varint(),
    mod: input.varint(),
    version: input.varint(),
    lease: leaseId(input.u64()),
    value: input.bytes(),
  }
}
