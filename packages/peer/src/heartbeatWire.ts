import {
  assert,
  ByteReader,
  ByteWriter,
  groupId,
  LIMITS,
  MalformedError,
  replicaId,
  type GroupMessage,
} from '@kvorum/model'
import type { Message } from '@kvorum/raft'

/**
 * The heartbeats of many groups as one byte string: they are most of what idle groups say, and as lists of lists they
 * would cost ten times as much to read. One after the other, each:
 *
 *     group, kind (1 byte), from, to, term, round, and the commit index of one that is no answer
 */
const HEARTBEAT = 0
const REPLY = 1
/** The replica that answers has no state. */
const REPLY_NEEDS_SNAPSHOT = 2

const BYTES_EACH = 8

export function heartbeatsToBytes(beats: readonly GroupMessage<Message>[]): Uint8Array {
  const out = new ByteWriter(beats.length * BYTES_EACH)
  for (const { group, message } of beats) {
    const { kind, from, to, term } = message
    assert(kind === 'heartbeat' || kind === 'heartbeatReply', () => `${kind} among heartbeats`)
    out.varint(group).u8(codeOf(message)).varint(from).varint(to).varint(term).varint(message.round)
    if (kind === 'heartbeat') out.varint(message.commit)
  }
  return out.finish()
}

type Beat = Extract<Message, { kind: 'heartbeat' | 'heartbeatReply' }>

function codeOf(message: Beat): number {
  if (message.kind === 'heartbeat') return HEARTBEAT
  return message.needSnapshot ? REPLY_NEEDS_SNAPSHOT : REPLY
}

export function heartbeatsFromBytes(bytes: Uint8Array): GroupMessage<Message>[] {
  const input = new ByteReader(bytes)
  const beats: GroupMessage<Message>[] = []
  while (input.remaining > 0) {
    if (beats.length >= LIMITS.heartbeatsPerMessageMax)
      throw new MalformedError('too many heartbeats at once')
    beats.push({ group: groupId(input.varint()), message: readBeat(input) })
  }
  return beats
}

function readBeat(input: ByteReader): Beat {
  const code = input.u8()
  if (code > REPLY_NEEDS_SNAPSHOT) throw new MalformedError(`heartbeat kind ${code} is not known`)
  const from = replicaId(input.varint())
  const to = replicaId(input.varint())
  const term = input.varint()
  const round = input.varint()
  if (code === HEARTBEAT) return { from, to, term, kind: 'heartbeat', commit: input.varint(), round }
  return { from, to, term, kind: 'heartbeatReply', round, needSnapshot: code === REPLY_NEEDS_SNAPSHOT }
}
