import type { GroupId, Index, Millis, StoreWrite } from '@kvorum/model'
import { overlayDrop, overlayFreeze } from '@kvorum/machine'
import { purgeLog } from '@kvorum/raft'
import { isCrowded } from './beatOutbox.js'
import { isIdle } from './idle.js'
import { bytesUpTo, countPurged, purgeableByBytes } from './logBytes.js'
import { takeId, type Group, type Turn } from './state.js'
import { oldestHold } from './tasks.js'

/**
 * The way from the overlay into the store: one large batch at a time, in the background, without sync. The
 * applied index travels in the same batch as the data. Now and then a batch is synced, and only then may the
 * log forget what the store now holds for certain.
 */
export interface Flushing {
  /** Batches that are cut and wait for their turn, oldest first. */
  readonly queue: Batch[]
  /** The one that the store is writing. */
  out: Batch | null
  lastAt: Millis
  /** The next batch must be synced (to purge the log, or to finish an installed snapshot). */
  wantSync: boolean
  /** Layers that are in the store, kept until no fetch from before relies on them. */
  readonly stored: { readonly layer: number; readonly fence: number }[]
  /** Applied index that the store holds, per group, as of the last batch; and whether it is a whole state. */
  readonly flushed: Map<GroupId, { readonly applied: Index; readonly whole: boolean }>
  /** Groups that wrote since the last batch. */
  readonly dirty: Set<Group>
  /** Called when the next synced batch is done. */
  afterSync: ((turn: Turn) => void)[]
}

interface Batch {
  readonly id: number
  /** 0: there was nothing to write, only to sync. */
  readonly layer: number
  readonly writes: readonly StoreWrite[]
  readonly sync: boolean
  /** Applied index of each group that wrote, as of this batch. */
  readonly applied: ReadonlyMap<GroupId, Index>
  /** Groups that were between two commands, so that the store holds a whole state of them. */
  readonly whole: ReadonlySet<GroupId>
  readonly afterSync: readonly ((turn: Turn) => void)[]
}

export const createFlushing = (): Flushing => ({
  queue: [],
  out: null,
  lastAt: 0,
  wantSync: false,
  stored: [],
  flushed: new Map(),
  dirty: new Set(),
  afterSync: [],
})

/** Cuts a batch when enough has gathered (so that none takes long to cut), and hands the oldest to the store. */
export function driveFlush(turn: Turn): void {
  const { flushing, overlay, options } = turn.state
  dropStored(turn)
  for (const group of flushing.dirty) if (wantsPurge(turn, group)) flushing.wantSync = true
  if (overlay.activeBytes >= options.limits.flushBytes || flushing.wantSync) cutBatch(turn)
  if (flushing.out !== null) return
  const due = turn.now - flushing.lastAt >= options.limits.flushAfterMs
  if (flushing.queue.length === 0 && due && overlay.activeBytes > 0) cutBatch(turn)
  const next = flushing.queue.shift()
  if (next === undefined) return
  flushing.out = next
  flushing.lastAt = turn.now
  turn.out.store = { id: next.id, writes: next.writes, sync: next.sync }
  turn.state.counters.flushes++
}

function cutBatch(turn: Turn): void {
  const { state } = turn
  const { flushing } = state
  const layer = overlayFreeze(state.overlay)
  const groups = [...flushing.dirty]
  flushing.queue.push({
    id: takeId(state),
    layer: layer?.id ?? 0,
    writes: layer?.writes ?? [],
    sync: flushing.wantSync,
    applied: new Map(groups.map(group => [group.id, group.machine.applied])),
    whole: new Set(groups.filter(isWhole).map(group => group.id)),
    afterSync: flushing.wantSync ? flushing.afterSync : [],
  })
  flushing.dirty.clear()
  if (flushing.wantSync) flushing.afterSync = []
  flushing.wantSync = false
}

/** The store holds a state between two commands, with nothing of a third. */
const isWhole = (group: Group): boolean =>
  !group.machine.installing && (group.machine.shard === null || group.machine.shard.applying === 0)

export function stored(turn: Turn, id: number): void {
  const { state } = turn
  const { flushing } = state
  const done = flushing.out
  if (done === null || done.id !== id) return
  flushing.out = null
  if (done.layer !== 0) flushing.stored.push({ layer: done.layer, fence: state.nextId })
  for (const [groupId, applied] of done.applied) {
    const group = state.groups.get(groupId)
    if (group === undefined) continue
    flushing.flushed.set(groupId, { applied, whole: done.whole.has(groupId) })
    if (!done.sync || group.machine.installing) continue
    group.durableApplied = Math.max(group.durableApplied, applied)
    purge(turn, group)
  }
  for (const act of done.afterSync) act(turn)
}

/** Runs `act` once everything that is in the overlay now is on disk. */
export function afterNextSync(turn: Turn, act: (turn: Turn) => void): void {
  turn.state.flushing.wantSync = true
  turn.state.flushing.afterSync.push(act)
}

function dropStored(turn: Turn): void {
  const { flushing, overlay } = turn.state
  if (flushing.stored.length === 0) return
  const oldest = oldestHold(turn)
  if (flushing.stored[0]!.fence > oldest) return
  while (flushing.stored.length > 0 && flushing.stored[0]!.fence <= oldest) {
    overlayDrop(overlay, flushing.stored.shift()!.layer)
  }
  // Applying may have waited for room in the overlay, and there is some only now.
  const crowded = isCrowded(turn.state)
  for (const group of turn.state.groups.values()) {
    if (group.raft !== null && !(crowded && isIdle(group))) turn.touched.add(group)
  }
}

/** Enough could be purged after a sync to be worth one. */
function wantsPurge(turn: Turn, group: Group): boolean {
  const { snapshotEntries, snapshotBytes } = turn.state.options.limits
  const { raft, machine, logBytes } = group
  if (raft === null || machine.installing || group.quarantined !== null) return false
  const to = purgeableUpTo(turn, group, machine.applied)
  if (to <= raft.base.index) return false
  return (
    to - raft.base.index >= snapshotEntries ||
    bytesUpTo(logBytes, to) - bytesUpTo(logBytes, raft.base.index) >= snapshotBytes
  )
}

/** Lets the log forget what the store holds durably, but for a tail that slow followers may still want. */
function purge(turn: Turn, group: Group): void {
  const { raft } = group
  if (raft === null || group.quarantined !== null) return
  const to = purgeableUpTo(turn, group, Math.min(group.durableApplied, raft.applied))
  if (to <= raft.base.index) return
  purgeLog(raft, to)
  countPurged(group.logBytes, to)
  turn.touched.add(group)
  turn.out.purgeLog = true
}

/** The tail that stays is bounded twice, by entries and by bytes; of what is not in the store all stays. */
function purgeableUpTo(turn: Turn, group: Group, held: Index): Index {
  const { catchUpEntries, catchUpBytes } = turn.state.options.limits
  return Math.min(held, Math.max(held - catchUpEntries, purgeableByBytes(group.logBytes, catchUpBytes)))
}
