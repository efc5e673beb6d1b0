import type { Revision, RevisionEvents } from '@kvorum/model'
import { readHistory } from '@kvorum/machine'
import type { Turn } from '../state.js'
import { runTask } from '../tasks.js'
import { addSynced, removeWatcher, type Watcher } from './hub.js'
import { shardsOf, takeHubView, type HubShards } from './hubState.js'
import { hasRoom, headerAt, respond, sendEvents } from './publish.js'
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
    if (mine.length > 0) sendEvents(turn, watcher, shards.revision, mine)
  }
  watcher.next = next
}

function inRange(watcher: Watcher, key: Uint8Array): boolean {
  const { start, end } = watcher.range
  return Buffer.compare(start, key) <= 0 && (end === null || Buffer.compare(key, end) < 0)
}

function readBehind(turn: Turn, shards: HubShards, watcher: Watcher): void {
  const { reader, view } = takeHubView(turn, shards, watcher.range)
  const { pageBytesMax } = turn.state.options.limits
  const bounds = { revisionsMax: HISTORY_REVISIONS, bytesMax: pageBytesMax }
  watcher.reading = true
  runTask(turn, {
    group: shards.machines[0].group,
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

/** What it wants next is compacted. */
export function cancelCompacted(turn: Turn, watcher: Watcher, compactRevision: Revision): void {
  removeWatcher(watcher)
  respond(turn, watcher.stream, {
    kind: 'canceled',
    header: headerAt(turn, watcher.shard.groups[0], 0),
    watchId: watcher.id,
    reason: '',
    compactRevision,
  })
}
