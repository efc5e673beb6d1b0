import {
  ByteReader,
  ByteWriter,
  type ErrorCode,
  leaseId,
  MalformedError,
  ok,
  type Outcome,
  refuse,
  type Result,
  type StoreRow,
} from '@kvorum/model'
import { CorruptRecordError } from './corrupt.js'
import type { Machine } from './machine.js'
import { parseSessionKey, parseSessionReplyKey, sessionKey, sessionReplyKey } from './rowKeys.js'
import { openRow, sealedRow } from './seal.js'
import { addSession, keepReply, type KeptReply, type Session } from './sessions.js'

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
  const out = new ByteWriter().varint(reply.revision)
  writeResult(out, reply.result)
  return { key, ...sealedRow(machine.checksum, key, out.finish()) }
}

const OUTCOMES: readonly Outcome[] = ['notApplied', 'applied', 'unknown']

function writeResult(out: ByteWriter, result: Result<Uint8Array>): void {
  out.bool(result.ok)
  if (result.ok) {
    out.bytes(result.value)
    return
  }
  const { code, outcome, detail, compactRevision } = result.error
  out
    .text(code)
    .u8(OUTCOMES.indexOf(outcome))
    .text(detail ?? '')
    .varint(compactRevision ?? 0)
}

function readResult(input: ByteReader): Result<Uint8Array> {
  if (input.bool()) return ok(Buffer.from(input.bytes()))
  // The codes are names that this version, or one before it, wrote itself.
  const code = input.text() as ErrorCode
  const outcome = OUTCOMES[input.u8()]
  if (outcome === undefined) throw new MalformedError('an outcome is not known')
  const detail = input.text()
  const compactRevision = input.varint()
  return refuse(code, {
    outcome,
    ...(detail === '' ? {} : { detail }),
    ...(compactRevision === 0 ? {} : { compactRevision }),
  })
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
  const reply = { revision: input.varint(), result: readResult(input) }
  input.end()
  keepReply(machine.sessions, session, at.sequence, reply)
}
