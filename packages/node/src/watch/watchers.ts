import {
  isEmptyRange,
  LIMITS,
  passesFence,
  type Revision,
  type StreamId,
  type WatchCreate,
  type WatchRefusal,
  type WatchRequest,
} from '@kvorum/model'
import { shardOfGroup } from '../groupMachine.js'
import type { Group, Turn } from '../state.js'
import { cancelCompacted, catchUp } from './catchUp.js'
import {
  addBehind,
  addSynced,
  createShardHub,
  isUnused,
  removeWatcher,
  syncedWatchers,
  type ShardHub,
  type Stream,
  type WaitingCreate,
  type Watcher,
} from './hub.js'
import { shardsOf, type HubShards } from './hubState.js'
import { driveMerged, restartMerged } from './merged.js'
import { groupsFor, hasNoState, hubFor } from './scope.js'
import { answerProgress, askProgress } from './progress.js'
import { headerAt, respond } from './publish.js'
import { createRecent } from './recent.js'
import { areHeard, heardOf, isRemote, passesFences } from './remoteHub.js'

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
    progressAt: null,
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
      if (mustWait(turn, stream, request.create)) {
        const { looks } = turn.state.hub.remote
        stream.waiting.push({ create: request.create, canceled: null, looks })
      } else createWatcher(turn, stream, request.create)
      return
    case 'cancel':
      cancelWatcher(turn, stream, request.watchId, request.reason ?? '')
      return
    case 'progress':
      askProgress(turn, stream)
      return
  }
}

function mustWait(turn: Turn, stream: Stream, create: WatchCreate): boolean {
  const { waiting, watchers } = stream
  if (waiting.length + watchers.size >= LIMITS.watchersPerStreamMax) return false
  return waiting.length > 0 || hasNoState(turn, create.range) || isRemote(turn, groupsFor(turn, create.range))
}

function createWaiting(turn: Turn, stream: Stream): void {
  const unready = stream.waiting.findIndex(each => !isReady(turn, each))
  const ready = stream.waiting.splice(0, unready < 0 ? stream.waiting.length : unready)
  for (const { create, canceled } of ready)
    if (canceled === null || create.refusal !== undefined) createWatcher(turn, stream, create)
    else createdAndCanceled(turn, stream, create, canceled)
}

/** Both are said in its turn: answers to what one stream asks for come in the order of the questions. */
function createdAndCanceled(turn: Turn, stream: Stream, create: WatchCreate, reason: string): void {
  const { watchId } = create
  const header = headerAt(turn, groupsFor(turn, create.range)[0], turn.state.hub.seen)
  respond(turn, stream, { kind: 'created', header, watchId })
  respond(turn, stream, { kind: 'canceled', header, watchId, reason, compactRevision: 0 })
}

function isReady(turn: Turn, { create, canceled, looks }: WaitingCreate): boolean {
  if (canceled !== null) return true
  if (hasNoState(turn, create.range)) return false
  const groups = groupsFor(turn, create.range)
  return !isRemote(turn, groups) || areHeard(turn, groups, looks)
}

function createWatcher(turn: Turn, stream: Stream, create: WatchCreate): void {
  const groups = groupsFor(turn, create.range)
  const hub = hubFor(turn, groups)
  const shards = hub === null ? null : shardsOf(turn, hub)
  const now = hub === null || shards === null ? 0 : revisionNow(turn, hub, shards)
  const header = headerAt(turn, groups[0], now)
  const areAllowed = (one: ShardHub): boolean => one.remote === null || passesFences(turn, groups, create)
  const refuse = ({ reason, code }: WatchRefusal, compactRevision: Revision = 0): void =>
    respond(turn, stream, { kind: 'refused', header, watchId: -1, reason, code, compactRevision })
  if (create.refusal !== undefined) return refuse(create.refusal)
  if (isEmptyRange(create.range)) return refuse(REFUSALS.emptyRange)
  if (create.watchId !== 0 && stream.watchers.has(create.watchId)) return refuse(REFUSALS.duplicateId)
  if (hub === null || shards === null) return refuse(REFUSALS.noLeader)
  // A shard knows of newer users and roles than those by which the watch was allowed.
  const fences = shards.machines.map(({ authFence }) => authFence)
  if (!fences.every(fence => passesFence(fence, create.authRevision ?? null)) || !areAllowed(hub))
    return refuse(REFUSALS.outdated)
  if (stream.watchers.size >= LIMITS.watchersPerStreamMax) return refuse(REFUSALS.tooMany)
  if (create.startRevision < 0) return refuse(REFUSALS.compacted, shards.compactRevision)
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
    next: create.startRevision === 0 ? now + 1 : create.startRevision,
    header: 0,
    reading: false,
    canceled: false,
    lastSentAt: turn.now,
  }
  stream.watchers.set(watcher.id, watcher)
  respond(turn, stream, { kind: 'created', header, watchId: watcher.id })
  // How far a merged hub is says nothing about what is compacted: it may have begun just now.
  if (hub.merging !== null && watcher.next < shards.compactRevision)
    cancelCompacted(turn, watcher, shards.compactRevision)
  else if (watcher.next > shards.revision) addSynced(watcher)
  else addBehind(watcher)
}

/**
 * What a watch from now on begins behind. In oracle mode that is everything known to have been handed out: what is
 * written from now on comes behind it.
 */
function revisionNow(
  turn: Turn,
  hub: ShardHub,
  { machines, revision, compactRevision }: HubShards,
): Revision {
  if (hub.merging === null) return revision
  if (hub.remote !== null)
    return Math.max(turn.state.hub.seen, revision, compactRevision, heardOf(hub.remote))
  return Math.max(
    turn.state.hub.seen,
    revision,
    compactRevision,
    ...machines.map(machine => machine.revision),
  )
}

function freeWatchId(stream: Stream): number {
  while (stream.watchers.has(stream.nextWatchId)) stream.nextWatchId++
  return stream.nextWatchId++
}

function cancelWatcher(turn: Turn, stream: Stream, watchId: number, reason: string): void {
  const watcher = stream.watchers.get(watchId)
  if (watcher === undefined) {
    // A client that gave the id knows it before it is told that the watch is there.
    const waiting = stream.waiting.find(each => watchId !== 0 && each.create.watchId === watchId)
    if (waiting !== undefined) waiting.canceled ??= reason
    return
  }
  removeWatcher(watcher)
  const shards = shardsOf(turn, watcher.shard)
  const header = headerAt(turn, watcher.shard.groups[0], shards?.revision ?? 0)
  respond(turn, stream, { kind: 'canceled', header, watchId, reason, compactRevision: 0 })
}

/** Feeds those who are behind, and answers who asked how far they are. Called once a turn. */
export function driveWatchers(turn: Turn): void {
  const { streams, shards, merged, stranded, remote } = turn.state.hub
  for (const stream of streams.values()) if (stream.waiting.length > 0) createWaiting(turn, stream)
  if (merged.size > 0 || stranded.length > 0 || remote.shards.size > 0) driveMerged(turn)
  if (streams.size > 0) for (const hub of shards.values()) feedBehind(turn, hub)
  for (const hub of merged.values()) feedBehind(turn, hub)
  for (const hub of remote.hubs.values()) feedBehind(turn, hub)
  // What is to be watched and waits may begin far behind.
  for (const stream of streams.values())
    if (stream.progressAsked && stream.waiting.length === 0) answerProgress(turn, stream)
}

function feedBehind(turn: Turn, hub: ShardHub): void {
  if (hub.behind.size === 0) return
  const shards = shardsOf(turn, hub)
  if (shards === null) return
  for (const watcher of [...hub.behind]) catchUp(turn, shards, watcher)
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

/** The replica has left this node: who watches it goes on with the shard where it is. */
export function leaveWatchers(turn: Turn, { id }: Group): void {
  const { hub } = turn.state
  const dense = hub.shards.get(id)
  if (dense === undefined || isUnused(dense)) return
  hub.stranded.push({ hub: dense, since: turn.now })
  hub.shards.set(id, createShardHub([id], 0))
}

/** The shard has a new state: what happened in between is read from its history. */
export function restartWatchers(turn: Turn, group: Group): void {
  const hub = turn.state.hub.shards.get(group.id)
  const shard = shardOfGroup(group)
  if (hub === undefined || shard === null) return
  hub.recent = createRecent(shard.revision)
  restartMerged(turn, group)
}
