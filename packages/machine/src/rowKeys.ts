import {
  assert,
  ByteReader,
  groupId,
  type GroupId,
  type KeyRange,
  leaseId,
  type LeaseId,
  prefixEnd,
  type Revision,
  sessionId,
  type SessionId,
} from '@kvorum/model'

/**
 * The keys of the state store's rows (docs/state-rows.md). One byte names the table. User keys are escaped so
 * that rows sort by (key, what follows) bytewise: a zero byte becomes 00 ff, the end of the key is 00 01; no
 * escaped key is a prefix of another.
 */
export const TABLES = { current: 0x43, group: 0x47, history: 0x48, past: 0x50 } as const
/** In the place of a group: rows that belong to whichever shard owns their key, so that a split moves none of them. */
export const ALL_GROUPS = groupId(0xff_ff_ff_ff)
/** Rows of one group behind G|group(4 BE). */
export const GROUP_ROWS = {
  attachment: 0x41,
  config: 0x43,
  authFence: 0x46,
  guard: 0x47,
  installing: 0x49,
  lease: 0x4c,
  meta: 0x4d,
  purge: 0x50,
  sessionReply: 0x52,
  session: 0x53,
  revisions: 0x56,
  applying: 0x57,
  retired: 0x58,
} as const

const ZERO = 0x00
const ESCAPED = 0xff
const TERMINATOR = 0x01

/** `head` bytes are left free in front of the escaped key, `tail` bytes behind it. */
function escapeInto(head: number, key: Uint8Array, tail: number): Buffer {
  const zero = key.indexOf(ZERO)
  if (zero === -1) {
    const out = Buffer.allocUnsafe(head + key.length + 2 + tail)
    out.set(key, head)
    out[head + key.length] = ZERO
    out[head + key.length + 1] = TERMINATOR
    return out
  }
  let zeros = 0
  for (let i = zero; i < key.length; i++) if (key[i] === ZERO) zeros++
  const out = Buffer.allocUnsafe(head + key.length + zeros + 2 + tail)
  let at = head
  for (let i = 0; i < key.length; i++) {
    const byte = key[i]!
    out[at++] = byte
    if (byte === ZERO) out[at++] = ESCAPED
  }
  out[at++] = ZERO
  out[at] = TERMINATOR
  return out
}

export const escapeKey = (key: Uint8Array): Uint8Array => escapeInto(0, key, 0)

/** The user key that starts at `from`, and where it ends; null where there is none. A view unless it had zeros. */
export function unescapeKey(row: Uint8Array, from: number): { key: Uint8Array; end: number } | null {
  const zero = row.indexOf(ZERO, from)
  if (zero === -1) return null
  if (row[zero + 1] === TERMINATOR) return { key: row.subarray(from, zero), end: zero + 2 }
  const key = Buffer.allocUnsafe(row.length - from)
  let length = 0
  for (let i = from; i < row.length; i++) {
    const byte = row[i]!
    if (byte !== ZERO) {
      key[length++] = byte
      continue
    }
    const next = row[++i]
    if (next === TERMINATOR) return { key: key.subarray(0, length), end: i + 1 }
    if (next !== ESCAPED) return null
    key[length++] = ZERO
  }
  return null
}

export function currentKey(key: Uint8Array): Uint8Array {
  const row = escapeInto(1, key, 0)
  row[0] = TABLES.current
  return row
}

/** Newer versions of a key sort first. */
export function pastKey(key: Uint8Array, revision: Revision): Uint8Array {
  const row = escapeInto(1, key, 8)
  row[0] = TABLES.past
  writePosition(row, row.length - 8, revision, true)
  return row
}

export const historyStart = (revision: Revision): Uint8Array => {
  const row = Buffer.allocUnsafe(9)
  row[0] = TABLES.history
  writePosition(row, 1, revision, false)
  return row
}

export function historyKey(revision: Revision, position: number, key: Uint8Array): Uint8Array {
  const row = escapeInto(13, key, 0)
  row[0] = TABLES.history
  writePosition(row, 1, revision, false)
  row.writeUInt32BE(position, 9)
  return row
}

export interface HistoryKey {
  readonly revision: Revision
  readonly position: number
  readonly key: Uint8Array
}

export function parseHistoryKey(row: Uint8Array): HistoryKey | null {
  if (row.length < 15) return null
  const input = new ByteReader(row.subarray(1, 13))
  const revision = Number(input.u64())
  const position = input.u32()
  const user = unescapeKey(row, 13)
  if (user === null || user.end !== row.length || !Number.isSafeInteger(revision)) return null
  return { revision, position, key: user.key }
}

/** The user's key that a row of the state store is about; null: none, or the row's key is damaged. */
export function userKeyOf(row: Uint8Array): Uint8Array | null {
  switch (row[0]) {
    case TABLES.current:
    case TABLES.past:
      return unescapeKey(row, 1)?.key ?? null
    case TABLES.history:
      return parseHistoryKey(row)?.key ?? null
    default:
      return null
  }
}

/** Revisions are below 2^53; descending ones are stored as their complement in 64 bits. */
function writePosition(row: Buffer, at: number, position: number, descending: boolean): void {
  assert(Number.isSafeInteger(position) && position >= 0, () => `${position} is not a position`)
  const high = Math.floor(position / 2 ** 32)
  const low = position >>> 0
  row.writeUInt32BE(descending ? ~high >>> 0 : high, at)
  row.writeUInt32BE(descending ? ~low >>> 0 : low, at + 4)
}

export const readDescending = (row: Uint8Array, at: number): number => {
  const view = new DataView(row.buffer, row.byteOffset, row.byteLength)
  return (~view.getUint32(at) >>> 0) * 2 ** 32 + (~view.getUint32(at + 4) >>> 0)
}

const groupPrefix = (group: GroupId, kind: number, tail: number): Buffer => {
  const row = Buffer.allocUnsafe(6 + tail)
  row[0] = TABLES.group
  row.writeUInt32BE(group, 1)
  row[5] = kind
  return row
}

/** A row there is one of per group. */
export const groupKey = (group: GroupId, row: keyof typeof GROUP_ROWS): Uint8Array =>
  groupPrefix(group, GROUP_ROWS[row], 0)

export function leaseKey(group: GroupId, id: LeaseId): Uint8Array {
  const row = groupPrefix(group, GROUP_ROWS.lease, 8)
  row.writeBigUInt64BE(BigInt.asUintN(64, id), 6)
  return row
}

export const parseLeaseKey = (row: Uint8Array): LeaseId | null =>
  row.length === 14 ? leaseId(new ByteReader(row.subarray(6)).u64()) : null

export function sessionKey(group: GroupId, id: SessionId): Uint8Array {
  const row = groupPrefix(group, GROUP_ROWS.session, 8)
  row.writeBigUInt64BE(id, 6)
  return row
}

export function sessionReplyKey(group: GroupId, id: SessionId, sequence: number): Uint8Array {
  const row = groupPrefix(group, GROUP_ROWS.sessionReply, 16)
  row.writeBigUInt64BE(id, 6)
  writePosition(row, 14, sequence, false)
  return row
}

export const parseSessionKey = (row: Uint8Array): SessionId | null =>
  row.length === 14 ? sessionId(new ByteReader(row.subarray(6)).u64()) : null

export function parseSessionReplyKey(row: Uint8Array): { session: SessionId; sequence: number } | null {
  if (row.length !== 22) return null
  const input = new ByteReader(row.subarray(6))
  return { session: sessionId(input.u64()), sequence: Number(input.u64()) }
}

const ATTACHMENT_HEAD = 14

export function attachmentKey(id: LeaseId, key: Uint8Array): Uint8Array {
  const row = escapeInto(ATTACHMENT_HEAD, key, 0)
  row[0] = TABLES.group
  row.writeUInt32BE(ALL_GROUPS, 1)
  row[5] = GROUP_ROWS.attachment
  row.writeBigUInt64BE(BigInt.asUintN(64, id), 6)
  return row
}

export const parseAttachmentKey = (row: Uint8Array): Uint8Array | null => {
  const user = unescapeKey(row, ATTACHMENT_HEAD)
  return user === null || user.end !== row.length ? null : user.key
}

/** Rows with gte <= key < lt. */
export interface RowRange {
  readonly gte: Uint8Array
  readonly lt: Uint8Array
}

/** All rows of a table that lies behind one byte. */
export const tableRows = (table: number): RowRange => ({
  gte: Buffer.from([table]),
  lt: Buffer.from([table + 1]),
})

/** The rows of a table keyed by user key (current, past) for the keys of a range. */
export function rowsOfKeys(table: number, range: KeyRange): RowRange {
  const all = tableRows(table)
  return {
    gte: range.start.length === 0 ? all.gte : tableAt(table, range.start),
    lt: range.end === null ? all.lt : tableAt(table, range.end),
  }
}

function tableAt(table: number, key: Uint8Array): Uint8Array {
  const row = escapeInto(1, key, 0)
  row[0] = table
  return row
}

/** All rows of one group, or those of one kind. */
export function groupRows(group: GroupId, kind?: keyof typeof GROUP_ROWS): RowRange {
  const gte = groupPrefix(group, kind === undefined ? 0 : GROUP_ROWS[kind], 0)
  const lt = groupPrefix(group, kind === undefined ? 0xff : GROUP_ROWS[kind] + 1, 0)
  return { gte, lt }
}

/** The keys of the range that are attached to the lease. */
export function attachmentRows(range: KeyRange, id: LeaseId): RowRange {
  const all = groupPrefix(ALL_GROUPS, GROUP_ROWS.attachment, 8)
  all.writeBigUInt64BE(BigInt.asUintN(64, id), 6)
  const gte = range.start.length === 0 ? all : attachmentKey(id, range.start)
  const lt = range.end === null ? prefixEnd(all) : attachmentKey(id, range.end)
  assert(lt !== null, () => 'a table prefix has an end')
  return { gte, lt }
}

/** The keys of all shards that are attached to leases. */
export const allAttachments = (): RowRange => groupRows(ALL_GROUPS, 'attachment')
export const isAttachment = (row: Uint8Array): boolean =>
  row[0] === TABLES.group && row[5] === GROUP_ROWS.attachment
