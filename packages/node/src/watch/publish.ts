import {
  rangeContains,
  toKeyString,
  watchResponseBytes,
  type Revision,
  type RevisionEvents,
  type WatchEvent,
  type WatchResponse,
} from '@kvorum/model'
import type { Group, Turn } from '../state.js'
import { addBehind, syncedWatchers, viewOf, type Stream, type Watcher } from './hub.js'
import { addRecent, createRecent } from './recent.js'

/**
 * All events of one revision, to everybody who is up to date and wants them. Null: there are more than fit in
 * memory; everybody reads them from the history.
 */
export function publish(turn: Turn, group: Group, revision: Revision, events: RevisionEvents | null): void {
  const hub = turn.state.hub.shards.get(group.id)
  if (hub === undefined) return
  if (events === null) {
    hub.recent = createRecent(revision)
    for (const watcher of syncedWatchers(hub)) {
      watcher.next = Math.max(watcher.next, revision)
      addBehind(watcher)
    }
    return
  }
  addRecent(hub.recent, events, turn.state.options.limits.recentEventsBytesMax)
  if (hub.points.size === 0 && hub.ranges.size === 0) return
  const wanted = new Map<Watcher, WatchEvent[]>()
  for (const event of events.events) {
    const watchers = hub.points.get(toKeyString(event.kv.key))
    if (watchers !== undefined) for (const watcher of watchers) collect(wanted, watcher, event)
    for (const watcher of hub.ranges) {
      if (rangeContains(watcher.range, event.kv.key)) collect(wanted, watcher, event)
    }
  }
  for (const [watcher, list] of wanted) deliver(turn, watcher, events.revision, list)
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
  turn.state.counters.watchEvents += seen.length
  respond(turn, watcher.stream, {
    kind: 'events',
    header: headerAt(turn, watcher.shard.group, revision),
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
  group: Group['id'],
  revision: Revision,
): { revision: Revision; term: number } {
  const term = Math.max(turn.state.groups.get(group)?.raft?.term ?? 0, turn.state.highestTerm)
  turn.state.highestTerm = term
  return { revision, term }
}
