import {
  ALL_KEYS,
  ByteReader,
  ByteWriter,
  type Checksum,
  type GroupId,
  isAllKeys,
  type KeyRange,
  LIMITS,
  MalformedError,
  rangeContains,
  readRange,
  type StoreScan,
  type StoreWrite,
  writeRange,
} from '@kvorum/model'
import {
  allAttachments,
  GROUP_ROWS,
  groupKey,
  groupRows,
  isAttachment,
  parseAttachmentKey,
  parseHistoryKey,
  type RowRange,
  rowsOfKeys,
  tableRows,
  TABLES,
} from './rowKeys.js'
import { openRow, sealedRow } from './seal.js'

/** What names the rows of a shard. */
export interface ShardRows {
  readonly group: GroupId
  readonly range: KeyRange
}

/**
 * All rows of a shard's state, as scans to be paged through. History rows and attachments of other shards lie between them:
 * only rows for which `inSnapshot` holds belong to it.
 */
export const snapshotScans = (shard: ShardRows): StoreScan[] => scansOf(shard, true)

/** The same rows, to be deleted: before a snapshot is installed, or when the replica goes. */
export const clearScans = (shard: ShardRows): StoreScan[] => scansOf(shard, false)

function scansOf({ group, range }: ShardRows, values: boolean): StoreScan[] {
  const rows: RowRange[] = [
    rowsOfKeys(TABLES.current, range),
    groupRows(group),
    tableRows(TABLES.history),
    allAttachments(),
    rowsOfKeys(TABLES.past, range),
  ]
  const page = { reverse: false, values, rowsMax: LIMITS.pageRowsMax, bytesMax: LIMITS.pageBytesMax }
  return rows.map(({ gte, lt }) => ({ gte, lt, ...page }))
}

/** The marks of a half-installed snapshot and of a replica that has gone speak of this store, not of the state. */
export function inSnapshot({ range }: ShardRows, rowKey: Uint8Array): boolean {
  if (isAttachment(rowKey)) {
    const key = parseAttachmentKey(rowKey)
    return key !== null && rangeContains(range, key)
  }
  if (rowKey[0] === TABLES.group)
    return rowKey[5] !== GROUP_ROWS.installing && rowKey[5] !== GROUP_ROWS.retired
  if (rowKey[0] !== TABLES.history) return true
  const at = parseHistoryKey(rowKey)
  // An unreadable row is nobody's: cleared by none, and refused by whoever reads it.
  return at !== null && rangeContains(range, at.key)
}

/**
 * Durable before the first old row is cleared: until `finishInstall` the shard's rows are no state. `range`: the keys
 * that there may be rows of. `config`: the configuration in force where the replica's log begins, which the rows knew
 * and the snapshot does not say; encoded, and empty where nobody knows it.
 */
export function beginInstall(
  { group, range }: ShardRows,
  config: Uint8Array,
  checksum: Checksum,
): StoreWrite[] {
  const key = groupKey(group, 'installing')
  const all = isAllKeys(range)
  const out = new ByteWriter(64).varint(all ? FORMS.everything : FORMS.some)
  if (!all) writeRange(out, range)
  return [{ key, value: sealedRow(checksum, key, out.bytes(config).finish()).value }]
}

const FORMS = { everythingOnly: 1, someOnly: 2, everything: 3, some: 4 } as const

/** Which keys the mark speaks of, and the configuration where the log begins. Marks of the older forms have none. */
export function readInstalling(
  checksum: Checksum,
  group: GroupId,
  row: Uint8Array,
): { range: KeyRange; config: Uint8Array } {
  const input = new ByteReader(openRow(checksum, groupKey(group, 'installing'), row))
  const form = input.varint()
  if (form < FORMS.everythingOnly || form > FORMS.some)
    throw new MalformedError(`mark ${form} of an install is not known`)
  const all = form === FORMS.everythingOnly || form === FORMS.everything
  const { start, end } = all ? ALL_KEYS : readRange(input)
  const config = Buffer.from(form >= FORMS.everything ? input.bytes() : [])
  input.end()
  return { range: { start: Buffer.from(start), end: end === null ? null : Buffer.from(end) }, config }
}

/** Written after the last row of the snapshot. */
export const finishInstall = (group: GroupId): StoreWrite[] => [
  { key: groupKey(group, 'installing'), value: null },
]
