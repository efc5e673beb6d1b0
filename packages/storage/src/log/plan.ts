import { assert, NO_REPLICA } from '@kvorum/model'
import type { BootIdentity, Entry, GroupId, Index } from '@kvorum/model'
import type { Persist } from '@kvorum/raft'
import type { DiskOp } from '../disk.js'
import type { GroupLog } from './groupLog.js'
import { runsOf } from './items.js'
import type { LogItem, PeerRecord } from './items.js'
import type { LogState } from './state.js'
import { writeBatch, writeCover } from './write.js'

/** Everything that one turn makes durable: one write and one sync for all groups of the store. */
export interface LogBatch {
  readonly groups?: readonly { readonly group: GroupId; readonly persist: Persist }[]
  /** Groups whose replica here is gone; nothing of them is kept. */
  readonly removed?: readonly GroupId[]
  readonly peers?: readonly PeerRecord[]
  /** Once per start: the counter is one more than the last. */
  readonly boot?: BootIdentity | null
  /** True: from now on this directory may vote. There is no way back within an incarnation. */
  readonly admitted?: boolean
}

/**
 * The operations that make `batch` durable. Chunks in them are the log's own until `confirm` or `abandon`, one
 * of which must follow before the next plan. Any failure other than `isNoSpace` ends the log: never confirm it.
 */
export function planBatch(log: LogState, batch: LogBatch): DiskOp[] {
  const items: LogItem[] = []
  if (batch.boot != null) items.push({ kind: 'boot', identity: batch.boot })
  for (const peer of batch.peers ?? []) items.push({ kind: 'peer', peer })
  if (batch.admitted === true) items.push({ kind: 'admitted' })
  const removed = new Set(batch.removed)
  for (const group of removed) items.push({ kind: 'removed', group })
  for (const { group, persist } of batch.groups ?? []) {
    const known = removed.has(group) ? undefined : log.groups.get(group)
    groupItems(items, group, known, persist)
  }
  assertOncePerGroup(batch)
  return writeBatch(log, { items, after: [], removedBelow: null })
}

/** Null while the last batch is covered already. */
export const planCover = (log: LogState): DiskOp[] | null => (log.covered ? null : writeCover(log))

/**
 * In the order reset, entries, hard state. A group's first records say its base and its hard state, also where
 * both are zero: a log whose start is missing can then be told from a new group.
 */
function groupItems(items: LogItem[], group: GroupId, known: GroupLog | undefined, persist: Persist): void {
  assert(known === undefined || known.corrupt === null, () => `group ${group} is corrupt: remove it first`)
  const { reset, entries } = persist
  let last = known?.last ?? 0
  let first = known?.base.index ?? 0
  const time = known?.lastTime ?? 0
  if (reset !== null) {
    const keep = reset.keep && known !== undefined
    items.push({ kind: 'base', group, base: reset.base, keep, time })
    first = reset.base.index
    last = keep ? Math.max(last, first) : first
  } else if (known === undefined) {
    items.push({ kind: 'base', group, base: { index: 0, term: 0 }, keep: false, time })
  }
  if (entries.length > 0) {
    assertContiguous(group, entries, first, last)
    items.push(...runsOf('entries', group, entries))
  }
  const hardState =
    persist.hardState ?? (known === undefined ? { term: 0, vote: NO_REPLICA, commit: 0 } : null)
  if (hardState !== null) items.push({ kind: 'hardState', group, hardState })
}

function assertContiguous(group: GroupId, entries: readonly Entry[], base: Index, last: Index): void {
  const first = entries[0]!.index
  assert(first > base && first <= last + 1, () => `group ${group}: ${first} does not follow ${base}..${last}`)
  entries.forEach(({ index }, at) =>
    assert(index === first + at, () => `group ${group}: ${index} does not follow ${first + at - 1}`),
  )
}

function assertOncePerGroup(batch: LogBatch): void {
  const groups = batch.groups ?? []
  if (groups.length < 2) return
  const distinct = new Set(groups.map(({ group }) => group))
  assert(distinct.size === groups.length, () => 'a group is twice in one batch')
}
