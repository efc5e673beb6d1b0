import type { GroupId, Index, Millis } from '@kvorum/model'
import { overlayBytes, overlayDrop, overlayFreeze } from '@kvorum/machine'
import { purgeLog } from '@kvorum/raft'
import type { Group, Turn } from './state.js'
import { oldestHold } from './tasks.js'

/**
 * The way from the overlay into the store: one large batch at a time, in the background, without sync. The
 * applied index travels in the same batch as the data. Now and then a batch is synced, and only then may the
 * log forget what the store now holds for certain.
 */
export interface Flushing {
  out: {
    readonly id: number
    readonly layer: number
    readonly sync: boolean
    /** Applied index of each group at the batch. */
    readonly applied: ReadonlyMap<GroupId, Index>
    /** Groups that were between two commands, so that the store holds a whole state of them. */
    readonly whole: ReadonlySet<GroupId>
  } | null
  lastAt: Millis
  /** The next batch must be synced (to purge the log, or to finish an installed snapshot). */
  wantSync: boolean
  /** Layers that are in the store, kept until no fetch from before relies on them. */
  readonly stored: { readonly layer: number; readonly fence: number }[]
  /** Applied index that the store holds, per group, as of the last batch; and whether it is a whole state. */
  readonly flushed: Map<GroupId, { readonly applied: Index; readonly whole: boolean }>
  /** Groups that wrote since the last batch. */
  readonly dirty: Set<Group>
  /** Called when a synced batch that began after them is done. */
  afterSync: ((turn: Turn) => void)[]
}

export const createFlushing = (): Flushing => ({
  out: null,
  lastAt: 0,
  wantSync: false,
  stored: [],
  flushed: new Map(),
  dirty: new Set(),
  afterSync: [],
})

export function driveFlush(turn: Turn): void {
  const { state } = turn
  const { flushing, overlay, options } = state
  dropStored(turn)
  if (flushing.out !== null) return
  for (const group of flushing.dirty) if (wantsPurge(turn, group)) flushing.wantSync = true
  const bytes = overlayBytes(overlay)
  const due = turn.now - flushing.lastAt >= options.limits.flushAfterMs
  if (bytes === 0 && !flushing.wantSync) return
  if (!flushing.wantSync && bytes < options.limits.flushBytes && !due) return
  const layer = overlayFreeze(overlay)
  const id = state.nextId++
  const groups = [...flushing.dirty]
  flushing.dirty.clear()
  flushing.out = {
    id,
    layer: layer?.id ?? 0,
    sync: flushing.wantSync,
    applied: new Map(groups.map(group => [group.id, group.machine.applied])),
    whole: new Set(groups.filter(isWhole).map(group => group.id)),
  }
  flushing.lastAt = turn.now
  turn.out.store = { id, writes: layer?.writes ?? [], sync: flushing.wantSync }
  flushing.wantSync = false
  state.counters.flushes++
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
  if (done.sync) {
    const waiting = flushing.afterSync
    flushing.afterSync = []
    for (const act of waiting) act(turn)
  }
  // Applying may have waited for room in the overlay.
  for (const group of state.groups.values()) if (group.raft !== null) turn.touched.add(group)
}

/** Runs `act` once everything that is in the overlay now is on disk. */
export function afterNextSync(turn: Turn, act: (turn: Turn) => void): void {
  const { flushing } = turn.state
  flushing.wantSync = true
  // A batch that is out now does not hold what was written since: wait for the one after it.
  if (flushing.out !== null && flushing.out.sync) {
    flushing.afterSync.push(later => afterNextSync(later, act))
  } else {
    flushing.afterSync.push(act)
  }
}

function dropStored(turn: Turn): void {
  const { flushing, overlay } = turn.state
  if (flushing.stored.length === 0) return
  const oldest = oldestHold(turn)
  while (flushing.stored.length > 0 && flushing.stored[0]!.fence <= oldest) {
    overlayDrop(overlay, flushing.stored.shift()!.layer)
  }
}

/** Enough was applied since the log was purged last to be worth a sync. */
function wantsPurge(turn: Turn, group: Group): boolean {
  const { snapshotEntries, catchUpEntries } = turn.state.options.limits
  const { raft, machine } = group
  if (raft === null || machine.installing || group.quarantined !== null) return false
  return machine.applied - Math.max(raft.base.index + catchUpEntries, group.durableApplied) >= snapshotEntries
}

/** Lets the log forget what the store holds durably, but for a tail that slow followers may still want. */
function purge(turn: Turn, group: Group): void {
  const { raft } = group
  if (raft === null || group.quarantined !== null) return
  const to = Math.min(group.durableApplied, raft.applied) - turn.state.options.limits.catchUpEntries
  if (to <= raft.base.index) return
  purgeLog(raft, to)
  turn.touched.add(group)
  turn.out.purgeLog = true
}
