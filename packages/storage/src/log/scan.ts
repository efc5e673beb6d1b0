import { crc32 } from 'node:zlib'
import { RECORD_HEADER_BYTES, RECORD_TRAILER_BYTES, recordKind, SEGMENT_HEADER_BYTES } from './format.js'
import { decodePayload } from './payload.js'
import type { DecodedRecord } from './payload.js'
import { decodeRecordHeader, decodeWatermark, isWatermark } from './record.js'
import type { RecordHeader } from './record.js'
import { finding } from './recoveryTable.js'
import type { Finding } from './recoveryTable.js'
import { loseRecord, loseRecords, replayRecord } from './replay.js'
import type { Replay } from './replay.js'

/** One segment as it is on disk, behind its header. */
export interface SegmentBytes {
  readonly number: number
  readonly file: string
  readonly bytes: Buffer
  readonly salt: number
  /** No later segment exists: only here can there be bytes that were never synced. */
  readonly newest: boolean
}

export interface ScanEnd {
  /** Where the last whole batch ends. */
  readonly end: number
  /** Where the last whole batch or cover begins; equal to `end` if there is none. */
  readonly lastStart: number
  /** Unreadable bytes that were synced lie behind `end`; nothing says how many records they were. */
  readonly loose: boolean
}

/** A record that a later version wrote: recovery ends here. */
export class UnknownRecordError extends Error {
  override readonly name = 'UnknownRecordError'
  readonly finding: Finding
  constructor(found: Finding) {
    super(found.detail)
    this.finding = found
  }
}

/**
 * Reads batches until the bytes end or a batch is not whole. Then the question is whether the damage was synced
 * once: it was if the segment has a successor, or if a later batch or cover record names an offset behind it.
 * Not synced: the tail is torn, and ends here. Synced: what can be read is read, what cannot is put in doubt.
 */
export function scanSegment(replay: Replay, segment: SegmentBytes, known: number | null): ScanEnd {
  const { log } = replay
  let at = SEGMENT_HEADER_BYTES
  let lastStart = at
  // Behind damage the checksum to continue is not known; a begin record can be believed without it.
  let chain = known
  for (;;) {
    const batch = readBatch(segment, at, log.nextRecord, chain)
    if (batch !== null) {
      for (const record of batch.records) replayRecord(replay, record)
      lastStart = at
      at = batch.end
      log.nextRecord = batch.nextRecord
      chain = log.chain = batch.chain
      continue
    }
    if (at >= segment.bytes.length) return { end: at, lastStart: Math.min(lastStart, at), loose: false }
    const proof = findWatermark(segment, at, log.nextRecord)
    if (proof === null && segment.newest) return tornTail(replay, segment, at, lastStart)
    const until = proof?.at ?? segment.bytes.length
    const explained = salvage(replay, segment, at, until, chain)
    if (proof === null)
      return { end: segment.bytes.length, lastStart: segment.bytes.length, loose: !explained }
    if (proof.header.record !== log.nextRecord) lost(replay, segment, at)
    log.nextRecord = proof.header.record
    at = until
    chain = null
  }
}

function tornTail(replay: Replay, segment: SegmentBytes, at: number, lastStart: number): ScanEnd {
  const bytes = segment.bytes.length - at
  replay.findings.push(finding('tornTail', segment.file, at, `${bytes} bytes`))
  return { end: at, lastStart, loose: false }
}

function lost(replay: Replay, segment: SegmentBytes, at: number): void {
  loseRecords(replay)
  replay.findings.push(finding('lostRecords', segment.file, at, ''))
}

interface Batch {
  readonly records: readonly DecodedRecord[]
  readonly end: number
  readonly nextRecord: number
  readonly chain: number
}

/** The whole batch (or cover) at `at`, or null where any part of it is missing or wrong. */
function readBatch(segment: SegmentBytes, at: number, expected: number, known: number | null): Batch | null {
  const first = decodeRecordHeader(segment.bytes, at, segment.salt)
  if (first === null || first.record !== expected) return null
  const bodyEnd = at + RECORD_HEADER_BYTES + first.length
  let end = bodyEnd + RECORD_TRAILER_BYTES
  if (end > segment.bytes.length) return null
  let chain = segment.bytes.readUInt32BE(bodyEnd)
  if (known !== null && crc32(segment.bytes.subarray(at, bodyEnd), known) !== chain) return null
  if (known !== null) assertKnown(segment, at, first.kind)
  const watermark = isWatermark(first.kind) ? watermarkAt(segment, at, first) : null
  if (watermark === null || end + watermark.bytes > segment.bytes.length) return null
  const records: DecodedRecord[] = []
  const batchEnd = end + watermark.bytes
  for (let n = 1; n <= watermark.records; n++) {
    const next = readRecord(segment, end, expected + n, chain)
    if (next === null || next.end > batchEnd) return null
    records.push(next.decoded)
    end = next.end
    chain = next.chain
  }
  if (end !== batchEnd) return null
  return { records, end, nextRecord: expected + 1 + watermark.records, chain }
}

function readRecord(
  segment: SegmentBytes,
  at: number,
  expected: number,
  seed: number,
): { readonly decoded: DecodedRecord; readonly end: number; readonly chain: number } | null {
  const header = decodeRecordHeader(segment.bytes, at, segment.salt)
  if (header === null || header.record !== expected) return null
  const bodyEnd = at + RECORD_HEADER_BYTES + header.length
  const end = bodyEnd + RECORD_TRAILER_BYTES
  if (end > segment.bytes.length) return null
  const chain = segment.bytes.readUInt32BE(bodyEnd)
  if (crc32(segment.bytes.subarray(at, bodyEnd), seed) !== chain) return null
  return { decoded: decodeAt(segment, at, header, seed), end, chain }
}

/** The record's content, whose checksum was right: not to understand it means that a later version wrote it. */
function decodeAt(segment: SegmentBytes, at: number, header: RecordHeader, chain: number): DecodedRecord {
  assertKnown(segment, at, header.kind)
  const body = at + RECORD_HEADER_BYTES
  const payload = segment.bytes.subarray(body, body + header.length)
  const length = RECORD_HEADER_BYTES + header.length + RECORD_TRAILER_BYTES
  const place = { segment: segment.number, offset: at, length, chain }
  const decoded = decodePayload(header.kind, header.group, payload, place)
  if (decoded === null) throw unknownRecord(segment, at, header.kind)
  return decoded
}

function assertKnown(segment: SegmentBytes, at: number, kind: number): void {
  if (recordKind(kind) === null) throw unknownRecord(segment, at, kind)
}

const unknownRecord = (segment: SegmentBytes, at: number, kind: number): UnknownRecordError =>
  new UnknownRecordError(finding('unknownKind', segment.file, at, `record kind ${kind}`))

function watermarkAt(
  segment: SegmentBytes,
  at: number,
  header: RecordHeader,
): ReturnType<typeof decodeWatermark> {
  const body = at + RECORD_HEADER_BYTES
  return decodeWatermark(segment.bytes.subarray(body, body + header.length), header.kind, segment.salt)
}

export interface FoundRecord {
  readonly at: number
  readonly header: RecordHeader
}

/** The first record at or behind `from` that is later than `after`, by its header alone. */
function findRecord(
  segment: SegmentBytes,
  from: number,
  until: number,
  after: number,
  accept: (found: FoundRecord) => boolean,
): FoundRecord | null {
  const { bytes, salt } = segment
  for (let at = from; at < until; at++) {
    // Record numbers are far below 2^48 and the bytes behind the kind are zero: most offsets end here.
    if (bytes[at + 4] !== 0 || bytes[at + 12] === 0 || bytes[at + 13] !== 0) continue
    const header = decodeRecordHeader(bytes, at, salt)
    if (header !== null && header.record > after && accept({ at, header })) return { at, header }
  }
  return null
}

/** The first thing in the segment that is a record of this log. */
export const firstRecordOf = (segment: SegmentBytes): FoundRecord | null =>
  findRecord(segment, SEGMENT_HEADER_BYTES, segment.bytes.length, 0, () => true)

/** A begin or cover record behind the damage at `damage` that names an offset beyond it. */
function findWatermark(segment: SegmentBytes, damage: number, record: number): FoundRecord | null {
  return findRecord(segment, damage + 1, segment.bytes.length, record, ({ at, header }) => {
    if (!isWatermark(header.kind)) return false
    const watermark = watermarkAt(segment, at, header)
    return watermark !== null && watermark.segment === segment.number && watermark.offset > damage
  })
}

/**
 * Reads what can be read between damage and the next record that can be believed. False: it ended among bytes
 * that say nothing.
 */
function salvage(
  replay: Replay,
  segment: SegmentBytes,
  from: number,
  until: number,
  known: number | null,
): boolean {
  const { log } = replay
  // A damaged record leaves two candidates for what the next one continues: what it says, and what it should say.
  let seeds: readonly number[] = known === null ? [] : [known]
  let at = from
  while (at < until) {
    const header = decodeRecordHeader(segment.bytes, at, segment.salt)
    const bodyEnd = at + RECORD_HEADER_BYTES + (header?.length ?? 0)
    const end = bodyEnd + RECORD_TRAILER_BYTES
    if (header === null || header.record < log.nextRecord || end > until) {
      const next = findRecord(segment, at + 1, until, log.nextRecord - 1, () => true)
      if (next === null) return false
      at = next.at
      seeds = [segment.bytes.readUInt32BE(at - RECORD_TRAILER_BYTES)]
      continue
    }
    if (header.record > log.nextRecord) lost(replay, segment, at)
    const stored = segment.bytes.readUInt32BE(bodyEnd)
    const body = segment.bytes.subarray(at, bodyEnd)
    const seed = seeds.find(each => crc32(body, each) === stored)
    takeSalvaged(replay, segment, at, header, seed)
    seeds = seed === undefined && seeds.length > 0 ? [stored, crc32(body, seeds[0])] : [stored]
    log.nextRecord = header.record + 1
    log.chain = stored
    at = end
  }
  return true
}

function takeSalvaged(
  replay: Replay,
  segment: SegmentBytes,
  at: number,
  header: RecordHeader,
  seed: number | undefined,
): void {
  if (isWatermark(header.kind)) {
    if (watermarkAt(segment, at, header) === null) loseRecord(replay, header.kind, 0, segment.file, at)
    return
  }
  if (seed === undefined) {
    if (recordKind(header.kind) === null) throw unknownRecord(segment, at, header.kind)
    loseRecord(replay, header.kind, header.group, segment.file, at)
    return
  }
  replayRecord(replay, decodeAt(segment, at, header, seed))
}
