import { crc32 } from 'node:zlib'
import { assert, unreachable } from '@kvorum/model'
import type { DiskOp } from '../disk.js'
import {
  encodeSegmentHeader,
  PAYLOAD_BYTES_MAX,
  putU64,
  RECORD_HEADER_BYTES,
  RECORD_KINDS,
  RECORD_OVERHEAD_BYTES,
  SEGMENT_HEADER_BYTES,
  SEGMENT_OFFSET_MAX,
  segmentName,
  segmentSalt,
} from './format.js'
import type { RecordKind } from './format.js'
import { BEGIN_BYTES, COVER_BYTES, itemGroup, payloadBytes, putPayload } from './items.js'
import type { LogItem } from './items.js'
import type { LogEffect, LogState, Planned } from './state.js'
import { applyEffect, currentSegment } from './state.js'

/**
 * One batch: one write, one sync. Before them goes whatever an abandoned batch left behind, and a new segment
 * where the current one is full: it is created, its header synced and its name synced before a record is
 * written to it, so that records behind a damaged header prove that the header was once whole.
 */
export interface BatchPlan {
  readonly items: readonly LogItem[]
  /** Runs after the sync. */
  readonly after: readonly DiskOp[]
  readonly removedBelow: number | null
}

/** Where the next record goes, while a batch is encoded. */
interface Cursor {
  readonly bytes: Buffer
  readonly segment: number
  readonly start: number
  readonly salt: number
  at: number
  nextRecord: number
  chain: number
}

const SCRATCH_BYTES_MAX = 4 * 1024 * 1024

export function writeBatch(log: LogState, plan: BatchPlan): DiskOp[] {
  assertIdle(log)
  const size = plan.items.reduce((sum, item) => sum + RECORD_OVERHEAD_BYTES + payloadBytes(item), 0)
  const target = targetSegment(log, size + RECORD_OVERHEAD_BYTES + BEGIN_BYTES)
  const cursor = openCursor(log, target, size + RECORD_OVERHEAD_BYTES + BEGIN_BYTES)
  putBegin(cursor, size, plan.items.length)
  const effects = plan.items.map(item => putItem(cursor, item))
  log.planned = {
    effects,
    ...landing(cursor, target),
    covered: false,
    removedBelow: plan.removedBelow,
    reserve: null,
  }
  return [...log.cleanup, ...target.ops, ...writeOps(cursor), ...plan.after]
}

/** The record that a log writes when it falls idle, so that its last batch is known to have been synced. */
export function writeCover(log: LogState): DiskOp[] {
  assertIdle(log)
  const size = RECORD_OVERHEAD_BYTES + COVER_BYTES
  const target = targetSegment(log, size)
  const cursor = openCursor(log, target, size)
  const offset = cursor.start
  putRecord(cursor, 'cover', 0, COVER_BYTES, at => putWatermark(cursor, at, offset, COVER_BYTES))
  log.planned = {
    effects: [],
    ...landing(cursor, target),
    covered: true,
    removedBelow: null,
    reserve: null,
  }
  return [...log.cleanup, ...target.ops, ...writeOps(cursor)]
}

/** All operations of the last plan have succeeded. */
export function confirm(log: LogState): void {
  const { planned } = log
  assert(planned !== null, () => 'nothing was planned that could be confirmed')
  for (const effect of planned.effects) applyEffect(log, effect)
  if (planned.roll !== null) log.segments.push({ ...planned.roll })
  if (planned.end !== null) {
    log.segments.at(-1)!.bytes = planned.end.bytes
    log.nextRecord = planned.end.nextRecord
    log.chain = planned.end.chain
    log.covered = planned.covered
  }
  const { removedBelow } = planned
  if (removedBelow !== null) log.segments = log.segments.filter(({ number }) => number >= removedBelow)
  if (planned.reserve !== null) log.reserve = planned.reserve
  log.planned = null
  log.cleanup = []
}

/**
 * The last plan failed before anything of it was claimed durable (no space; see isNoSpace): nothing of it
 * counts. What it left on disk is cut off by the next plan, before that writes at the same place.
 */
export function abandon(log: LogState): void {
  const { planned } = log
  assert(planned !== null, () => 'nothing was planned that could be abandoned')
  log.cleanup = mergeCleanup(log.cleanup, planned.cleanup)
  log.planned = null
}

function mergeCleanup(older: readonly DiskOp[], newer: readonly DiskOp[]): DiskOp[] {
  const seen = new Set(older.map(op => JSON.stringify(op)))
  return [...older, ...newer.filter(op => !seen.has(JSON.stringify(op)))]
}

function assertIdle(log: LogState): void {
  assert(log.planned === null, () => 'the last plan is neither confirmed nor abandoned')
}

interface Target {
  readonly segment: number
  readonly offset: number
  readonly chain: number
  readonly roll: boolean
  readonly ops: readonly DiskOp[]
}

function targetSegment(log: LogState, size: number): Target {
  const current = log.segments.at(-1)
  const full =
    current === undefined ||
    (current.bytes > SEGMENT_HEADER_BYTES && current.bytes + size > log.options.segmentBytes)
  if (!full) return { segment: current.number, offset: current.bytes, chain: log.chain, roll: false, ops: [] }
  const segment = currentSegment(log) + 1
  // The very first record continues a checksum that is this log's own.
  const chain = current === undefined ? segmentSalt(log.identity, segment) : log.chain
  const header = encodeSegmentHeader({
    identity: log.identity,
    segment,
    firstRecord: log.nextRecord,
    chain,
  })
  const file = segmentName(segment)
  const ops: DiskOp[] = [
    { kind: 'create', file },
    { kind: 'write', file, offset: 0, chunks: [header] },
    { kind: 'sync', file },
    { kind: 'syncDirectory' },
  ]
  return { segment, offset: SEGMENT_HEADER_BYTES, chain, roll: true, ops }
}

function openCursor(log: LogState, target: Target, size: number): Cursor {
  assert(target.offset + size <= SEGMENT_OFFSET_MAX, () => `a batch of ${size} bytes is too large`)
  return {
    bytes: scratchOf(log, size),
    segment: target.segment,
    start: target.offset,
    salt: segmentSalt(log.identity, target.segment),
    at: 0,
    nextRecord: log.nextRecord,
    chain: target.chain,
  }
}

/** One buffer serves all batches, because only one is under way; a very large one is not kept. */
function scratchOf(log: LogState, size: number): Buffer {
  if (size > SCRATCH_BYTES_MAX) return Buffer.allocUnsafeSlow(size)
  if (log.scratch.length < size) log.scratch = Buffer.allocUnsafeSlow(Math.max(size * 2, 64 * 1024))
  return log.scratch.subarray(0, size)
}

function landing(cursor: Cursor, target: Target): Pick<Planned, 'roll' | 'end' | 'cleanup'> {
  const file = segmentName(target.segment)
  const cleanup: DiskOp[] = target.roll
    ? [{ kind: 'remove', file }, { kind: 'syncDirectory' }]
    : [
        { kind: 'truncate', file, length: target.offset },
        { kind: 'sync', file },
      ]
  assert(cursor.at === cursor.bytes.length, () => 'a batch was not as long as was computed')
  return {
    roll: target.roll ? { number: target.segment, bytes: SEGMENT_HEADER_BYTES } : null,
    end: { bytes: cursor.start + cursor.at, nextRecord: cursor.nextRecord, chain: cursor.chain },
    cleanup,
  }
}

function writeOps(cursor: Cursor): DiskOp[] {
  const file = segmentName(cursor.segment)
  return [
    { kind: 'write', file, offset: cursor.start, chunks: [cursor.bytes] },
    { kind: 'sync', file },
  ]
}

function putRecord(
  cursor: Cursor,
  kind: RecordKind,
  group: number,
  length: number,
  put: (offset: number) => void,
): void {
  assert(length <= PAYLOAD_BYTES_MAX, () => `a record of ${length} bytes is too large`)
  const { bytes, at } = cursor
  putU64(bytes, at + 4, cursor.nextRecord)
  bytes.writeUInt32BE(RECORD_KINDS[kind] * 2 ** 24, at + 12)
  putU64(bytes, at + 16, group)
  bytes.writeUInt32BE(length, at + 24)
  bytes.writeUInt32BE(crc32(bytes.subarray(at + 4, at + RECORD_HEADER_BYTES), cursor.salt), at)
  const payload = at + RECORD_HEADER_BYTES
  put(payload)
  const end = payload + length
  cursor.chain = crc32(bytes.subarray(at, end), cursor.chain)
  cursor.at = bytes.writeUInt32BE(cursor.chain, end)
  cursor.nextRecord++
}

function putBegin(cursor: Cursor, size: number, records: number): void {
  const offset = cursor.start
  putRecord(cursor, 'begin', 0, BEGIN_BYTES, at => {
    cursor.bytes.writeUInt32BE(size, at + 12)
    putU64(cursor.bytes, at + 16, records)
    putWatermark(cursor, at, offset, BEGIN_BYTES)
  })
}

/** Segment and offset that were synced before; then, at the payload's end, a checksum of the payload alone. */
function putWatermark(cursor: Cursor, at: number, offset: number, length: number): void {
  putU64(cursor.bytes, at, cursor.segment)
  cursor.bytes.writeUInt32BE(offset, at + 8)
  const end = at + length - 4
  cursor.bytes.writeUInt32BE(crc32(cursor.bytes.subarray(at, end), cursor.salt), end)
}

function putItem(cursor: Cursor, item: LogItem): LogEffect {
  const { segment, chain } = cursor
  const offset = cursor.start + cursor.at
  const length = payloadBytes(item)
  putRecord(cursor, item.kind, itemGroup(item), length, at => putPayload(cursor.bytes, at, item))
  switch (item.kind) {
    case 'hardState':
    case 'base':
    case 'boot':
    case 'peer':
      return { ...item, segment }
    case 'admitted':
      return { kind: 'admitted', segment }
    case 'removed':
    case 'purged':
      return item
    case 'entries':
    case 'moved': {
      const first = item.entries[item.from]!
      const last = item.entries[item.to - 1]!
      const place = { segment, offset, length: RECORD_OVERHEAD_BYTES + length, chain }
      const row = { first: first.index, last: last.index, term: first.term, ...place }
      return { kind: item.kind, group: item.group, row, time: last.time }
    }
    default:
      return unreachable(item)
  }
}
