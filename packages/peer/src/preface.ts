import {
  clusterId,
  MalformedError,
  nodeId,
  type ClusterId,
  type NodeId,
  type PeerRefusal,
} from '@kvorum/model'

/**
 * What a dialer says before its first frame: magic and version, cluster, itself, whom it means to reach, and
 * the lane. The answer is one byte: 0 to go on, else why not. Crossed wires end here, before any message.
 */
export interface Preface {
  readonly cluster: ClusterId
  readonly from: NodeId
  readonly to: NodeId
  /** control: raft and requests. bulk: snapshots, which must not delay heartbeats. */
  readonly lane: Lane
}

export type Lane = 'control' | 'bulk'

const MAGIC = Buffer.from('KVPR1')
export const PREFACE_BYTES = MAGIC.length + 8 * 3 + 1
const LANES: readonly Lane[] = ['control', 'bulk']

/**
 * The first byte of the answer. The same byte again, at any later time, says no more than that what was sent
 * arrives: it is how a dialler tells a peer that is there from a connection that only looks open. A refusal may
 * come later as well, for what was said after the preface.
 */
export const PREFACE_OK = 0
/** Numbers on the wire, from 1. */
const REFUSALS: readonly PeerRefusal[] = [
  'otherCluster',
  'unknownMember',
  'otherDirectory',
  'olderDirectory',
  'copiedDirectory',
  'removedMember',
]

export const refusalByte = (reason: PeerRefusal): number => 1 + REFUSALS.indexOf(reason)
/** Null: no answer of ours. Whoever listens there is not a peer. */
export const refusalOf = (byte: number): PeerRefusal | null => REFUSALS[byte - 1] ?? null

export function encodePreface(preface: Preface): Buffer {
  const out = Buffer.alloc(PREFACE_BYTES)
  let at = MAGIC.copy(out)
  for (const id of [preface.cluster, preface.from, preface.to]) at = out.writeBigUInt64BE(id, at)
  out[at] = LANES.indexOf(preface.lane)
  return out
}

/** Null while more bytes are needed; throws MalformedError at the first byte that is wrong. */
export function decodePreface(bytes: Buffer): Preface | null {
  const seen = Math.min(bytes.length, MAGIC.length)
  if (!bytes.subarray(0, seen).equals(MAGIC.subarray(0, seen)))
    throw new MalformedError('not a kvorum peer of this version')
  if (bytes.length < PREFACE_BYTES) return null
  const id = (at: number): bigint => bytes.readBigUInt64BE(MAGIC.length + at * 8)
  const lane = LANES[bytes[PREFACE_BYTES - 1]!]
  if (lane === undefined) throw new MalformedError('unknown lane')
  return { cluster: clusterId(id(0)), from: nodeId(id(1)), to: nodeId(id(2)), lane }
}
