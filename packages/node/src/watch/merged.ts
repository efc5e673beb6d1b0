import type { Epoch, GroupId, Index, RevisionEvents } from '@kvorum/model'
import { resolvedByLog, type Advance } from '@kvorum/placement'
import type { Group, Turn } from '../state.js'
import { askLeaders } from './asking.js'
import { isUnused, type ShardHub } from './hub.js'
import { shardsOf } from './hubState.js'
import { isOracleMode, leaveDense, nameOf } from './leaveDense.js'
import { advanceMerging, loseEvents, splitMerging, takeMerged, type Merging } from './merging.js'
import type { ShardNews } from './news.js'
import { driveRemote, outdatedRemotes } from './remoteHub.js'
import { placeStranded, strand } from './stranded.js'
import { publishLost, publishParts, publishTo } from './publish.js'

/**
 * Hubs of shards whose revisions the oracle gives. Watchers whose ranges touch the same shards share one.
 *
 *     apply ----------> news of each shard --\
 *     leaders' promises --------------------> merging of each hub --> whole revisions, in order --> watchers
 *            ^                                     |
 *            +------------- resolve <--------------+  what an event showed, the others are to resolve as well
 *
 * What a shard's log itself says about its events needs no promise, so a watch of one shard asks only for its progress.
 * A promise waits at its hub until this node's replica has applied its index, so a replica that lags behind delays
 * and leaves nothing out.
 */

/** The shard has a new state: what happened in between is in its history. */
export function restartMerged(turn: Turn, group: Group): void {
  if (!isOracleMode(group)) return
  leaveDense(turn, group)
  // It may have been split meanwhile: whoever watched it is brought to the hub of the shards there are now.
  for (const [name, one] of turn.state.hub.merged) if (one.groups.includes(group.id)) strand(turn, name, one)
}

/**
 * The entry at `index` has split the shard here; the right half is loaded. To be called before anything behind the
 * entry is published: what was promised for its index speaks of the left half only.
 */
export function splitMerged(
  turn: Turn,
  split: { readonly group: GroupId; readonly index: Index; readonly epoch: Epoch; readonly right: GroupId },
): void {
  const { hub, groups: here } = turn.state
  leaveDense(turn, here.get(split.group)!)
  tellHubs(turn, new Map([[split.group, split.index - 1]]))
  for (const [name, old] of [...hub.merged]) {
    if (old.merging === null || !old.groups.includes(split.group)) continue
    const groups = old.groups.flatMap(id => (id === split.group ? [id, split.right] : [id]))
    splitMerging(old.merging, split)
    // Where a snapshot was faster than the split, the right half has written more than is known of it here.
    loseEvents(old.merging, here.get(split.right)?.machine.shard?.revision ?? 0)
    old.groups = groups
    hub.merged.delete(name)
    hub.merged.set(nameOf(groups), old)
  }
}

/** Tells the hubs what is new, their watchers what may be told, and asks for more. Called once a turn. */
export function driveMerged(turn: Turn): void {
  const { hub } = turn.state
  for (const [name, one] of hub.merged) {
    if (isUnused(one)) hub.merged.delete(name)
    else if (!one.groups.every(id => turn.state.groups.has(id))) strand(turn, name, one)
  }
  for (const [name, one] of outdatedRemotes(turn)) strand(turn, name, one)
  placeStranded(turn)
  tellHubs(turn, new Map())
  askLeaders(turn)
  driveRemote(turn)
}

function tellHubs(turn: Turn, upTo: ReadonlyMap<GroupId, Index>): void {
  const { hub } = turn.state
  for (const one of hub.merged.values()) if (one.merging !== null) tellHub(turn, one, one.merging, upTo)
  hub.news.clear()
}

function tellHub(turn: Turn, hub: ShardHub, merging: Merging, upTo: ReadonlyMap<GroupId, Index>): void {
  const advances = new Map<GroupId, Advance<RevisionEvents>>()
  for (const { group, stream } of merging.watch.streams) {
    const news = turn.state.hub.news.get(group)
    const index = upTo.get(group) ?? appliedOf(turn, group)
    if (index <= stream.applied && news === undefined) continue
    const promised = [...(news?.promised ?? []), ...knownByLog(turn, group, upTo)]
    advances.set(group, {
      index: Math.max(index, stream.applied),
      events: news?.events ?? [],
      // One that was given behind a split, and comes before the split is applied here, is dropped with the old epoch.
      promised: promised.map(one => ({ ...one, epoch: stream.epoch })),
    })
    loseEvents(merging, news?.lostUpTo ?? 0)
  }
  if (advances.size > 0) advanceMerging(merging, advances, turn.state.options.limits.recentEventsBytesMax)
  // A compaction may have come from far ahead of what this hub's shards have seen: they are asked to follow.
  const compacted = shardsOf(turn, hub)?.compactRevision ?? 0
  merging.wanted = Math.max(merging.wanted, compacted)
  tellWatchers(turn, hub, merging)
}

/** What this replica has resolved by what it has applied; nothing while that is not all that counts. */
function knownByLog({ state }: Turn, id: GroupId, upTo: ReadonlyMap<GroupId, Index>): ShardNews['promised'] {
  const machine = state.groups.get(id)?.machine
  if (machine === undefined || machine.shard === null || machine.installing || upTo.has(id)) return []
  const revision = resolvedByLog(machine.revisions.transactions, machine.shard.revision)
  return [{ revision, index: machine.applied }]
}

/** While the state is being replaced, nothing of it counts. */
function appliedOf({ state }: Turn, id: GroupId): Index {
  const machine = state.groups.get(id)?.machine
  return machine === undefined || machine.installing ? 0 : machine.applied
}

function tellWatchers(turn: Turn, hub: ShardHub, merging: Merging): void {
  const merged = takeMerged(merging)
  if (merged === null) return
  if (merged.kind === 'lost') {
    publishLost(hub, merged.after + 1, merging.watch.emitted)
    return
  }
  for (const { revision, events } of merged.revisions) {
    const [only, ...others] = events
    if (only !== undefined && others.length === 0) publishTo(turn, hub, only)
    else publishParts(turn, hub, revision, events)
  }
}
