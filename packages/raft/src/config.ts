import { nodeId, replicaId } from '@kvorum/model'
import type { GroupConfig, Replica, ReplicaId } from '@kvorum/model'

/**
 * Bytes of a GroupConfig inside a config entry:
 *
 *     version = 1                                                              1 byte
 *     voters, outgoing, learners, learnersNext: count, then the ids ascending   unsigned LEB128 numbers
 *     replicas: count, then (id, node)                                          LEB128, 8 bytes big endian
 *
 * There is exactly one encoding of a value, so equal configurations are equal bytes on every replica.
 */
const VERSION = 1

export function encodeConfig(config: GroupConfig): Uint8Array {
  const bytes: number[] = [VERSION]
  for (const ids of [config.voters, config.outgoing, config.learners, config.learnersNext]) {
    putNumber(bytes, ids.length)
    for (const id of ids) putNumber(bytes, id)
  }
  putNumber(bytes, config.replicas.length)
  for (const replica of config.replicas) {
    putNumber(bytes, replica.id)
    for (let shift = 56n; shift >= 0n; shift -= 8n) bytes.push(Number((replica.node >> shift) & 0xffn))
  }
  return Uint8Array.from(bytes)
}

/** Throws a RangeError for bytes that `encodeConfig` does not write. */
export function decodeConfig(bytes: Uint8Array): GroupConfig {
  const reader = { bytes, at: 0 }
  const version = takeByte(reader)
  if (version !== VERSION) throw new RangeError(`config version ${version} is unknown`)
  const voters = takeIds(reader)
  const outgoing = takeIds(reader)
  const learners = takeIds(reader)
  const learnersNext = takeIds(reader)
  const replicas = takeList(reader, takeReplica)
  checkAscending(replicas.map(replica => replica.id))
  if (reader.at !== bytes.length)
    throw new RangeError(`config has ${bytes.length - reader.at} bytes too many`)
  return { voters, outgoing, learners, learnersNext, replicas }
}

interface Reader {
  readonly bytes: Uint8Array
  at: number
}

function putNumber(bytes: number[], value: number): void {
  let rest = value
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) + 0x80)
    rest = Math.floor(rest / 0x80)
  }
  bytes.push(rest)
}

function takeByte(reader: Reader): number {
  const byte = reader.bytes[reader.at++]
  if (byte === undefined) throw new RangeError('config ends early')
  return byte
}

function takeNumber(reader: Reader): number {
  let value = 0
  let scale = 1
  for (;;) {
    const byte = takeByte(reader)
    value += (byte & 0x7f) * scale
    if (!Number.isSafeInteger(value)) throw new RangeError('config holds a number beyond 2^53')
    if (byte < 0x80) {
      if (byte === 0 && scale > 1) throw new RangeError('config holds a number with needless zeros')
      return value
    }
    scale *= 0x80
  }
}

function takeList<Item>(reader: Reader, take: (reader: Reader) => Item): Item[] {
  const count = takeNumber(reader)
  if (count > reader.bytes.length) throw new RangeError('config ends early')
  return Array.from({ length: count }, () => take(reader))
}

function takeIds(reader: Reader): ReplicaId[] {
  return checkAscending(takeList(reader, inner => replicaId(takeNumber(inner))))
}

function takeReplica(reader: Reader): Replica {
  const id = replicaId(takeNumber(reader))
  let node = 0n
  for (let left = 8; left > 0; left--) node = (node << 8n) | BigInt(takeByte(reader))
  return { id, node: nodeId(node) }
}

function checkAscending(ids: ReplicaId[]): ReplicaId[] {
  for (let at = 1; at < ids.length; at++)
    if ((ids[at] as number) <= (ids[at - 1] as number)) throw new RangeError('config ids are not ascending')
  return ids
}
