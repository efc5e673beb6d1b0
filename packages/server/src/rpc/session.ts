import {
  ok,
  refuse,
  sessionId,
  NO_HEADER,
  withHeader,
  type ClientRequest,
  type Result,
  type SessionTag,
} from '@kvorum/model'

const TAG = /^(\d{1,20}):(\d{1,16}):(\d{1,16})$/

/** `ID:SEQUENCE:ACKNOWLEDGED_BELOW`, as the metadata `kvorum-session` carries it (proto/kvorum/v1/session.proto). */
export function readSessionTag(text: string): Result<SessionTag | null> {
  if (text === '') return ok(null)
  const [, id, sequence, below] = TAG.exec(text) ?? []
  const tag = { sequence: Number(sequence), acknowledgedBelow: Number(below) }
  const right =
    id !== undefined &&
    BigInt(id) < 2n ** 64n &&
    Number.isSafeInteger(tag.sequence) &&
    tag.sequence >= 1 &&
    tag.acknowledgedBelow <= tag.sequence
  if (!right) return refuse('malformed', { detail: 'kvorum-session is ID:SEQUENCE:ACKNOWLEDGED_BELOW' })
  return ok({ session: sessionId(BigInt(id)), ...tag })
}

/**
 * Puts the tag in front of a write of keys. Reads may be sent again anyway; what else changes something cannot
 * be part of a session, and must not look as if it were.
 */
export function withSession(request: ClientRequest, session: SessionTag | null): Result<ClientRequest> {
  if (session === null) return ok(request)
  switch (request.kind) {
    case 'write':
      return ok({ ...request, command: withHeader(request.command, { ...NO_HEADER, session }) })
    case 'compact':
    case 'leaseGrant':
    case 'leaseRevoke':
    case 'sessionOpen':
    case 'meta':
      return refuse('malformed', { detail: 'only writes of keys belong to a session' })
    default:
      return ok(request)
  }
}
