import {
  ByteReader,
  ByteWriter,
  type KeptReply,
  leaseId,
  readKeptReply,
  type StoreRow,
  writeKeptReply,
} from '@kvorum/model'
import { CorruptRecordError } from './corrupt.js'
import type { Machine } from './machine.js'
import { parseSessionKey, parseSessionReplyKey, sessionKey, sessionReplyKey } from './rowKeys.js'
import { openRow, sealedRow } from './seal.js'
import { addSession, keepReply, type Session } from './sessions.js'

/** Sessions as rows: one for each, and one for each answer that is kept. */

interface SealedWrite {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly crc: number
}

export function sessionRow(machine: Machine, session: Session): SealedWrite {
  const key = sessionKey(machine.group, session.id)
  const body = new ByteWriter(24).u64(session.lease).varint(session.acknowledgedBelow).finish()
  return { key, ...sealedRow(machine.checksum, key, body) }
}

export function replyRow(
  machine: Machine,
  session: Session,
  sequence: number,
  reply: KeptReply,
): SealedWrite {
  const key = sessionReplyKey(machine.group, session.id, sequence)
  const body = writeKeptReply(new ByteWriter(), reply).finish()
  return { key, ...sealedRow(machine.checksum, key, body) }
}

export function loadSession(machine: Machine, { key, value }: StoreRow): void {
  const id = parseSessionKey(key)
  if (id === null) throw new CorruptRecordError(key, 'not a session')
  const input = new ByteReader(openRow(machine.checksum, key, value))
  const session = addSession(machine.sessions, id, leaseId(input.u64()))
  session.acknowledgedBelow = input.varint()
  input.end()
}

export function loadReply(machine: Machine, { key, value }: StoreRow): void {
  const at = parseSessionReplyKey(key)
  const session = at === null ? undefined : machine.sessions.byId.get(at.session)
  if (at === null || session === undefined) throw new CorruptRecordError(key, 'not an answer of a session')
  const input = new ByteReader(openRow(machine.checksum, key, value))
  const reply = readKeptReply(input)
  input.end()
  keepReply(machine.sessions, session, at.sequence, reply)
}
