import {
  isPoint,
  toKeyString,
  type GroupId,
  type KeyRange,
  type Millis,
  type Revision,
  type StreamId,
  type WatchCreate,
  type WatchEvent,
} from '@kvorum/model'
import type { Turn } from '../state.js'
import type { Merging } from './merging.js'
import type { ShardNews } from './news.js'
import type { RemoteReading } from './remoteHub.js'
import type { RemoteWatches } from './remoteShards.js'
import { createRecent, type RecentEvents } from './recent.js'

/**
 * Watchers of this node. A watcher is `synced` when everything up to its hub's revision has been sent to it:
 * then it is fed as entries are applied. Otherwise it is `behind`: it is fed from the recent events, or page by
 * page from the store's history, until it has caught up. A slow client's watchers fall behind and catch up
 * later; nothing is queued without bound for it.
 *
 *     apply --> publish --> synced watchers ----> responses
 *                      \--> recent events --> watchers a little behind
 *     store (history rows) ---------------> watchers far behind
 *
 * In dense mode a hub is about one shard, and its revision is the shard's. Where the oracle gives revisions, a hub is
 * about all shards that its watchers' ranges touch, and its revision is what all of them have resolved (merged.ts).
 * Where one of them has no replica here, all is read from the nodes that lead them (remoteHub.ts).
 */
export interface Hub {
  readonly streams: Map<StreamId, Stream>
  /** Of every shard whose state is loaded here; watchers are in it in dense mode. */
  readonly shards: Map<GroupId, ShardHub>
  /** Of shards whose revisions the oracle gives, by the numbers of their groups. */
  readonly merged: Map<string, ShardHub>
  /** What has happened to shards in oracle mode since the merged hubs were told. */
  readonly news: Map<GroupId, ShardNews>
  readonly asking: Asking
  readonly remote: RemoteWatches
  /** Hubs whose watchers have to find another; they are all behind. */
  stranded: { readonly hub: ShardHub; readonly since: Millis }[]
  /** The highest revision that is known here to have been handed out by the oracle. */
  seen: Revision
}

/**
 * What this node asks for its watchers in oracle mode. Of each shard's leader, and of the oracle, one question is under
 * way at a time: what comes up meanwhile is in the next one, so that one round of heartbeats serves many watchers.
 */
export interface Asking {
  /** What each shard's leader was asked to resolve. */
  readonly resolving: Set<GroupId>
  /** An earlier question had no answer: not before this. */
  readonly again: Map<GroupId, Millis>
  /** Who waits for the current revision; null: it was not asked for. */
  current: ((turn: Turn, revision: Revision) => void)[] | null
}

export interface Stream {
  readonly id: StreamId
  readonly watchers: Map<number, Watcher>
  /** Asked for while this replica has no state: it is loading, or being replaced by a snapshot. Oldest first. */
  waiting: WaitingCreate[]
  nextWatchId: number
  /** Sent and not yet taken by the client. */
  queuedBytes: number
  /** The client asked how far it is, and some of its watchers were behind. */
  progressAsked: boolean
  /** In oracle mode: the progress that it is to hear of at least; null: not known yet. */
  progressAt: Revision | null
}

export interface WaitingCreate {
  readonly create: WatchCreate
  /** Why it was cancelled since; null: it was not. */
  canceled: string | null
  /** How often shards elsewhere had been looked at when it came. */
  readonly looks: number
}

export interface ShardHub {
  /** In the order of their keys. */
  groups: readonly GroupId[]
  /** Null in dense mode. */
  merging: Merging | null
  /** Null: all of the shards are here. */
  readonly remote: RemoteReading | null
  recent: RecentEvents
  /** Synced watchers of single keys, by key. */
  readonly points: Map<string, Set<Watcher>>
  /** Synced watchers of ranges. */
  readonly ranges: Set<Watcher>
  readonly behind: Set<Watcher>
}

export interface Watcher {
  readonly id: number
  readonly stream: Stream
  shard: ShardHub
  readonly range: KeyRange
  readonly noPut: boolean
  readonly noDelete: boolean
  readonly prevKv: boolean
  readonly fragment: boolean
  readonly progressNotify: boolean
  /** Nothing below this revision is sent (any more); of a synced watcher it may lie behind. */
  next: Revision
  /** A page of history is being read for it. */
  reading: boolean
  canceled: boolean
  /** The highest revision that a header has told it: at another hub, which is not as far, they do not go back. */
  header: Revision
  lastSentAt: Millis
}

export const createHub = (): Hub => ({
  streams: new Map(),
  shards: new Map(),
  merged: new Map(),
  news: new Map(),
  stranded: [],
  remote: { shards: new Map(), hubs: new Map(), looks: 0, hasNews: false },
  asking: { resolving: new Set(), again: new Map(), current: null },
  seen: 0,
})

export const createShardHub = (
  groups: readonly GroupId[],
  revision: Revision,
  merging: Merging | null = null,
  remote: RemoteReading | null = null,
): ShardHub => ({
  groups,
  merging,
  remote,
  recent: createRecent(revision),
  points: new Map(),
  ranges: new Set(),
  behind: new Set(),
})

export function addSynced(watcher: Watcher): void {
  const { shard } = watcher
  shard.behind.delete(watcher)
  if (!isPoint(watcher.range)) {
    shard.ranges.add(watcher)
    return
  }
  const key = toKeyString(watcher.range.start)
  const watchers = shard.points.get(key)
  if (watchers === undefined) shard.points.set(key, new Set([watcher]))
  else watchers.add(watcher)
}

export function addBehind(watcher: Watcher): void {
  removeSynced(watcher)
  watcher.shard.behind.add(watcher)
}

function removeSynced(watcher: Watcher): void {
  const { shard } = watcher
  if (!isPoint(watcher.range)) {
    shard.ranges.delete(watcher)
    return
  }
  const key = toKeyString(watcher.range.start)
  const watchers = shard.points.get(key)
  if (watchers === undefined) return
  watchers.delete(watcher)
  if (watchers.size === 0) shard.points.delete(key)
}

/** Takes a watcher out of everything. */
export function removeWatcher(watcher: Watcher): void {
  watcher.canceled = true
  watcher.stream.watchers.delete(watcher.id)
  watcher.shard.behind.delete(watcher)
  removeSynced(watcher)
}

export const syncedWatchers = (shard: ShardHub): Watcher[] => [
  ...shard.ranges,
  ...[...shard.points.values()].flatMap(watchers => [...watchers]),
]

/** Of a merged hub: everything at or below this was told to its watchers. */
export const toldBy = ({ merging, remote }: Pick<ShardHub, 'merging' | 'remote'>): Revision =>
  remote === null ? (merging?.watch.emitted ?? 0) : (remote.told ?? 0)

export const isUnused = ({ points, ranges, behind }: ShardHub): boolean =>
  points.size === 0 && ranges.size === 0 && behind.size === 0

export const isSynced = (watcher: Watcher): boolean => !watcher.shard.behind.has(watcher)

/** What of an event the watcher wants to see; null: nothing. */
export function viewOf(watcher: Watcher, event: WatchEvent): WatchEvent | null {
  if (event.kind === 'put' ? watcher.noPut : watcher.noDelete) return null
  return watcher.prevKv || event.prev === null ? event : { ...event, prev: null }
}
