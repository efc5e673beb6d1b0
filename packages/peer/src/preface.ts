import { clusterId, MalformedError, nodeId, type ClusterId, type NodeId, type PeerRefusal } from '@kvorum/model'

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

export const PREFACE_OK = 0
const REFUSALS: readonly (PeerRefusal | null)[] = [null, 'otherCluster', 'unknownMember']

export const refusalByte = (reason: PeerRefusal): number => Math.max(1, REFUSALS.indexOf(reason))
export const refusalOf = (byte: number): PeerRefusal | null => REFUSALS[byte] ?? 'otherCluster'

export function encodePreface(preface: Preface): Buffer {
  const out = Buffer.alloc(PREFACE_BYTES)
  let at = MAGIC.copy(out)
  for (const id of [preface.cluster, preface.from, preface.to]) at = out.writeBigUInt64BE(id, at)
  out[at] = LANES.indexOf(preface.lane)
  return out
}

export function decodePreface(bytes: Buffer): Preface {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw new MalformedError('not a kvorum peer of this version')
  const id = (at: number): bigint => bytes.readBigUInt64BE(MAGIC.length + at * 8)
  const lane = LANES[bytes[PREFACE_BYTES - 1]!]
  if (lane === undefined) throw new MalformedError('unknown lane')
  return { cluster: clusterId(id(0)), from: nodeId(id(1)), to: nodeId(id(2)), lane }
}
