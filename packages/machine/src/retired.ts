import {
  ByteReader,
  ByteWriter,
  MalformedError,
  readRange,
  writeRange,
  type Checksum,
  type GroupId,
  type KeyRange,
  type StoreWrite,
} from '@kvorum/model'
import { groupKey } from './rowKeys.js'
import { openRow, sealedRow } from './seal.js'

/**
 * The mark of a replica that has moved away. Durable before the first of its rows is cleared; it stays when all are
 * gone, until the shard is wanted here again.
 */
export interface RetiredMark {
  readonly phase: 'clearing' | 'gone'
  /** The keys it had when it went; the shard may have been split since. */
  readonly range: KeyRange
}

const PHASES = ['clearing', 'gone'] as const

export const retiredKey = (group: GroupId): Uint8Array => groupKey(group, 'retired')

export function retiredRow(group: GroupId, { phase, range }: RetiredMark, checksum: Checksum): StoreWrite {
  const key = retiredKey(group)
  const out = new ByteWriter(64).varint(PHASES.indexOf(phase) + 1)
  writeRange(out, range)
  return { key, value: sealedRow(checksum, key, out.finish()).value }
}

export const unmarkRetired = (group: GroupId): StoreWrite => ({ key: retiredKey(group), value: null })

export function readRetired(group: GroupId, row: Uint8Array, checksum: Checksum): RetiredMark {
  const input = new ByteReader(openRow(checksum, retiredKey(group), row))
  const phase = PHASES[input.varint() - 1]
  if (phase === undefined) throw new MalformedError('the mark of a replica that has gone is not known')
  const { start, end } = readRange(input)
  input.end()
  return { phase, range: { start: Buffer.from(start), end: end === null ? null : Buffer.from(end) } }
}
