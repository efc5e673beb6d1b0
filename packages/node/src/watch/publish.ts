import {
  rangeContains,
  toKeyString,
  watchResponseBytes,
  type GroupId,
  type Revision,
  type RevisionEvents,
  type WatchEvent,
  type WatchResponse,
} from '@kvorum/model'
import { termOf } from '../membership.js'
import type { Group, Turn } from '../state.js'
import { addBehind, syncedWatchers, viewOf, type ShardHub, type Stream, type Watcher } from './hub.js'
import { isOracleMode } from './leaveDense.js'
import { noteApplied } from './news.js'
import { addRecent, createRecent } from './recent.js'

/**
 * All events of one revision, to everybody who is up to date and wants them. Null: there are more than fit in
 * memory; everybody reads them from the history.
 */
export function publish(turn: Turn, group: Group, revision: Revision, events: RevisionEvents | null): void {
  if (isOracleMode(group)) {
    noteApplied(turn, group, revision, events)
    return
  }
  const hub = turn.state.hub.shards.get(group.id)
  if (hub === undefined) return
  if (events === null) publishLost(hub, revision, revision)
  else publishTo(turn, hub, events)
}

/** The events from `first` to `revision` are in the history only. */
export function publishLost(hub: ShardHub, first: Revision, revision: Revision): void {
  hub.recent = createRecent(revision)
  for (const watcher of syncedWatchers(hub)) {
    watcher.next = Math.max(watcher.next, first)
    addBehind(watcher)
  }
}

export function publishTo(turn: Turn, hub: ShardHub, events: RevisionEvents): void {
  addRecent(hub.recent, events, turn.state.options.limits.recentEventsBytesMax)
  for (const [watcher, list] of wantedOf(hub, events.events)) deliver(turn, watcher, events.revision, list)
}

/**
 * Events of one revision from several shards. Their order is that of the operations, which only the history has: who
 * wants events of more than one shard reads them there.
 */
export function publishParts(
  turn: Turn,
  hub: ShardHub,
  revision: Revision,
  parts: readonly RevisionEvents[],
): void {
  hub.recent = createRecent(revision)
  const wanted = new Map<Watcher, WatchEvent[] | 'several'>()
  for (const { events } of parts) {
    for (const [watcher, list] of wantedOf(hub, events))
      wanted.set(watcher, wanted.has(watcher) ? 'several' : list)
  }
  for (const [watcher, list] of wanted) {
    if (list !== 'several') deliver(turn, watcher, revision, list)
    else if (revision >= watcher.next) {
      watcher.next = revision
      addBehind(watcher)
    }
  }
}

function wantedOf(hub: ShardHub, events: readonly WatchEvent[]): Map<Watcher, WatchEvent[]> {
  const wanted = new Map<Watcher, WatchEvent[]>()
  if (hub.points.size === 0 && hub.ranges.size === 0) return wanted
  for (const event of events) {
    const watchers = hub.points.get(toKeyString(event.kv.key))
    if (watchers !== undefined) for (const watcher of watchers) collect(wanted, watcher, event)
    for (const watcher of hub.ranges) {
      if (rangeContains(watcher.range, event.kv.key)) collect(wanted, watcher, event)
    }
  }
  return wanted
}

function collect(wanted: Map<Watcher, WatchEvent[]>, watcher: Watcher, event: WatchEvent): void {
  const list = wanted.get(watcher)
  if (list === undefined) wanted.set(watcher, [event])
  else list.push(event)
}

function deliver(turn: Turn, watcher: Watcher, revision: Revision, events: readonly WatchEvent[]): void {
  if (revision < watcher.next) return
  if (!hasRoom(turn, watcher.stream)) {
    watcher.next = revision
    addBehind(watcher)
    return
  }
  watcher.next = revision + 1
  sendEvents(turn, watcher, revision, events)
}

export const hasRoom = (turn: Turn, stream: Stream): boolean =>
  stream.queuedBytes < turn.state.options.limits.watchQueueBytesMax

/** Sends what the watcher's filters leave; `revision` is the header's. */
export function sendEvents(
  turn: Turn,
  watcher: Watcher,
  revision: Revision,
  events: readonly WatchEvent[],
): void {
  const seen: WatchEvent[] = []
  for (const event of events) {
    const view = viewOf(watcher, event)
    if (view !== null) seen.push(view)
  }
  if (seen.length === 0) return
  watcher.lastSentAt = turn.now
  watcher.header = Math.max(watcher.header, revision)
  turn.state.counters.watchEvents += seen.length
  respond(turn, watcher.stream, {
    kind: 'events',
    header: headerAt(turn, watcher.shard.groups[0], watcher.header),
    watchId: watcher.id,
    events: seen,
    fragment: watcher.fragment,
  })
}

export function respond(turn: Turn, stream: Stream, response: WatchResponse): void {
  stream.queuedBytes += watchResponseBytes(response)
  turn.out.watch.push({ stream: stream.id, response })
}

export function headerAt(
  turn: Turn,
  id: GroupId | undefined,
  revision: Revision,
): { revision: Revision; term: number } {
  const { state } = turn
  const group = id === undefined ? undefined : state.groups.get(id)
  const term = Math.max(group === undefined ? 0 : termOf(state, group), state.highestTerm)
  state.highestTerm = term
  return { revision, term }
}
