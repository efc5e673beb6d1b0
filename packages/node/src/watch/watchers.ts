import {
  isEmptyRange,
  LIMITS,
  passesFence,
  type GroupId,
  type Revision,
  type RevisionEvents,
  type StreamId,
  type WatchCreate,
  type WatchRefusal,
  type WatchRequest,
} from '@kvorum/model'
import { routeRanges } from '@kvorum/placement'
import { readHistory, type Machine } from '@kvorum/machine'
import { isUnchecked } from '../checking.js'
import { shardOfGroup } from '../groupMachine.js'
import { takeReadView } from '../readView.js'
import type { Group, Turn } from '../state.js'
import { runTask } from '../tasks.js'
import {
  addBehind,
  addSynced,
  isSynced,
  removeWatcher,
  syncedWatchers,
  type ShardHub,
  type Stream,
  type Watcher,
} from './hub.js'
import { hasRoom, headerAt, respond, sendEvents } from './publish.js'
import { createRecent, recentFrom } from './recent.js'

/** Revisions in one message of catching up, as in etcd. */
const HISTORY_REVISIONS = 1000

/** In texts that etcd's clients know. */
const REFUSALS = {
  emptyRange: { reason: 'mvcc: watcher range is empty', code: 'malformed' },
  duplicateId: { reason: 'mvcc: duplicate watch ID provided on the WatchStream', code: 'malformed' },
  noLeader: { reason: 'etcdserver: no leader', code: 'noLeader' },
  outdated: {
    reason: 'rpc error: code = InvalidArgument desc = etcdserver: revision of auth store is old',
    code: 'authOutdated',
  },
  tooMany: { reason: 'etcdserver: too many requests', code: 'tooManyRequests' },
  compacted: { reason: 'etcdserver: mvcc: required revision has been compacted', code: 'compacted' },
} as const satisfies Readonly<Record<string, WatchRefusal>>

export function openStream(turn: Turn, id: StreamId): void {
  turn.state.hub.streams.set(id, {
    id,
    watchers: new Map(),
    waiting: [],
    nextWatchId: 0,
    queuedBytes: 0,
    progressAsked: false,
  })
}

export function closeStream(turn: Turn, id: StreamId): void {
  const stream = turn.state.hub.streams.get(id)
  if (stream === undefined) return
  for (const watcher of [...stream.watchers.values()]) removeWatcher(watcher)
  turn.state.hub.streams.delete(id)
}

export function consumed(turn: Turn, id: StreamId, bytes: number): void {
  const stream = turn.state.hub.streams.get(id)
  if (stream !== undefined) stream.queuedBytes = Math.max(0, stream.queuedBytes - bytes)
}

export function receiveWatch(turn: Turn, id: StreamId, request: WatchRequest): void {
  const stream = turn.state.hub.streams.get(id)
  if (stream === undefined) return
  switch (request.kind) {
    case 'create':
      if (mustWait(turn, stream, request.create)) stream.waiting.push(request.create)
      else createWatcher(turn, stream, request.create)
      return
    case 'cancel':
      cancelWatcher(turn, stream, request.watchId, request.reason ?? '')
      return
    case 'progress':
      stream.progressAsked = true
      return
  }
}

function mustWait(turn: Turn, stream: Stream, create: WatchCreate): boolean {
  const { waiting, watchers } = stream
  if (waiting.length + watchers.size >= LIMITS.watchersPerStreamMax) return false
  return waiting.length > 0 || hasNoState(turn, create)
}

/** The replica has no state yet, but will have: refusing would end the watch for good. */
function hasNoState(turn: Turn, create: WatchCreate): boolean {
  const id = groupFor(turn, create)
  const group = id === null ? undefined : turn.state.groups.get(id)
  if (group === undefined || group.quarantined !== null) return false
  if (isUnchecked(group)) return true
  return shardOfGroup(group) === null || group.machine.installing || !turn.state.hub.shards.has(group.id)
}

function createWaiting(turn: Turn, stream: Stream): void {
  const ready = stream.waiting.findIndex(create => hasNoState(turn, create))
  const creates = stream.waiting.splice(0, ready < 0 ? stream.waiting.length : ready)
  for (const create of creates) createWatcher(turn, stream, create)
}

function createWatcher(turn: Turn, stream: Stream, create: WatchCreate): void {
  const hub = hubFor(turn, create)
  const shard = hub === null ? null : shardAt(turn, hub)
  const header = headerAt(turn, hub?.group ?? turn.state.shards.shards[0]!.group, shard?.revision ?? 0)
  const refuse = ({ reason, code }: WatchRefusal, compactRevision: Revision = 0): void =>
    respond(turn, stream, { kind: 'refused', header, watchId: -1, reason, code, compactRevision })
  if (create.refusal !== undefined) return refuse(create.refusal)
  if (isEmptyRange(create.range)) return refuse(REFUSALS.emptyRange)
  if (create.watchId !== 0 && stream.watchers.has(create.watchId)) return refuse(REFUSALS.duplicateId)
  if (hub === null || shard === null) return refuse(REFUSALS.noLeader)
  // The shard knows of newer users and roles than those by which the watch was allowed.
  if (!passesFence(shard.authFence, create.authRevision ?? null)) return refuse(REFUSALS.outdated)
  if (stream.watchers.size >= LIMITS.watchersPerStreamMax) return refuse(REFUSALS.tooMany)
  if (create.startRevision < 0) return refuse(REFUSALS.compacted, shard.compactRevision)
  const watcher: Watcher = {
    id: create.watchId !== 0 ? create.watchId : freeWatchId(stream),
    stream,
    shard: hub,
    range: create.range,
    noPut: create.noPut,
    noDelete: create.noDelete,
    prevKv: create.prevKv,
    fragment: create.fragment,
    progressNotify: create.progressNotify,
    next: create.startRevision === 0 ? shard.revision + 1 : create.startRevision,
    reading: false,
    canceled: false,
    lastSentAt: turn.now,
  }
  stream.watchers.set(watcher.id, watcher)
  respond(turn, stream, { kind: 'created', header, watchId: watcher.id })
  if (watcher.next > shard.revision) addSynced(watcher)
  else addBehind(watcher)
}

function groupFor(turn: Turn, create: WatchCreate): GroupId | null {
  const { shards } = turn.state
  const parts = routeRanges(shards, [create.range])
  return parts.length > 1 ? null : (parts[0]?.shard.group ?? shards.shards[0]!.group)
}

function hubFor(turn: Turn, create: WatchCreate): ShardHub | null {
  const group = groupFor(turn, create)
  return group === null ? null : (turn.state.hub.shards.get(group) ?? null)
}

function shardAt(turn: Turn, hub: ShardHub): Machine | null {
  const group = turn.state.groups.get(hub.group)
  if (group === undefined || group.machine.installing || group.quarantined !== null) return null
  return shardOfGroup(group)
}

function freeWatchId(stream: Stream): number {
  while (stream.watchers.has(stream.nextWatchId)) stream.nextWatchId++
  return stream.nextWatchId++
}

function cancelWatcher(turn: Turn, stream: Stream, watchId: number, reason: string): void {
  const watcher = stream.watchers.get(watchId)
  if (watcher === undefined) return
  removeWatcher(watcher)
  const shard = shardAt(turn, watcher.shard)
  const header = headerAt(turn, watcher.shard.group, shard?.revision ?? 0)
  respond(turn, stream, { kind: 'canceled', header, watchId, reason, compactRevision: 0 })
}

/** Feeds those who are behind, and answers who asked how far they are. Called once a turn. */
export function driveWatchers(turn: Turn): void {
  for (const stream of turn.state.hub.streams.values()) {
    if (stream.waiting.length > 0) createWaiting(turn, stream)
  }
  for (const hub of turn.state.hub.shards.values()) {
    if (hub.behind.size === 0) continue
    const shard = shardAt(turn, hub)
    if (shard === null) continue
    for (const watcher of [...hub.behind]) catchUp(turn, shard, watcher)
  }
  for (const stream of turn.state.hub.streams.values()) if (stream.progressAsked) answerProgress(turn, stream)
}

function catchUp(turn: Turn, shard: Machine, watcher: Watcher): void {
  if (watcher.reading || watcher.canceled || !hasRoom(turn, watcher.stream)) return
  if (watcher.next > shard.revision) {
    addSynced(watcher)
    return
  }
  if (watcher.next < shard.compactRevision) {
    cancelCompacted(turn, watcher, shard.compactRevision)
    return
  }
  const recent = recentFrom(watcher.shard.recent, watcher.next)
  if (recent === null) {
    readBehind(turn, shard, watcher)
    return
  }
  feed(turn, shard, watcher, recent, shard.revision + 1)
  if (watcher.next > shard.revision) addSynced(watcher)
}

/** Sends whole revisions until they are all sent or the stream is full. */
function feed(
  turn: Turn,
  shard: Machine,
  watcher: Watcher,
  list: readonly RevisionEvents[],
  next: Revision,
): void {
  for (const { revision, events } of list) {
    if (revision < watcher.next) continue
    if (!hasRoom(turn, watcher.stream)) {
      watcher.next = revision
      return
    }
    const mine = events.filter(({ kv }) => inRange(watcher, kv.key))
    if (mine.length > 0) sendEvents(turn, watcher, shard.revision, mine)
  }
  watcher.next = next
}

function inRange(watcher: Watcher, key: Uint8Array): boolean {
  const { start, end } = watcher.range
  return Buffer.compare(start, key) <= 0 && (end === null || Buffer.compare(key, end) < 0)
}

function readBehind(turn: Turn, shard: Machine, watcher: Watcher): void {
  const { reader, view } = takeReadView(turn, shard)
  const { pageBytesMax } = turn.state.options.limits
  const bounds = { revisionsMax: HISTORY_REVISIONS, bytesMax: pageBytesMax }
  watcher.reading = true
  runTask(turn, {
    group: watcher.shard.group,
    view,
    step: readHistory(reader, watcher.next, shard.revision, bounds, {
      range: watcher.range,
      prev: watcher.prevKv,
    }),
    done: (later, page) => {
      watcher.reading = false
      if (watcher.canceled) return
      const now = shardAt(later, watcher.shard)
      if (now === null) return
      // Compacted meanwhile: the next look cancels it.
      if (page.ok) feed(later, now, watcher, page.value.events, page.value.next)
      later.out.again = true
    },
    failed: () => {
      watcher.reading = false
    },
    holdsLayers: false,
  })
}

function cancelCompacted(turn: Turn, watcher: Watcher, compactRevision: Revision): void {
  removeWatcher(watcher)
  respond(turn, watcher.stream, {
    kind: 'canceled',
    header: headerAt(turn, watcher.shard.group, 0),
    watchId: watcher.id,
    reason: '',
    compactRevision,
  })
}

function answerProgress(turn: Turn, stream: Stream): void {
  const watchers = [...stream.watchers.values()]
  if (!watchers.every(isSynced)) return
  stream.progressAsked = false
  const group = watchers[0]?.shard.group ?? turn.state.shards.shards[0]!.group
  const hub = turn.state.hub.shards.get(group)
  const shard = hub === undefined ? null : shardAt(turn, hub)
  if (shard === null) return
  const header = headerAt(turn, group, shard.revision)
  respond(turn, stream, { kind: 'progress', header, watchId: -1 })
}

/** Idle watchers that asked for it hear now and then how far they are. Called by the node's housekeeping. */
export function notifyProgress(turn: Turn): void {
  const { progressNotifyMs } = turn.state.options
  for (const stream of turn.state.hub.streams.values()) {
    for (const watcher of stream.watchers.values()) {
      if (!watcher.progressNotify || !isSynced(watcher) || turn.now - watcher.lastSentAt < progressNotifyMs)
        continue
      const shard = shardAt(turn, watcher.shard)
      if (shard === null || watcher.next > shard.revision + 1) continue
      watcher.lastSentAt = turn.now
      const header = headerAt(turn, watcher.shard.group, shard.revision)
      respond(turn, stream, { kind: 'progress', header, watchId: watcher.id })
    }
  }
}

/** The shard's state is about to be replaced: nobody is up to date any more. */
export function suspendWatchers(turn: Turn, group: Group): void {
  const hub = turn.state.hub.shards.get(group.id)
  const shard = shardOfGroup(group)
  if (hub === undefined || shard === null) return
  for (const watcher of syncedWatchers(hub)) {
    watcher.next = Math.max(watcher.next, shard.revision + 1)
    addBehind(watcher)
  }
}

/** The shard has a new state: what happened in between is read from its history. */
export function restartWatchers(turn: Turn, group: Group): void {
  const hub = turn.state.hub.shards.get(group.id)
  const shard = shardOfGroup(group)
  if (hub !== undefined && shard !== null) hub.recent = createRecent(shard.revision)
}
