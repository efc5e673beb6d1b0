import {
  ByteWriter,
  type Checksum,
  compareBytes,
  type KeyValue,
  ok,
  refuse,
  type Result,
  type Revision,
} from '@kvorum/model'
import { CorruptRecordError } from './corrupt.js'
import { decodeCurrent, decodePast } from './record.js'
import type { Reader } from './reader.js'
import { unescapeKey } from './rowKeys.js'
import type { Step } from './step.js'
import { openCursor, pagesOfBoth } from './visible.js'

export interface KvHash {
  /** CRC-32 over all versions, by key and newest first. */
  readonly hash: number
  /** The revision hashed; replicas compare equal ones only... */
  readonly revision: Revision
  /** ...at equal compact revisions. */
  readonly compactRevision: Revision
}

/**
 * Hashes what a reader can see at any revision from the compacted one to `revision` (0: the latest). `before`: the hash
 * of all keys below the reader's range, where a store is hashed shard by shard.
 */
export function* hashKv(reader: Reader, revision: Revision, before = 0): Step<Result<KvHash>> {
  const { checksum, compactRevision } = reader
  const at = revision > 0 ? revision : reader.revision
  if (at > reader.revision) return refuse('futureRevision')
  if (at < compactRevision) return refuse('compacted', { compactRevision })
  const cursor = openCursor(reader.range, at)
  let hash = before
  while (!cursor.done) {
    const { current, past } = yield* pagesOfBoth(reader.view, cursor)
    let p = 0
    for (const row of current) {
      const key = keyOf(row.key)
      while (p < past.length && compareBytes(keyOf(past[p]!.key), key) < 0) {
        hash = addPast(checksum, hash, past[p++]!, at, compactRevision)
      }
      const kv = decodeCurrent(checksum, row.key, key, row.value)
      if (kv.mod <= at) hash = addVersion(checksum, hash, kv, false)
    }
    while (p < past.length) hash = addPast(checksum, hash, past[p++]!, at, compactRevision)
  }
  return ok({ hash, revision: at, compactRevision })
}

export function keyOf(rowKey: Uint8Array): Uint8Array {
  const user = unescapeKey(rowKey, 1)
  if (user === null) throw new CorruptRecordError(rowKey, 'not an escaped key')
  return user.key
}

/** Versions that ended at or below the compact revision do not count, whether their rows are gone or not. */
function addPast(
  checksum: Checksum,
  hash: number,
  row: { key: Uint8Array; value: Uint8Array },
  at: Revision,
  compactRevision: Revision,
): number {
  const { kv, until, tombstone } = decodePast(checksum, row.key, keyOf(row.key), row.value)
  const readable = tombstone ? kv.mod >= compactRevision : until > compactRevision
  return readable && kv.mod <= at ? addVersion(checksum, hash, kv, tombstone) : hash
}

function addVersion(checksum: Checksum, hash: number, kv: KeyValue, tombstone: boolean): number {
  const head = new ByteWriter(64).bytes(kv.key).bool(tombstone)
  head.varint(kv.create).varint(kv.mod).varint(kv.version).u64(kv.lease).varint(kv.value.length)
  return checksum(kv.value, checksum(head.finish(), hash))
}
