import { compareBytes, LIMITS } from '@kvorum/model'
import { keyOf } from './hash.js'
import { versionCharge } from './quota.js'
import type { Reader } from './reader.js'
import { decodeCurrent, decodePast } from './record.js'
import type { Step } from './step.js'
import { openCursor, pagesOfBoth } from './visible.js'

/** What a shard's versions take, as the quota counts them, and how that lies along its keys. */
export interface Measured {
  readonly bytes: number
  /**
   * Some of the keys, ascending and cut off where they are long, with the bytes of all versions of all keys before. At most
   * POINTS_MAX.
   */
  readonly points: readonly { readonly key: Uint8Array; readonly before: number }[]
}

const POINTS_MAX = 512
/** Points lie at least so many bytes apart, and twice as far each time there are too many of them. */
const FIRST_STRIDE_BYTES = 1_024

/** Reads all of the shard, page by page. What is compacted counts no more, removed or not. */
export function* measureShard({ range, checksum, compactRevision, view, revision }: Reader): Step<Measured> {
  const cursor = openCursor(range, revision)
  let bytes = 0
  let stride = FIRST_STRIDE_BYTES
  let points: { key: Uint8Array; before: number }[] = []
  let last: Uint8Array | null = null
  const count = (key: Uint8Array, valueBytes: number): void => {
    if (last === null || compareBytes(last, key) !== 0) {
      last = Buffer.from(key)
      if (bytes - (points.at(-1)?.before ?? 0) >= stride)
        points.push({ key: Buffer.from(key.subarray(0, LIMITS.middleKeyBytesMax)), before: bytes })
      if (points.length > POINTS_MAX) {
        points = points.filter((_, at) => at % 2 === 1)
        stride *= 2
      }
    }
    bytes += versionCharge(key.length, valueBytes)
  }
  const countPast = (row: { key: Uint8Array; value: Uint8Array }, key: Uint8Array): void => {
    const { kv, until, tombstone } = decodePast(checksum, row.key, key, row.value)
    const isKept = tombstone ? kv.mod > compactRevision : until > compactRevision
    if (isKept) count(key, tombstone ? 0 : kv.value.length)
  }
  while (!cursor.done) {
    const { current, past } = yield* pagesOfBoth(view, cursor)
    let p = 0
    for (const row of current) {
      const key = keyOf(row.key)
      for (; p < past.length && compareBytes(keyOf(past[p]!.key), key) < 0; p++)
        countPast(past[p]!, keyOf(past[p]!.key))
      count(key, decodeCurrent(checksum, row.key, key, row.value).value.length)
    }
    for (; p < past.length; p++) countPast(past[p]!, keyOf(past[p]!.key))
  }
  return { bytes, points }
}
