import { LIMITS, unreachable } from '@kvorum/model'
import type { BootIdentity, GroupId, HardState, LogBase, Millis, NodeId } from '@kvorum/model'
import type { DiskOp } from '../disk.js'
import type { LogIdentity } from './format.js'
import { appendRun, createGroupLog, moveRun, setBase, setHardState } from './groupLog.js'
import type { GroupLog } from './groupLog.js'
import type { PeerRecord } from './items.js'
import type { Row } from './rows.js'

/** What is on disk, known without reading it again; and the one write that is under way. */
export interface LogState {
  readonly identity: LogIdentity
  readonly options: LogOptions
  /** Ascending without gaps; the last one is written to. Empty before the first batch. */
  segments: { readonly number: number; bytes: number }[]
  /** Number of the next record, and the checksum that it continues. */
  nextRecord: number
  chain: number
  /** A later record names an offset beyond the last batch: the log may idle. */
  covered: boolean
  /** What the newest purge record says; 1 before the first. */
  purgedBelow: number
  readonly groups: Map<GroupId, GroupLog>
  boot: { readonly identity: BootIdentity; readonly segment: number } | null
  readonly peers: Map<NodeId, { readonly peer: PeerRecord; readonly segment: number }>
  /** Segment of the record that says so; null: not admitted. */
  admitted: number | null
  /** The reserve file is there, at full size. */
  reserve: boolean
  planned: Planned | null
  /** What an abandoned plan may have left behind; goes first in the next plan. */
  cleanup: readonly DiskOp[]
  scratch: Buffer
}

export interface LogOptions {
  /** A segment that a batch would push beyond this is closed. A larger batch gets a segment of its own. */
  readonly segmentBytes: number
  readonly reserveBytes: number
  /** Old segments that lagging groups may pin before their entries are written again further on. */
  readonly pinnedSegmentsMax: number
  /** Entry bytes written again in one step; more wait for the next step. */
  readonly moveBytesMax: number
}

export const LOG_OPTIONS: LogOptions = {
  segmentBytes: LIMITS.segmentBytes,
  reserveBytes: LIMITS.reserveBytes,
  pinnedSegmentsMax: 4,
  moveBytesMax: 8 * 1024 * 1024,
}

/** What becomes true of the log when the planned operations have all succeeded. */
export interface Planned {
  readonly effects: readonly LogEffect[]
  readonly roll: { readonly number: number; readonly bytes: number } | null
  readonly end: { readonly bytes: number; readonly nextRecord: number; readonly chain: number } | null
  readonly covered: boolean
  /** Segments below this were removed. */
  readonly removedBelow: number | null
  readonly reserve: boolean | null
  readonly cleanup: readonly DiskOp[]
}

/** One record as it changes the state: the same for a batch that became durable and for one read at the start. */
export type LogEffect =
  | {
      readonly kind: 'hardState'
      readonly group: GroupId
      readonly hardState: HardState
      readonly segment: number
    }
  | {
      readonly kind: 'entries' | 'moved'
      readonly group: GroupId
      readonly row: Row
      readonly time: Millis
    }
  | {
      readonly kind: 'base'
      readonly group: GroupId
      readonly base: LogBase
      readonly keep: boolean
      readonly time: Millis
      readonly segment: number
    }
  | { readonly kind: 'removed'; readonly group: GroupId }
  | { readonly kind: 'boot'; readonly identity: BootIdentity; readonly segment: number }
  | { readonly kind: 'peer'; readonly peer: PeerRecord; readonly segment: number }
  | { readonly kind: 'admitted'; readonly segment: number }
  | { readonly kind: 'purged'; readonly below: number }

/** The log of a new directory. Nothing exists on disk until the first batch. */
export function createLog(identity: LogIdentity, options: Partial<LogOptions> = {}): LogState {
  return {
    identity,
    options: { ...LOG_OPTIONS, ...options },
    segments: [],
    nextRecord: 1,
    chain: 0,
    covered: true,
    purgedBelow: 1,
    groups: new Map(),
    boot: null,
    peers: new Map(),
    admitted: null,
    reserve: false,
    planned: null,
    cleanup: [],
    scratch: Buffer.alloc(0),
  }
}

export function applyEffect(log: LogState, effect: LogEffect): void {
  switch (effect.kind) {
    case 'hardState':
      setHardState(groupOf(log, effect.group), effect.hardState, effect.segment)
      return
    case 'entries':
      appendRun(groupOf(log, effect.group), effect.row, effect.time)
      return
    case 'moved':
      moveRun(groupOf(log, effect.group), effect.row, effect.time)
      return
    case 'base':
      setBase(groupOf(log, effect.group), effect.base, effect.keep, effect.time, effect.segment)
      return
    case 'removed':
      log.groups.delete(effect.group)
      return
    case 'boot':
      log.boot = effect
      return
    case 'peer':
      log.peers.set(effect.peer.node, effect)
      return
    case 'admitted':
      log.admitted = effect.segment
      return
    case 'purged':
      log.purgedBelow = Math.max(log.purgedBelow, effect.below)
      return
    default:
      unreachable(effect)
  }
}

export function groupOf(log: LogState, group: GroupId): GroupLog {
  let found = log.groups.get(group)
  if (found === undefined) log.groups.set(group, (found = createGroupLog(group)))
  return found
}

/** The segment that is written to. */
export const currentSegment = (log: LogState): number => log.segments.at(-1)?.number ?? 0

/** Bytes of all segments. */
export const logBytes = (log: LogState): number =>
  log.segments.reduce((sum, { bytes }) => sum + bytes, log.reserve ? log.options.reserveBytes : 0)
