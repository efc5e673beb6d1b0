import { compareBytes, EMPTY, LIMITS, rangeContains, type Revision } from '@kvorum/model'
import { CorruptRecordError } from './corrupt.js'
import { purgeRow } from './groupRows.js'
import type { Machine } from './machine.js'
import { type Overlay, overlayPut, overlaySnapshot } from './overlay.js'
import { decodeHistory } from './record.js'
import { versionCharge } from './quota.js'
import { createReader } from './reader.js'
import { historyStart, parseHistoryKey, pastKey } from './rowKeys.js'
import type { Step } from './step.js'
import { scanRows } from './view.js'

/**
 * Removes one page of what nobody can read since the last compaction; true: there is more. One at a time per
 * shard. Not part of the replicated state: replicas do it at their own pace, and nothing that is visible at or
 * above the compact revision R depends on it.
 *
 * The history rows say what to remove, no version has to be read:
 *
 *     a change at revision <= R    the version it replaced ended at or below R
 *     a change at revision <  R    its history row, and if it was a deletion its tombstone
 *     a change at revision =  R    stays: a watch may begin at R
 *
 * What is over is counted, each version once: the total decides how much of the quota is free again. Deletions at R
 * count with R although their rows stay: whoever deletes everything at once has room again, without a further write.
 */
export function* compactPhysically(machine: Machine, overlay: Overlay): Step<boolean> {
  if (!beginPage(machine)) return false
  const { target, cursor } = machine.purge
  const { view } = createReader(machine, overlaySnapshot(overlay))
  const scan = { gte: cursor, lt: historyStart(target + 1), reverse: false, values: true }
  const page = (yield* scanRows(view, [
    { ...scan, rowsMax: LIMITS.pageRowsMax, bytesMax: LIMITS.pageBytesMax },
  ]))[0]!
  // A split may have begun the count anew while the page was fetched.
  let { freed } = machine.purge
  const { counted } = machine.purge
  for (const row of page.rows) {
    const at = parseHistoryKey(row.key)
    if (at === null) throw new CorruptRecordError(row.key, 'not a history row')
    if (!rangeContains(machine.range, at.key)) continue
    const { kind, prev, prevBytes } = decodeHistory(machine.checksum, row.key, row.value)
    if (prev !== 0) overlayPut(overlay, { key: pastKey(at.key, prev), value: null })
    machine.counts.compactedVersions += prev !== 0 ? 1 : 0
    const tombstone = kind === 'delete' ? versionCharge(at.key.length, 0) : 0
    if (compareBytes(row.key, counted) >= 0) freed += prevBytes + tombstone
    if (at.revision === target) continue
    if (kind === 'delete') overlayPut(overlay, { key: pastKey(at.key, at.revision), value: null })
    machine.counts.compactedVersions += kind === 'delete' ? 1 : 0
    overlayPut(overlay, { key: row.key, value: null })
  }
  const seen = page.next ?? historyStart(target + 1)
  const further = compareBytes(seen, counted) > 0 ? seen : counted
  machine.purge = { target, cursor: page.next ?? EMPTY, counted: further, freed }
  overlayPut(overlay, purgeRow(machine, machine.purge))
  return hasPhysicalCompaction(machine)
}

/** What the group has to be told once all replicas could know it: the freed bytes of a finished compaction. */
export function reclaimable(machine: Machine): { revision: Revision; bytes: number } | null {
  const { target, freed } = machine.purge
  if (hasPhysicalCompaction(machine) || target <= machine.reclaimed) return null
  return { revision: target, bytes: freed }
}

export const hasPhysicalCompaction = (machine: Machine): boolean =>
  machine.purge.cursor.length > 0 || machine.purge.target < machine.compactRevision

/** An empty cursor: all of the target is done. A newer target also takes what had to stay at the old one. */
function beginPage(machine: Machine): boolean {
  if (!hasPhysicalCompaction(machine)) return false
  const { target, cursor } = machine.purge
  if (target >= machine.compactRevision) return true
  const stayed = historyStart(target)
  const from = cursor.length > 0 && compareBytes(cursor, stayed) < 0 ? cursor : stayed
  machine.purge = { ...machine.purge, target: machine.compactRevision, cursor: from }
  return true
}
