import { EMPTY, type KeyValue, LIMITS, NO_LEASE, rangeContains, type Revision } from '@kvorum/model'
import { CorruptRecordError } from './corrupt.js'
import { decodeCurrent, decodeHistory, decodePast } from './record.js'
import type { Reader } from './reader.js'
import {
  currentKey,
  historyStart,
  type HistoryKey,
  parseHistoryKey,
  pastKey,
  type RowRange,
  rowsOfKeys,
  TABLES,
  unescapeKey,
} from './rowKeys.js'
import type { Step } from './step.js'
import { getRows, scanRows } from './view.js'

/**
 * Everything that can still be read at some revision, in the order in which it was written: what a backup holds.
 *
 *     below the compact revision R   versions that are visible at R. They have no history rows any more, so they
 *                                    come in the order of their keys, to be sorted by whoever asks
 *     from R on                      every change, by the history rows
 */

/** One change of one key, numbered as etcd does: the changes of a revision count from 0. */
export interface NumberedChange {
  readonly revision: Revision
  readonly sub: number
  readonly kind: 'put' | 'delete'
  /** Of a deletion only key and mod are set. */
  readonly kv: KeyValue
}

/** Where a version from before the compact revision lies. */
export interface OldVersion {
  readonly revision: Revision
  readonly sub: number
  /** Its row: of the current table or of the past one. */
  readonly row: Uint8Array
}

export interface OldVersions {
  readonly reader: Reader
  /** What is left of the two tables. */
  readonly tables: RowRange[]
}

/** Values come with the versions: few at a time, so that large ones do not fill the memory. */
const VERSIONS_MAX = 64
const PAGE = { reverse: false, values: true, rowsMax: VERSIONS_MAX, bytesMax: LIMITS.pageBytesMax }

export const openOldVersions = (reader: Reader): OldVersions => ({
  reader,
  tables:
    reader.compactRevision === 0
      ? []
      : [rowsOfKeys(TABLES.current, reader.range), rowsOfKeys(TABLES.past, reader.range)],
})

/** The next of them, possibly none; null behind the last. */
export function* nextOldVersions({ reader, tables }: OldVersions): Step<OldVersion[] | null> {
  const table = tables[0]
  if (table === undefined) return null
  const page = (yield* scanRows(reader.view, [{ ...table, ...PAGE, rowsMax: LIMITS.pageRowsMax }]))[0]!
  if (page.next === null) tables.shift()
  else tables[0] = { ...table, gte: page.next }
  const found: OldVersion[] = []
  for (const { key, value } of page.rows) {
    const version = versionOf(reader, key, value)
    if (version !== null && version.mod < reader.compactRevision) {
      found.push({ revision: version.mod, sub: version.sub ?? 0, row: key })
    }
  }
  return found
}

/** The versions behind rows that `nextOldVersions` named, in their order. */
export function* loadOldVersions(reader: Reader, rows: readonly Uint8Array[]): Step<KeyValue[]> {
  const values = yield* getRows(reader.view, rows)
  return rows.map((row, i) => {
    const value = values[i] ?? null
    const version = value === null ? null : versionOf(reader, row, value)
    if (version === null) throw new CorruptRecordError(row, 'the version is gone')
    return version
  })
}

/** Null where it cannot be read at the compact revision or later. */
function versionOf(reader: Reader, rowKey: Uint8Array, value: Uint8Array): KeyValue | null {
  const key = unescapeKey(rowKey, 1)?.key
  if (key === undefined) throw new CorruptRecordError(rowKey, 'not an escaped key')
  if (rowKey[0] === TABLES.current) return decodeCurrent(reader.checksum, rowKey, key, value)
  const { kv, until, tombstone } = decodePast(reader.checksum, rowKey, key, value)
  return tombstone || until <= reader.compactRevision ? null : kv
}

export interface Changes {
  readonly reader: Reader
  /** What is left of the history; null: nothing. */
  rows: RowRange | null
  revision: Revision
  /** The next number within `revision`. */
  sub: number
}

export const openChanges = (reader: Reader): Changes => ({
  reader,
  rows: { gte: historyStart(reader.compactRevision), lt: historyStart(reader.revision + 1) },
  revision: 0,
  sub: 0,
})

/** The next changes, possibly none; null behind the last. */
export function* nextChanges(changes: Changes): Step<NumberedChange[] | null> {
  const { reader, rows } = changes
  if (rows === null) return null
  const page = (yield* scanRows(reader.view, [{ ...rows, ...PAGE }]))[0]!
  changes.rows = page.next === null ? null : { ...rows, gte: page.next }
  const found: (HistoryKey & { kind: 'put' | 'delete' })[] = []
  for (const { key, value } of page.rows) {
    const at = parseHistoryKey(key)
    if (at === null) throw new CorruptRecordError(key, 'not a history row')
    if (!rangeContains(reader.range, at.key)) continue
    found.push({ ...at, kind: decodeHistory(reader.checksum, key, value).kind })
  }
  const puts = found.filter(({ kind }) => kind === 'put')
  const versions = yield* getRows(
    reader.view,
    puts.flatMap(({ key, revision }) => [currentKey(key), pastKey(key, revision)]),
  )
  let next = 0
  return found.map(at => {
    const kv = at.kind === 'put' ? putAt(reader, at, versions[next++]!, versions[next++]!) : deletionAt(at)
    if (at.revision !== changes.revision) Object.assign(changes, { revision: at.revision, sub: 0 })
    // A number may be missing where what it counted is compacted; a put knows its own.
    const sub = Math.max(changes.sub, kv.sub ?? 0)
    changes.sub = sub + 1
    return { revision: at.revision, sub, kind: at.kind, kv }
  })
}

function putAt(
  reader: Reader,
  { key, revision }: HistoryKey,
  current: Uint8Array | null,
  past: Uint8Array | null,
): KeyValue {
  if (current !== null) {
    const kv = decodeCurrent(reader.checksum, currentKey(key), key, current)
    if (kv.mod === revision) return kv
  }
  const rowKey = pastKey(key, revision)
  if (past === null) throw new CorruptRecordError(rowKey, 'history without its version')
  return decodePast(reader.checksum, rowKey, key, past).kv
}

const deletionAt = ({ key, revision }: HistoryKey): KeyValue => ({
  key,
  create: 0,
  mod: revision,
  version: 0,
  value: EMPTY,
  lease: NO_LEASE,
})
