import { assert } from '@kvorum/model'
import type { Entry, GroupId, Index } from '@kvorum/model'
import type { DiskOp } from '../disk.js'
import { RECORD_OVERHEAD_BYTES, segmentName } from './format.js'
import { oldestSegment, termOf } from './groupLog.js'
import type { GroupLog } from './groupLog.js'
import { payloadBytes, runsOf } from './items.js'
import type { LogItem } from './items.js'
import { dropRows, rowAt } from './rows.js'
import type { LogState } from './state.js'
import { currentSegment } from './state.js'
import { writeBatch } from './write.js'

/**
 * Getting rid of old segments. Two steps, repeated until there is nothing to do:
 *
 *     move     where more than `pinnedSegmentsMax` old segments are pinned by a few entries of lagging groups: read
 *              the oldest ones, write them again at the end (planMove)
 *     delete   write again at the end whatever else only the doomed segments say (bases, hard states, boot,
 *              peers, admission), sync, and only then remove them (planDelete)
 *
 * Nothing is deleted while a group is corrupt: the damage is the evidence, and it must be found again.
 */
export type PurgeStep =
  | { readonly kind: 'move'; readonly group: GroupId; readonly from: Index; readonly to: Index }
  | { readonly kind: 'delete'; readonly below: number }

/**
 * The state machine and the followers need nothing at or below `index` any more. Known to the disk with the
 * next purge; a restart before that finds the older base.
 */
export function releaseTo(log: LogState, group: GroupId, index: Index): void {
  const found = log.groups.get(group)
  if (found === undefined || found.corrupt !== null || index <= found.base.index) return
  const term = termOf(found, index)
  assert(term !== null, () => `group ${group} cannot release ${index}: its log ends at ${found.last}`)
  found.base = { index, term }
  dropRows(found.rows, index)
}

/** The next step, or null when nothing can be deleted. Changes nothing. */
export function planPurge(log: LogState): PurgeStep | null {
  const current = currentSegment(log)
  const first = log.segments[0]?.number
  if (first === undefined || first === current) return null
  let below = current
  let pinning: GroupLog | null = null
  for (const group of log.groups.values()) {
    if (group.corrupt !== null) return null
    const oldest = oldestSegment(group) ?? current
    if (oldest < below) {
      below = oldest
      pinning = group
    }
  }
  if (below > first) return worthDeleting(log, below) ? { kind: 'delete', below } : null
  return pinning !== null && worthMoving(log) ? moveStep(log, pinning, below) : null
}

/**
 * What only the doomed segments say is written again, so it must be at most half of what goes; with very many
 * groups a single segment may not be worth it. This also makes every purge end.
 */
function worthDeleting(log: LogState, below: number): boolean {
  let freed = 0
  for (const { number, bytes } of log.segments) if (number < below) freed += bytes
  let written = 0
  for (const item of forwardItems(log, below)) written += RECORD_OVERHEAD_BYTES + payloadBytes(item)
  return written * 2 <= freed
}

/**
 * Moving costs as much room as it moves, so at least half of what lies in the segments that are too old must be
 * of no use to anybody. A log that is old because its groups need all of it stays as it is.
 */
function worthMoving(log: LogState): boolean {
  const oldest = currentSegment(log) - log.options.pinnedSegmentsMax
  let total = 0
  for (const { number, bytes } of log.segments) if (number < oldest) total += bytes
  if (total === 0) return false
  let live = 0
  for (const { rows } of log.groups.values())
    for (let at = rows.head; at < rows.tail; at++) if (rows.segment[at]! < oldest) live += rows.length[at]!
  return live * 2 <= total
}

/** The first entries of the group that lie in its oldest segment, as far as one step goes. */
function moveStep(log: LogState, group: GroupLog, segment: number): PurgeStep {
  const { rows } = group
  let from: Index | null = null
  let to: Index = 0
  let bytes = 0
  for (let at = rows.head; at < rows.tail; at++) {
    const row = rowAt(rows, at)
    if (row.segment !== segment || row.last <= group.base.index) {
      if (from !== null) break
      continue
    }
    if (from !== null && bytes + row.length > log.options.moveBytesMax) break
    from ??= Math.max(row.first, group.base.index + 1)
    to = row.last
    bytes += row.length
  }
  assert(from !== null, () => `group ${group.group} has nothing in segment ${segment}`)
  return { kind: 'move', group: group.group, from, to }
}

/** Writes entries again that were read for a 'move' step. Null: the log has gone on, ask for the next step. */
export function planMove(log: LogState, group: GroupId, entries: readonly Entry[]): DiskOp[] | null {
  const found = log.groups.get(group)
  if (found === undefined || found.corrupt !== null) return null
  const live = entries.filter(({ index, term }) => index > found.base.index && termOf(found, index) === term)
  if (live.length === 0) return null
  assert(
    live.at(-1)!.index - live[0]!.index === live.length - 1,
    () => `group ${group}: entries to move have a gap`,
  )
  return writeBatch(log, { items: runsOf('moved', group, live), after: [], removedBelow: null })
}

/** Deletes the segments below `below`, as a 'delete' step said. */
export function planDelete(log: LogState, below: number): DiskOp[] {
  const items = [...forwardItems(log, below)]
  const doomed = log.segments.filter(({ number }) => number < below)
  assert(doomed.length < log.segments.length, () => 'the segment in use cannot be deleted')
  // In any order: the purge record says that none of them is needed, and a restart removes those that are left.
  const after: DiskOp[] = doomed.map(({ number }) => ({ kind: 'remove', file: segmentName(number) }))
  after.push({ kind: 'syncDirectory' })
  return writeBatch(log, { items, after, removedBelow: below })
}

/** What is said below `below` only. */
function* forwardItems(log: LogState, below: number): Generator<LogItem> {
  for (const group of log.groups.values()) yield* forwardGroup(group, below)
  if (log.boot !== null && log.boot.segment < below) yield { kind: 'boot', identity: log.boot.identity }
  for (const { peer, segment } of log.peers.values()) if (segment < below) yield { kind: 'peer', peer }
  if (log.admitted !== null && log.admitted < below) yield { kind: 'admitted' }
  yield { kind: 'purged', below }
}

function* forwardGroup(group: GroupLog, below: number): Generator<LogItem> {
  const { base, hardState, lastTime: time } = group
  if (group.baseSegment < below || group.baseWritten !== base.index)
    yield { kind: 'base', group: group.group, base, keep: true, time }
  if (group.hardStateSegment < below) yield { kind: 'hardState', group: group.group, hardState }
}
