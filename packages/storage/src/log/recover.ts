import { groupId } from '@kvorum/model'
import type { BootIdentity, Entry, GroupId, HardState, Index, LogBase, Millis, Term } from '@kvorum/model'
import type { DiskFile, DiskOp } from '../disk.js'
import { identityOf, onlyUnused, readDirectory, RefusedError } from './directory.js'
import type { Directory, Expected, Segment, Steps } from './directory.js'
import { asBuffer, SEGMENT_HEADER_BYTES, segmentName, segmentSalt } from './format.js'
import type { LogIdentity } from './format.js'
import { missingIn, termRunsOf } from './groupLog.js'
import type { PeerRecord } from './items.js'
import { finding, RECOVERY_TABLE } from './recoveryTable.js'
import type { Finding } from './recoveryTable.js'
import { detachTails, loseRecords } from './replay.js'
import type { Replay } from './replay.js'
import { firstRecordOf, scanSegment, UnknownRecordError } from './scan.js'
import type { ScanEnd, SegmentBytes } from './scan.js'
import { createLog } from './state.js'
import type { LogOptions, LogState } from './state.js'

/** What the log remembered of one group: what raft needs to go on. */
export interface RecoveredGroup {
  readonly group: GroupId
  readonly hardState: HardState
  readonly base: LogBase
  readonly termRuns: readonly { readonly first: Index; readonly term: Term }[]
  readonly lastIndex: Index
  /** Encoded configurations in the log, ascending. */
  readonly configs: readonly { readonly index: Index; readonly data: Uint8Array }[]
  /** The newest entries, without gaps up to `lastIndex`; may be empty. */
  readonly entries: readonly Entry[]
  readonly lastTime: Millis
  /** Why the group neither votes nor answers until its replica is removed; null when all is well. */
  readonly corrupt: string | null
}

export type Recovered =
  | { readonly kind: 'fresh'; readonly repairs: readonly DiskOp[]; readonly findings: readonly Finding[] }
  /** One sentence for the operator. Nothing was changed, nothing may be. */
  | { readonly kind: 'refused'; readonly reason: string; readonly findings: readonly Finding[] }
  | {
      readonly kind: 'recovered'
      readonly log: LogState
      readonly groups: readonly RecoveredGroup[]
      readonly boot: BootIdentity | null
      readonly peers: readonly PeerRecord[]
      readonly admitted: boolean
      /** Records about other members were lost: an old directory of theirs might not be recognised. */
      readonly peersInDoubt: boolean
      /** Records were lost that may have been a group's only ones: an unknown group may be one of these. */
      readonly groupsInDoubt: boolean
      /** To be run before the log is used. A crash among them is recovered from like any other. */
      readonly repairs: readonly DiskOp[]
      readonly findings: readonly Finding[]
    }

export interface RecoverOptions extends Partial<LogOptions> {
  /** Newest entries handed out with each group. */
  readonly cacheBytesMax?: number
}

const CACHE_BYTES_MAX = 1024 * 1024

/** Recovery over a disk that answers at once. */
export function recover(
  files: readonly DiskFile[],
  read: (file: string, offset: number, length: number) => Uint8Array,
  expected: Expected,
  options: RecoverOptions = {},
): Recovered {
  const steps = recoverySteps(files, expected, options)
  let step = steps.next()
  while (step.done !== true) {
    const { file, offset, length } = step.value
    step = steps.next(read(file, offset, length))
  }
  return step.value
}

/** The same over one that takes its time. One segment at a time is in memory. */
export async function recoverAsync(
  files: readonly DiskFile[],
  read: (file: string, offset: number, length: number) => Promise<Uint8Array>,
  expected: Expected,
  options: RecoverOptions = {},
): Promise<Recovered> {
  const steps = recoverySteps(files, expected, options)
  let step = steps.next()
  while (step.done !== true) {
    const { file, offset, length } = step.value
    step = steps.next(await read(file, offset, length))
  }
  return step.value
}

/** Yields what must be read, is told the bytes, returns what was found. */
export function* recoverySteps(
  files: readonly DiskFile[],
  expected: Expected,
  options: RecoverOptions,
): Steps<Recovered> {
  const findings: Finding[] = []
  try {
    const directory = yield* readDirectory(files, findings, options.reserveBytes)
    if (directory.segments.length === 0) return fresh(directory)
    const identity = identityOf(directory.segments, expected)
    if (identity === null) return fresh(yield* onlyUnused(directory))
    return yield* replayAll(directory, identity, options)
  } catch (error) {
    if (!(error instanceof RefusedError) && !(error instanceof UnknownRecordError)) throw error
    const { found, detail } = error.finding
    const reason = `The write-ahead log was not opened: ${RECOVERY_TABLE[found].reason} (${detail}).`
    return { kind: 'refused', reason, findings: [...findings, error.finding] }
  }
}

function fresh({ repairs, findings }: Directory): Recovered {
  if (findings.length === 0) findings.push(finding('emptyDirectory', '', 0, ''))
  return { kind: 'fresh', repairs, findings }
}

function* replayAll(directory: Directory, identity: LogIdentity, options: RecoverOptions): Steps<Recovered> {
  const { cacheBytesMax = CACHE_BYTES_MAX, ...logOptions } = options
  const removals: DiskOp[] = []
  let { segments } = directory
  for (;;) {
    const replay = createReplay(createLog(identity, logOptions), cacheBytesMax)
    replay.log.reserve = directory.reserve
    const end = yield* replaySegments(replay, segments)
    const below = replay.log.purgedBelow
    const needed = segments.filter(({ number }) => number >= below)
    if (needed.length < segments.length && needed.length > 0) {
      // The interrupted purge is finished, and the log is read as it will be afterwards.
      for (const { file } of segments.slice(0, segments.length - needed.length)) {
        removals.push({ kind: 'remove', file })
        directory.findings.push(finding('purgedSegment', file, 0, ''))
      }
      removals.push({ kind: 'syncDirectory' })
      segments = needed
      continue
    }
    if (segments[0]!.number > below) missingStart(replay, segments[0]!.file)
    const { findings } = directory
    findings.push(...replay.findings)
    // What allows the removals is made durable before them.
    return conclude(replay, [...directory.repairs, ...end, ...removals], findings)
  }
}

const createReplay = (log: LogState, cacheBytesMax: number): Replay => ({
  log,
  tails: new Map(),
  cacheBytesMax,
  findings: [],
  allInDoubt: false,
  peersInDoubt: false,
  damaged: new Map(),
})

function missingStart(replay: Replay, file: string): void {
  replay.findings.push(finding('missingSegment', file, 0, 'before the first'))
  loseRecords(replay)
}

/** Reads all segments in order; returns what makes the end of the log ready for writing. */
function* replaySegments(replay: Replay, segments: readonly Segment[]): Steps<DiskOp[]> {
  const { log } = replay
  const repairs: DiskOp[] = []
  let previous: Segment | null = null
  let loose = false
  for (const [at, segment] of segments.entries()) {
    const newest = at === segments.length - 1
    const raw = yield { file: segment.file, offset: 0, length: segment.bytes }
    const bytes = asBuffer(raw)
    const { number, file } = segment
    const content: SegmentBytes = { number, file, bytes, salt: segmentSalt(log.identity, number), newest }
    const follows = previous === null || previous.number + 1 === number
    if (segment.header === null && newest && follows && firstRecordOf(content) === null) {
      replay.findings.push(finding('unusedSegment', file, 0, ''))
      if (loose) abandonEnd(replay, previous!)
      return [...repairs, { kind: 'remove', file }, { kind: 'syncDirectory' }]
    }
    const chain = enterSegment(replay, segment, previous, content)
    const end = scanSegment(replay, content, chain)
    log.segments.push({ number, bytes: end.end })
    loose = end.loose
    if (newest) repairs.push(...secureEnd(content, end))
    detachTails(replay)
    previous = segment
  }
  return repairs
}

/**
 * What the header says about the records before it, against what was found there. Returns the checksum that the
 * first record continues, null where nothing says it.
 */
function enterSegment(
  replay: Replay,
  segment: Segment,
  previous: Segment | null,
  content: SegmentBytes,
): number | null {
  const { log, findings } = replay
  const { header, file, number } = segment
  const missing = previous !== null && previous.number + 1 !== number
  if (missing) findings.push(finding('missingSegment', file, 0, `between ${previous.number} and ${number}`))
  if (missing) loseRecords(replay)
  if (header === null) {
    findings.push(finding('damagedHeader', file, 0, ''))
    if (previous !== null && !missing) return log.chain
    // Nothing says which record should come first: believe the one that does, if it lies where it should.
    const first = firstRecordOf(content)
    if (first?.at === SEGMENT_HEADER_BYTES) log.nextRecord = first.header.record
    else loseRecords(replay)
    return null
  }
  const gap = previous !== null && header.firstRecord !== log.nextRecord
  if (gap && !missing) findings.push(finding('lostRecords', previous.file, 0, 'at its end'))
  if (gap) loseRecords(replay)
  log.nextRecord = header.firstRecord
  log.chain = header.chain
  return header.chain
}

function secureEnd(content: SegmentBytes, end: ScanEnd): DiskOp[] {
  const { file, bytes } = content
  const ops: DiskOp[] = []
  if (end.end < bytes.length) ops.push({ kind: 'truncate', file, length: end.end })
  // The last batch may not be on disk although it can be read: the process may have ended before its sync, or
  // because of it, and after a failed sync the kernel calls pages clean that it never wrote. So it is written
  // again, in the same place.
  const offset = end.lastStart > SEGMENT_HEADER_BYTES ? end.lastStart : 0
  ops.push({ kind: 'write', file, offset, chunks: [Buffer.from(bytes.subarray(offset, end.end))] })
  ops.push({ kind: 'sync', file }, { kind: 'syncDirectory' })
  return ops
}

/**
 * The log ends among unreadable bytes that were synced. It goes on in a new segment whose header leaves room
 * for as many records as may be lost, so that the next start finds them missing as well.
 */
function abandonEnd(replay: Replay, segment: Segment): void {
  const { log } = replay
  replay.findings.push(finding('lostRecords', segment.file, 0, 'at its end'))
  loseRecords(replay)
  log.nextRecord += segment.bytes
  log.segments.at(-1)!.bytes = Math.max(segment.bytes, log.options.segmentBytes)
}

function conclude(replay: Replay, repairs: readonly DiskOp[], findings: Finding[]): Recovered {
  const { log } = replay
  log.covered = false
  const groups: RecoveredGroup[] = []
  for (const group of log.groups.values()) {
    const missing = missingIn(group)
    if (missing !== null) {
      const cause =
        replay.damaged.get(group.group) ??
        (replay.allInDoubt ? 'records were lost that do not say whose' : undefined)
      group.corrupt = cause === undefined ? missing : `${missing}: ${cause}`
      findings.push(finding('incompleteGroup', '', 0, `group ${group.group}: ${group.corrupt}`))
    }
    groups.push(recoveredGroup(replay, group.group))
  }
  if (findings.length === 0)
    findings.push(finding('cleanEnd', segmentName(log.segments.at(-1)!.number), 0, ''))
  return {
    kind: 'recovered',
    log,
    groups: groups.sort((a, b) => a.group - b.group),
    boot: log.boot?.identity ?? null,
    peers: [...log.peers.values()].map(({ peer }) => peer),
    admitted: log.admitted !== null,
    peersInDoubt: replay.peersInDoubt,
    groupsInDoubt: replay.allInDoubt,
    repairs,
    findings,
  }
}

function recoveredGroup(replay: Replay, id: GroupId): RecoveredGroup {
  const group = replay.log.groups.get(groupId(id))!
  const tail = replay.tails.get(id)
  const cache = tail?.cache ?? []
  const usable = group.corrupt === null && cache.at(-1)?.index === group.last
  return {
    group: id,
    hardState: group.hardState,
    base: group.base,
    termRuns: group.corrupt === null ? termRunsOf(group) : [],
    lastIndex: group.last,
    configs: (tail?.configs ?? []).filter(({ index }) => index > group.base.index),
    entries: usable ? cache.filter(({ index }) => index > group.base.index) : [],
    lastTime: group.lastTime,
    corrupt: group.corrupt,
  }
}
