import {
  type Checksum,
  EMPTY,
  intersectRanges,
  type KeyRange,
  type KeyValue,
  LIMITS,
  NO_LEASE,
  ok,
  rangeContains,
  refuse,
  type Result,
  type Revision,
  type PlacedEvents,
  type WatchEvent,
} from '@kvorum/model'
import { CorruptRecordError } from './corrupt.js'
import { decodeCurrent, decodeHistory, decodePast, type HistoryRecord } from './record.js'
import { chargeOf } from './rangeRead.js'
import type { Reader } from './reader.js'
import { currentKey, historyStart, type HistoryKey, parseHistoryKey, pastKey } from './rowKeys.js'
import type { Step } from './step.js'
import { getRows, scanRows } from './view.js'

export interface HistoryLimits {
  /** At most this many revisions with events... */
  readonly revisionsMax: number
  /** ...and no further one once the events take this many bytes. One revision is always whole. */
  readonly bytesMax: number
}

export interface HistoryOptions {
  /** Only changes of these keys; default: all of the shard. */
  readonly range?: KeyRange
  /** Whether events carry the version they replaced, where it is not compacted. */
  readonly prev?: boolean
}

export interface History {
  readonly events: PlacedEvents[]
  /** The first revision that was not looked at; beyond `to` when all were. */
  readonly next: Revision
}

/** Versions are fetched for this many changes at a time. */
const CHANGES_MAX = 64

type Change = HistoryKey & HistoryRecord

/** The changes of the revisions from `from` to `to`, both inclusive, in order, whole revisions only. */
export function* readHistory(
  reader: Reader,
  from: Revision,
  to: Revision,
  limits: HistoryLimits,
  options: HistoryOptions = {},
): Step<Result<History>> {
  if (from < reader.compactRevision) return refuse('compacted', { compactRevision: reader.compactRevision })
  const last = Math.min(to, reader.revision)
  const range = intersectRanges(reader.range, options.range ?? reader.range)
  const done: PlacedEvents[] = []
  let open: { revision: Revision; events: WatchEvent[]; positions: number[] } | null = null
  let bytes = 0
  let gte = historyStart(from)
  const lt = historyStart(last + 1)
  for (;;) {
    const page = (yield* scanRows(reader.view, [{ gte, lt, ...PAGE }]))[0]!
    const changes = parseChanges(reader.checksum, page.rows, range)
    for (const { change, event } of yield* loadEvents(reader, changes, options.prev === true)) {
      if (open !== null && open.revision !== change.revision) {
        done.push(open)
        open = null
        if (done.length >= limits.revisionsMax || bytes >= limits.bytesMax) {
          return ok({ events: done, next: done[done.length - 1]!.revision + 1 })
        }
      }
      open ??= { revision: change.revision, events: [], positions: [] }
      open.events.push(event)
      open.positions.push(change.position)
      bytes += chargeOf(event.kv) + (event.prev === null ? 0 : chargeOf(event.prev))
    }
    if (page.next === null) break
    gte = page.next
  }
  if (open !== null) done.push(open)
  return ok({ events: done, next: Math.max(from, last + 1) })
}

const PAGE = { reverse: false, values: true, rowsMax: CHANGES_MAX, bytesMax: LIMITS.pageBytesMax }

function parseChanges(
  checksum: Checksum,
  rows: readonly { key: Uint8Array; value: Uint8Array }[],
  range: KeyRange,
): Change[] {
  const changes: Change[] = []
  for (const row of rows) {
    const at = parseHistoryKey(row.key)
    if (at === null) throw new CorruptRecordError(row.key, 'not a history row')
    if (rangeContains(range, at.key)) changes.push({ ...at, ...decodeHistory(checksum, row.key, row.value) })
  }
  return changes
}

function* loadEvents(
  reader: Reader,
  changes: readonly Change[],
  withPrev: boolean,
): Step<{ change: Change; event: WatchEvent }[]> {
  const wanted: Uint8Array[] = []
  for (const change of changes) {
    if (change.kind === 'put') wanted.push(currentKey(change.key), pastKey(change.key, change.revision))
    if (hasPrev(reader, change, withPrev)) wanted.push(pastKey(change.key, change.prev))
  }
  const rows = yield* getRows(reader.view, wanted)
  let next = 0
  return changes.map(change => {
    const put = change.kind === 'put' ? putVersion(reader, change, rows[next++]!, rows[next++]!) : null
    const kv = put ?? deletedVersion(change)
    const prev = hasPrev(reader, change, withPrev)
      ? pastVersion(reader, change, change.prev, rows[next++]!)
      : null
    return { change, event: { kind: change.kind, kv, prev } }
  })
}

/** What an event replaced is gone at and below the compact revision, whether its row still exists or not. */
const hasPrev = (reader: Reader, change: Change, withPrev: boolean): boolean =>
  withPrev && change.prev !== 0 && change.revision > reader.compactRevision

const deletedVersion = (change: Change): KeyValue => ({
  key: change.key,
  create: 0,
  mod: change.revision,
  version: 0,
  value: EMPTY,
  lease: NO_LEASE,
})

function putVersion(
  reader: Reader,
  change: Change,
  current: Uint8Array | null,
  past: Uint8Array | null,
): KeyValue {
  if (current !== null) {
    const kv = decodeCurrent(reader.checksum, currentKey(change.key), change.key, current)
    if (kv.mod === change.revision) return kv
  }
  return pastVersion(reader, change, change.revision, past)
}

function pastVersion(reader: Reader, change: Change, revision: Revision, row: Uint8Array | null): KeyValue {
  const rowKey = pastKey(change.key, revision)
  if (row === null) throw new CorruptRecordError(rowKey, 'history without its version')
  return decodePast(reader.checksum, rowKey, change.key, row).kv
}
