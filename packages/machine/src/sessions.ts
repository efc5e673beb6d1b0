import {
  type ErrorCode,
  type KeptReply,
  type KvError,
  type LeaseId,
  LIMITS,
  type Outcome,
  refuse,
  type Result,
  type Revision,
  type SessionId,
  type SessionTag,
} from '@kvorum/model'

/**
 * Exactly-once sessions, in their home: the shard with the first keys, as leases. A write that carries a session and a
 * sequence is carried out once, however often it is sent: its answer is kept until the client says that it has it.
 *
 *     opened --> write (sequence n) --> answer kept --> acknowledged --> forgotten
 *                     \--> the same again --> the same answer
 *     lease gone --> session gone: a write of it is never carried out, and nobody can tell whether it was
 *
 * A session belongs to one lease, and ends with it: keeping the lease alive keeps the session, and the end of
 * both is one entry of the log. Its id is a position in the log, so that it is never given twice, also where a
 * client chooses the same lease id again.
 */
export interface Session {
  readonly id: SessionId
  readonly lease: LeaseId
  /** The client has the answers of all sequences below. */
  acknowledgedBelow: number
  readonly replies: Map<number, KeptReply>
}

export interface Sessions {
  readonly byId: Map<SessionId, Session>
  readonly byLease: Map<LeaseId, Session>
  /** Of all kept answers. */
  bytes: number
}

export const createSessions = (): Sessions => ({ byId: new Map(), byLease: new Map(), bytes: 0 })

export function addSession(sessions: Sessions, id: SessionId, lease: LeaseId): Session {
  const session: Session = { id, lease, acknowledgedBelow: 1, replies: new Map() }
  sessions.byId.set(id, session)
  sessions.byLease.set(lease, session)
  return session
}

export function removeSession(sessions: Sessions, session: Session): void {
  sessions.byId.delete(session.id)
  sessions.byLease.delete(session.lease)
  for (const reply of session.replies.values()) sessions.bytes -= keptBytes(reply)
}

export function keepReply(sessions: Sessions, session: Session, sequence: number, reply: KeptReply): void {
  session.replies.set(sequence, reply)
  sessions.bytes += keptBytes(reply)
}

/** Sequences that need not be kept any longer once the client has acknowledged everything below `below`. */
export const acknowledged = (session: Session, below: number): number[] =>
  [...session.replies.keys()].filter(sequence => sequence < below)

export function forgetReplies(sessions: Sessions, session: Session, sequences: readonly number[]): void {
  for (const sequence of sequences) {
    const reply = session.replies.get(sequence)
    if (reply === undefined) continue
    sessions.bytes -= keptBytes(reply)
    session.replies.delete(sequence)
  }
}

const REPLY_OVERHEAD_BYTES = 128
const keptBytes = ({ result }: KeptReply): number =>
  REPLY_OVERHEAD_BYTES + (result.ok ? result.value.length : (result.error.detail?.length ?? 0))

/** What a tagged write comes to before it is looked at. */
export type Claim =
  | { readonly kind: 'first'; readonly session: Session; readonly sequence: number }
  | { readonly kind: 'repeated'; readonly reply: KeptReply }
  | { readonly kind: 'refused'; readonly error: KvError }

/** `reserved`: answers of this session that are about to be kept. */
export function claim(sessions: Sessions, tag: SessionTag, reserved = 0): Claim {
  const session = sessions.byId.get(tag.session)
  // It may have been carried out before the session ended; nobody knows any more.
  if (session === undefined) return refused('sessionNotFound', 'unknown')
  const { sequence, acknowledgedBelow } = tag
  const kept = session.replies.get(sequence)
  if (kept !== undefined) return { kind: 'repeated', reply: kept }
  if (sequence < session.acknowledgedBelow) return refused('sequenceAcknowledged', 'unknown')
  const left = reserved + session.replies.size - acknowledged(session, acknowledgedBelow).length
  if (left >= LIMITS.sessionRepliesMax || sessions.bytes >= LIMITS.sessionBytesMax) {
    return refused('tooManyRequests', 'notApplied')
  }
  return { kind: 'first', session, sequence }
}

const refused = (code: ErrorCode, outcome: Outcome): Claim => ({
  kind: 'refused',
  error: refuse(code, { outcome }).error,
})

/** An answer too large to be kept is kept as the fact that there was one. */
export function toKeep(revision: Revision, result: Result<Uint8Array>): KeptReply {
  if (!result.ok || result.value.length <= LIMITS.sessionReplyBytesMax) return { revision, result }
  return { revision, result: refuse('responseTooLarge', { outcome: 'applied' }) }
}
