import { assert } from '@kvorum/model'
import type { Entry, GroupId, Index } from '@kvorum/model'
import type { DiskOp } from '../disk.js'
import { segmentName } from './format.js'
import { oldestSegment, termOf } from './groupLog.js'
import type { GroupLog } from './groupLog.js'
import { runsOf } from './items.js'
import type { LogItem } from './items.js'
import { dropRows, rowAt } from './rows.js'
import type { LogState } from './state.js'
import { currentSegment } from './state.js'
import { writeBatch } from './write.js'

/**
 * Getting rid of old segments. Two steps, repeated until there is nothing to do:
 *
 *     move     a group that pins more than `pinnedSegmentsMax` old segments: read its oldest entries, write them
 *              again at the end (planMove)
 *     delete   write again at the end whatever else only the doomed segments say (bases, hard states, boot,
 *              peers, admission), sync, and only then remove them, oldest first (planDelete)
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
  if (pinning !== null && current - below > log.options.pinnedSegmentsMax)
    return moveStep(log, pinning, below)
  return below > first ? { kind: 'delete', below } : null
}

/** The first entries of the group that lie in its oldest segment, as far as one step goes. */
function moveStep(log: LogState, group: GroupLog, segment: number): PurgeStep {
  const { rows } = group
  let from: Index | null = null
  let to: Index = 0
  let bytes = 0
  for (let at = rows.head; at < rows.tail; at++) {
    const row = rowAt(rows, at)
    if (row.segment !== segment) {
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
  const items: LogItem[] = []
  for (const group of log.groups.values()) items.push(...forwardGroup(group, below))
  if (log.boot !== null && log.boot.segment < below) items.push({ kind: 'boot', identity: log.boot.identity })
  for (const { peer, segment } of log.peers.values()) if (segment < below) items.push({ kind: 'peer', peer })
  if (log.admitted !== null && log.admitted < below) items.push({ kind: 'admitted' })
  items.push({ kind: 'purged', below })
  const doomed = log.segments.filter(({ number }) => number < below)
  assert(doomed.length < log.segments.length, () => 'the segment in use cannot be deleted')
  // Each name is made durable before the next goes, so that a crash leaves no gap between segments.
  const after = doomed.flatMap(({ number }): DiskOp[] => [
    { kind: 'remove', file: segmentName(number) },
    { kind: 'syncDirectory' },
  ])
  return writeBatch(log, { items, after, removedBelow: below })
}

function* forwardGroup(group: GroupLog, below: number): Generator<LogItem> {
  const { base, hardState, lastTime: time } = group
  if (group.baseSegment < below || group.baseWritten !== base.index)
    yield { kind: 'base', group: group.group, base, keep: true, time }
  if (group.hardStateSegment < below) yield { kind: 'hardState', group: group.group, hardState }
}
