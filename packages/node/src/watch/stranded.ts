import { LIMITS } from '@kvorum/model'
import type { Turn } from '../state.js'
import { addBehind, removeWatcher, syncedWatchers, toldBy, type ShardHub, type Watcher } from './hub.js'
import { headerAt, respond } from './publish.js'
import { groupsFor, hasNoState, hubFor } from './scope.js'

/**
 * Watchers of a hub that is about other shards than there are now, because a replica was replaced by a snapshot from
 * behind a split, has left this node or come to it, or because a shard elsewhere was split. They go on, from what they were told last, at the hub of the right shards, as
 * soon as these are here.
 */
export function strand(turn: Turn, name: string, hub: ShardHub): void {
  const told = toldBy(hub)
  for (const watcher of syncedWatchers(hub)) {
    watcher.next = Math.max(watcher.next, told + 1)
    addBehind(watcher)
  }
  if (hub.remote === null) turn.state.hub.merged.delete(name)
  else turn.state.hub.remote.hubs.delete(name)
  turn.state.hub.stranded.push({ hub, since: turn.now })
}

export function placeStranded(turn: Turn): void {
  const { hub } = turn.state
  for (const { hub: old, since } of hub.stranded) {
    const isOver = turn.now - since > LIMITS.standMsMax
    for (const watcher of [...old.behind]) place(turn, watcher, isOver)
  }
  hub.stranded = hub.stranded.filter(({ hub: old }) => old.behind.size > 0)
}

function place(turn: Turn, watcher: Watcher, isOver: boolean): void {
  const isHere = !hasNoState(turn, watcher.range)
  const found = isHere ? hubFor(turn, groupsFor(turn, watcher.range)) : null
  if (found !== null) {
    watcher.shard.behind.delete(watcher)
    watcher.shard = found
    addBehind(watcher)
  } else if (isHere || isOver) {
    removeWatcher(watcher)
    const header = headerAt(turn, watcher.shard.groups[0], 0)
    const { id, stream } = watcher
    const reason = 'etcdserver: no leader'
    respond(turn, stream, { kind: 'canceled', header, watchId: id, reason, compactRevision: 0 })
  }
}
