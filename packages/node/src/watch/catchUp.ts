import type { Revision, RevisionEvents } from '@kvorum/model'
import { readHistory } from '@kvorum/machine'
import type { Turn } from '../state.js'
import { runTask } from '../tasks.js'
import { addSynced, removeWatcher, type Watcher } from './hub.js'
import { shardsOf, takeHubView, type HubShards } from './hubState.js'
import { hasRoom, headerAt, respond, sendEvents } from './publish.js'
import type { RemoteReading } from './remoteHub.js'
import { readRemote } from './remoteHistory.js'
import { recentFrom } from './recent.js'

/** Revisions in one message of catching up, as in etcd. */
const HISTORY_REVISIONS = 1000

/** Sends a watcher what it has not seen, as far as its stream has room. */
export function catchUp(turn: Turn, shards: HubShards, watcher: Watcher): void {
  if (watcher.reading || watcher.canceled || !hasRoom(turn, watcher.stream)) return
  if (watcher.next > shards.revision) {
    addSynced(watcher)
    return
  }
  if (watcher.next < shards.compactRevision) {
    cancelCompacted(turn, watcher, shards.compactRevision)
    return
  }
  const recent = recentFrom(watcher.shard.recent, watcher.next)
  if (recent === null) {
    readBehind(turn, shards, watcher)
    return
  }
  feed(turn, shards, watcher, recent, shards.revision + 1)
  if (watcher.next > shards.revision) addSynced(watcher)
}

/** Sends whole revisions until they are all sent or the stream is full. */
function feed(
  turn: Turn,
  shards: HubShards,
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
    const wanted = events.filter(({ kv }) => inRange(watcher, kv.key))
    // What was replaced at the compact revision is gone, also where it is still remembered.
    const mine = revision > shards.compactRevision ? wanted : wanted.map(event => ({ ...event, prev: null }))
    if (mine.length > 0) sendEvents(turn, watcher, Math.max(revision, shards.revision), mine)
  }
  watcher.next = next
}

function inRange(watcher: Watcher, key: Uint8Array): boolean {
  const { start, end } = watcher.range
  return Buffer.compare(start, key) <= 0 && (end === null || Buffer.compare(key, end) < 0)
}

function readBehind(turn: Turn, shards: HubShards, watcher: Watcher): void {
  const { remote } = watcher.shard
  if (remote !== null) {
    readElsewhere(turn, remote, shards, watcher)
    return
  }
  const { reader, view } = takeHubView(turn, shards, watcher.range)
  const { pageBytesMax } = turn.state.options.limits
  const bounds = { revisionsMax: HISTORY_REVISIONS, bytesMax: pageBytesMax }
  watcher.reading = true
  runTask(turn, {
    group: watcher.shard.groups[0]!,
    groups: watcher.shard.groups,
    view,
    step: readHistory(reader, watcher.next, shards.revision, bounds, {
      range: watcher.range,
      prev: watcher.prevKv,
    }),
    done: (later, page) => {
      watcher.reading = false
      if (watcher.canceled) return
      const now = shardsOf(later, watcher.shard)
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

/** Of shards whose leaders are asked. */
function readElsewhere(turn: Turn, remote: RemoteReading, shards: HubShards, watcher: Watcher): void {
  const { range, prevKv: prev, next: from } = watcher
  watcher.reading = true
  readRemote(turn, remote.shards, { range, from, to: shards.revision, prev }, (later, page) => {
    watcher.reading = false
    if (watcher.canceled) return
    if (page.ok) {
      feed(later, shardsOf(later, watcher.shard) ?? shards, watcher, page.value.events, page.value.next)
    } else if (page.error.code === 'compacted') {
      cancelCompacted(later, watcher, page.error.compactRevision ?? 0)
    } else if (page.error.code === 'responseTooLarge') {
      cancel(later, watcher, 'etcdserver: response is too large', 0)
    }
    later.state.hub.remote.hasNews = true
  })
}

/** What it wants next is compacted. */
export const cancelCompacted = (turn: Turn, watcher: Watcher, compactRevision: Revision): void =>
  cancel(turn, watcher, '', compactRevision)

function cancel(turn: Turn, watcher: Watcher, reason: string, compactRevision: Revision): void {
  removeWatcher(watcher)
  respond(turn, watcher.stream, {
    kind: 'canceled',
    header: headerAt(turn, watcher.shard.groups[0], 0),
    watchId: watcher.id,
    reason,
    compactRevision,
  })
}
