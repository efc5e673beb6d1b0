import {
  type KeyRange,
  type KeyValue,
  type LeaseId,
  LIMITS,
  ok,
  rangeContains,
  refuse,
  type Result,
  type Revision,
  compareBytes,
} from '@kvorum/model'
import { CorruptRecordError } from './corrupt.js'
import { decodeCurrent, decodeHistory, decodePast } from './record.js'
import type { Reader } from './reader.js'
import {
  attachmentRows,
  currentKey,
  historyStart,
  parseAttachmentKey,
  parseHistoryKey,
  pastKey,
} from './rowKeys.js'
import type { Step } from './step.js'
import { getRows, scanRows, type View } from './view.js'

/** Values come with the versions: this many at a time, so that large ones do not fill the memory. */
const VERSIONS_MAX = 64

/**
 * Walks the keys attached to a lease in the state before the command that is being written, if any: that one
 * may have removed attachments already. First those it changed, which its history rows name, then those whose
 * current version is still the one before it.
 */
export interface AttachmentCursor {
  /** Of the shard. */
  readonly range: KeyRange
  readonly lease: LeaseId
  /** What is left of the history rows of the revision being written; null: there are none, or no more. */
  changed: { gte: Uint8Array; lt: Uint8Array } | null
  attached: { gte: Uint8Array; lt: Uint8Array } | null
}

export const openAttachments = (range: KeyRange, lease: LeaseId, applying: Revision): AttachmentCursor => ({
  range,
  lease,
  changed: applying === 0 ? null : { gte: historyStart(applying), lt: historyStart(applying + 1) },
  attached: attachmentRows(range, lease),
})

export const attachmentScan = (rows: { gte: Uint8Array; lt: Uint8Array }) => ({
  ...rows,
  reverse: false,
  values: false,
  rowsMax: VERSIONS_MAX,
  bytesMax: LIMITS.pageBytesMax,
})

/** The next attached keys with their versions, possibly none; null behind the last. */
export function* nextAttached(view: View, cursor: AttachmentCursor): Step<KeyValue[] | null> {
  if (cursor.changed !== null) return yield* nextChanged(view, cursor, cursor.changed)
  if (cursor.attached === null) return null
  const page = (yield* scanRows(view, [attachmentScan(cursor.attached)]))[0]!
  cursor.attached = page.next === null ? null : { ...cursor.attached, gte: page.next }
  const keys = page.rows.map(row => {
    const key = parseAttachmentKey(row.key)
    if (key === null) throw new CorruptRecordError(row.key, 'not an attachment')
    return key
  })
  const rows = yield* getRows(view, keys.map(currentKey))
  const found: KeyValue[] = []
  keys.forEach((key, i) => {
    const row = rows[i] ?? null
    const kv = row === null ? null : decodeCurrent(view.checksum, currentKey(key), key, row)
    // Missing or newer: changed by the command being written, and found by its history row.
    if (kv !== null && kv.mod <= view.revision && kv.lease === cursor.lease) found.push(kv)
    else if (!view.past()) throw new CorruptRecordError(page.rows[i]!.key, 'attachment without its key')
  })
  return found
}

function* nextChanged(
  view: View,
  cursor: AttachmentCursor,
  changed: { gte: Uint8Array; lt: Uint8Array },
): Step<KeyValue[]> {
  const scan = { ...attachmentScan(changed), values: true }
  const page = (yield* scanRows(view, [scan]))[0]!
  cursor.changed = page.next === null ? null : { ...changed, gte: page.next }
  const replaced: { key: Uint8Array; rowKey: Uint8Array }[] = []
  for (const row of page.rows) {
    const at = parseHistoryKey(row.key)
    if (at === null) throw new CorruptRecordError(row.key, 'not a history row')
    // A revision may be of several shards.
    if (!rangeContains(cursor.range, at.key)) continue
    const { prev } = decodeHistory(view.checksum, row.key, row.value)
    if (prev !== 0) replaced.push({ key: at.key, rowKey: pastKey(at.key, prev) })
  }
  const rows = yield* getRows(
    view,
    replaced.map(({ rowKey }) => rowKey),
  )
  const found: KeyValue[] = []
  replaced.forEach(({ key, rowKey }, i) => {
    const row = rows[i] ?? null
    if (row === null) throw new CorruptRecordError(rowKey, 'history without its version')
    const { kv } = decodePast(view.checksum, rowKey, key, row)
    if (kv.lease === cursor.lease) found.push(kv)
  })
  return found
}

/** The keys attached to a lease, in order; none where there is no such lease. */
export function* leaseKeys(reader: Reader, lease: LeaseId): Step<Result<Uint8Array[]>> {
  const cursor = openAttachments(reader.range, lease, reader.applying)
  const keys: Uint8Array[] = []
  let charge = 0
  for (;;) {
    const page = yield* nextAttached(reader.view, cursor)
    if (page === null) return ok(keys.sort(compareBytes))
    for (const { key } of page) {
      charge += key.length + 16
      if (charge > reader.responseBytesMax) return refuse('responseTooLarge')
      keys.push(key)
    }
  }
}
