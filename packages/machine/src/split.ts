import {
  assert,
  compareBytes,
  EMPTY,
  type Epoch,
  type GroupId,
  type Index,
  NO_FENCE,
  NO_GUARD,
  rangeContains,
  refuse,
  type StoreWrite,
  type Term,
} from '@kvorum/model'
import { type Applied, type CommittedEntry, finish, writeRevisions } from './apply.js'
import { addToSum, openEntry, write } from './entryWrites.js'
import { authFenceRow, configRow, guardRow, metaRow, purgeRow, revisionsRow } from './groupRows.js'
import { attachElsewhere } from './leaseEnd.js'
import { createMachine, type Machine } from './machine.js'
import type { Overlay } from './overlay.js'
import { historyStart } from './rowKeys.js'

/**
 * Splitting a shard by one entry of its log. Data rows name no shard, so they stay where they are: only the ranges
 * change, and the right half gets group rows of its own. Both are one step of the overlay, so that a crash finds the
 * shard as it was or both halves, and never a key that is in neither.
 */
export interface SplitAt {
  /** First key of the right half. */
  readonly at: Uint8Array
  readonly right: GroupId
  /** Of both halves. */
  readonly epoch: Epoch
}

/**
 * Where the log of a right half begins: it holds what was applied before, as if by an entry that is gone. A replica
 * that has nothing is behind it, and gets a snapshot.
 */
export const SPLIT_BASE: { readonly index: Index; readonly term: Term } = { index: 1, term: 1 }

/** What only the owner can say of a split. */
export interface SplitOwner {
  /** Why it must not be, by replicated state alone; null: it may. */
  readonly mayNot: string | null
  /** What each half remembers of revisions. */
  readonly left: Uint8Array
  readonly right: Uint8Array
}

export interface SplitApplied {
  readonly applied: Applied
  /** Null: the split was refused, or had been done before. */
  readonly right: Machine | null
}

/** Whether the shard is as the split wants it. A shard that has the split's epoch has been split already. */
export const isSplit = (machine: Machine, { epoch }: SplitAt): boolean => machine.epoch >= epoch

/**
 * Carries out the next entry, a split. What may be asked again later is refused as `shardBusy`.
 */
export function applySplit(
  machine: Machine,
  overlay: Overlay,
  at: Omit<CommittedEntry, 'data'>,
  { at: from, ...halves }: SplitAt,
  owner: SplitOwner,
): SplitApplied {
  // The bytes of the command are not kept.
  const split = { ...halves, at: Buffer.from(from) }
  const entry = openEntry(machine, overlay)
  if (isSplit(machine, split)) return { applied: finish(entry, at, { reply: { kind: 'done' } }), right: null }
  const { start } = machine.range
  if (!rangeContains(machine.range, split.at) || compareBytes(split.at, start) === 0)
    return { applied: finish(entry, at, refuse('splitKeyInvalid')), right: null }
  const busy = owner.mayNot ?? (isCounted(machine) ? null : 'a compaction is not accounted for yet')
  if (busy !== null) return { applied: finish(entry, at, refuse('shardBusy', { detail: busy })), right: null }
  const right = rightHalf(machine, split, owner)
  for (const { key, value } of rowsOf(right)) write(entry, key, value)
  const left = leftPurge(machine)
  const row = purgeRow(machine, left)
  write(entry, row.key, row.value)
  addToSum(entry, split.right)
  if (owner.left.length + machine.revisions.length > 0) writeRevisions(entry, owner.left)
  const half = Math.floor(machine.logicalBytes / 2)
  const keys = Math.floor(machine.keys / 2)
  const learn = attachElsewhere(entry, machine.leases.keys(), [right.range])
  const applied = finish(entry, at, {
    reply: { kind: 'done' },
    commit: () => {
      learn()
      machine.range = { start, end: split.at }
      machine.epoch = split.epoch
      machine.logicalBytes -= half
      machine.keys -= keys
      machine.reclaimedBytes = 0
      machine.purge = left
    },
  })
  return { applied, right }
}

/**
 * Replicas remove compacted rows at their own pace and add up what they remove. The halves begin that sum anew, which
 * is the same on all replicas only where nothing removed has still to be told.
 */
const isCounted = ({ compactRevision, reclaimed }: Machine): boolean => compactRevision === reclaimed

/** What this replica has still to remove was counted before the split. */
function leftPurge({ purge, reclaimed }: Machine): Machine['purge'] {
  const told = reclaimed === 0 ? EMPTY : historyStart(reclaimed + 1)
  const counted = compareBytes(purge.counted, told) > 0 ? purge.counted : told
  return { ...purge, counted, freed: 0 }
}

/**
 * The logical bytes and the number of keys are halved, since nobody has read the keys: their sum stays right, and what
 * either says is only as good as the split key. Leases and sessions stay in their home, which remembers that the right
 * half may have keys of any lease.
 */
function rightHalf(machine: Machine, { at, right, epoch }: SplitAt, owner: SplitOwner): Machine {
  const { checksum, responseBytesMax, longCommand, counts } = machine
  assert(machine.applying === 0, () => 'a shard is split between two commands')
  return {
    ...createMachine({ group: right, checksum, responseBytesMax, longCommand, counts, epoch }),
    range: { start: at, end: machine.range.end },
    applied: SPLIT_BASE.index,
    appliedTerm: SPLIT_BASE.term,
    revision: machine.revision,
    compactRevision: machine.compactRevision,
    authFence: machine.authFence,
    logicalBytes: Math.floor(machine.logicalBytes / 2),
    keys: Math.floor(machine.keys / 2),
    reclaimed: machine.reclaimed,
    guard: machine.guard,
    digest: machine.digest,
    config: machine.config,
    configIndex: SPLIT_BASE.index,
    revisions: owner.right,
    purge: leftPurge(machine),
  }
}

/** All rows of the group itself. */
function* rowsOf(machine: Machine): Generator<StoreWrite> {
  yield metaRow(machine)
  yield configRow(machine)
  yield purgeRow(machine, machine.purge)
  if (machine.revisions.length > 0) yield revisionsRow(machine, machine.revisions).write
  if (machine.authFence !== NO_FENCE) yield authFenceRow(machine, machine.authFence).write
  if (machine.guard !== NO_GUARD) yield guardRow(machine, machine.guard).write
}
