import { LIMITS, rangeContains, type ShardRowsRead, type StoreNeed, type StoreScan } from '@kvorum/model'
import { GROUP_ROWS, isAttachment, parseAttachmentKey, TABLES, userKeyOf } from './rowKeys.js'
import type { MergedPage } from './mergePage.js'
import type { Reader } from './reader.js'
import type { Step } from './step.js'
import { getRows, scanRows } from './view.js'

/** Pages without a row of the shard after which whoever asks is told how far the scan has come. */
const LOOKED_MAX = 64

/** Rows of the reader's shard for somebody who is elsewhere. Other shards' rows lie between them, and are left out. */
export function* readShardRows(reader: Reader, { gets, scans }: StoreNeed): Step<ShardRowsRead> {
  const bounded = scans.map(boundedScan)
  const values = yield* getRows(reader.view, gets)
  const first = bounded.length === 0 ? [] : yield* scanRows(reader.view, bounded)
  const pages: MergedPage[] = []
  for (const [at, page] of first.entries()) pages.push(yield* pageOf(reader, bounded[at]!, page))
  return {
    compactRevision: reader.compactRevision,
    values: values.map((value, at) => (isRowOf(reader, gets[at]!) ? value : null)),
    pages,
  }
}

function* pageOf(reader: Reader, scan: StoreScan, first: MergedPage): Step<MergedPage> {
  let page = first
  for (let looked = 1; ; looked++) {
    const rows = page.rows.filter(({ key }) => isRowOf(reader, key))
    if (rows.length > 0 || page.next === null || looked === LOOKED_MAX) return { rows, next: page.next }
    page = (yield* scanRows(reader.view, [{ ...scan, gte: page.next }]))[0]!
  }
}

/** Whoever asks has the same bounds. */
const boundedScan = (scan: StoreScan): StoreScan => ({
  ...scan,
  reverse: false,
  rowsMax: Math.min(scan.rowsMax, LIMITS.pageRowsMax),
  bytesMax: Math.min(scan.bytesMax, LIMITS.pageBytesMax),
})

/** The marks of a half-installed snapshot and of a replica that has gone speak of the store they are in. */
function isRowOf({ group, range }: Reader, row: Uint8Array): boolean {
  if (isAttachment(row)) {
    const key = parseAttachmentKey(row)
    return key !== null && rangeContains(range, key)
  }
  if (row[0] === TABLES.group)
    return (
      row.length >= 6 &&
      Buffer.from(row).readUInt32BE(1) === group &&
      row[5] !== GROUP_ROWS.installing &&
      row[5] !== GROUP_ROWS.retired
    )
  const key = userKeyOf(row)
  return key !== null && rangeContains(range, key)
}
