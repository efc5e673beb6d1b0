import {
  clusterId,
  groupId,
  incarnation,
  MalformedError,
  nodeId,
  replicaId,
  type JoinAnswer,
  type JoinRequest,
} from '@kvorum/model'
import { Packr } from 'msgpackr'
import { dial } from './dial.js'
import type { Address } from './events.js'
import { checkPlainMsgpack } from './plainMsgpack.js'
import type { PeerTls } from './tls.js'
import { list, number, rangeFromWire, rangeToWire, text, unsigned, type Wire } from './wire.js'

/**
 * The one question that a node may ask before it has an id: a connection of its own that begins with another
 * magic than a peer's, carries one request and one answer, and ends.
 *
 *     magic, length (4 bytes, big-endian), request ---->  <---- length, answer
 */
export const JOIN_MAGIC = Buffer.from('KVJN1')
export const JOIN_BYTES_MAX = 1024 * 1024
const LENGTH_BYTES = 4

const packr = new Packr({ useRecords: false, copyBuffers: true })

const lengthPrefixed = (wire: Wire): Buffer => {
  const payload = packr.pack(wire)
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32BE(payload.length)
  return Buffer.concat([length, payload])
}

/** Null while more bytes are needed. */
function takePayload(bytes: Buffer): Wire | null {
  if (bytes.length < LENGTH_BYTES) return null
  const length = bytes.readUInt32BE(0)
  if (length > JOIN_BYTES_MAX) throw new MalformedError(`${length} bytes are too many to join with`)
  if (bytes.length < LENGTH_BYTES + length) return null
  const payload = bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + length)
  checkPlainMsgpack(payload)
  return list(packr.unpack(payload))
}

export const isJoin = (head: Buffer): boolean =>
  head.length >= JOIN_MAGIC.length && head.subarray(0, JOIN_MAGIC.length).equals(JOIN_MAGIC)

export const mayBeJoin = (head: Buffer): boolean => {
  const seen = Math.min(head.length, JOIN_MAGIC.length)
  return head.subarray(0, seen).equals(JOIN_MAGIC.subarray(0, seen))
}

export const encodeJoinRequest = ({ peerUrls, incarnation }: JoinRequest): Buffer =>
  Buffer.concat([JOIN_MAGIC, lengthPrefixed([[...peerUrls], incarnation])])

/** Of a head that begins with the magic; null while more bytes are needed. */
export function decodeJoinRequest(head: Buffer): JoinRequest | null {
  const wire = takePayload(head.subarray(JOIN_MAGIC.length))
  if (wire === null) return null
  return { peerUrls: list(wire[0]).map(text), incarnation: incarnation(unsigned(wire[1])) }
}

const ANSWERS = { member: 1, refused: 2, later: 3 } as const

export function encodeJoinAnswer(answer: JoinAnswer): Buffer {
  if (answer.kind === 'refused') return lengthPrefixed([ANSWERS.refused, answer.reason])
  if (answer.kind === 'later') return lengthPrefixed([ANSWERS.later])
  const { cluster, node, replica, members, shards } = answer
  return lengthPrefixed([
    ANSWERS.member,
    cluster,
    node,
    replica,
    members.map(member => [member.node, [...member.peerUrls]]),
    shards.map(({ group, range, epoch }) => [group, rangeToWire(range), epoch]),
  ])
}

export function decodeJoinAnswer(bytes: Buffer): JoinAnswer | null {
  const wire = takePayload(bytes)
  if (wire === null) return null
  if (wire[0] === ANSWERS.refused) return { kind: 'refused', reason: text(wire[1]) }
  if (wire[0] === ANSWERS.later) return { kind: 'later' }
  if (wire[0] !== ANSWERS.member) throw new MalformedError('an answer to a join that is not known')
  return {
    kind: 'member',
    cluster: clusterId(unsigned(wire[1])),
    node: nodeId(unsigned(wire[2])),
    replica: replicaId(number(wire[3])),
    members: list(wire[4]).map(item => {
      const [node, urls] = list(item)
      return { node: nodeId(unsigned(node)), peerUrls: list(urls).map(text) }
    }),
    shards: list(wire[5]).map(item => {
      const [group, range, epoch] = list(item)
      return { group: groupId(number(group)), range: rangeFromWire(range), epoch: number(epoch) }
    }),
  }
}

/** Asks the member that listens there. 'later' as well when nobody does, or when the answer makes no sense. */
export function askToJoin(
  address: Address,
  request: JoinRequest,
  timeoutMs: number,
  tls: PeerTls | null = null,
): Promise<JoinAnswer> {
  return new Promise(resolve => {
    const { socket, ready } = dial(address, tls)
    let heard = Buffer.alloc(0)
    const end = (answer: JoinAnswer): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(timeoutMs, () => end({ kind: 'later' }))
    socket.on('error', () => end({ kind: 'later' }))
    socket.once('close', () => resolve({ kind: 'later' }))
    socket.on('data', chunk => {
      heard = Buffer.concat([heard, chunk])
      try {
        const answer = decodeJoinAnswer(heard)
        if (answer !== null) end(answer)
      } catch (error) {
        if (!(error instanceof MalformedError)) throw error
        end({ kind: 'later' })
      }
    })
    socket.once(ready, () => socket.write(encodeJoinRequest(request)))
  })
}
