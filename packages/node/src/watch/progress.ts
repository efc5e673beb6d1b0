import type { Revision } from '@kvorum/model'
import { inOracleMode } from '../membership.js'
import type { Turn } from '../state.js'
import { askCurrent } from './asking.js'
import { isSynced, toldBy, type ShardHub, type Stream, type Watcher } from './hub.js'
import { shardsOf } from './hubState.js'
import type { Merging } from './merging.js'
import { headerAt, respond } from './publish.js'

/**
 * How far watchers are. In dense mode that is the shard's revision. In oracle mode an idle shard does not know how far
 * the others are: the oracle is asked what it has handed out, the shards resolve that, and then it may be told.
 */
export function askProgress(turn: Turn, stream: Stream): void {
  stream.progressAsked = true
  stream.progressAt = null
  if (!inOracleMode(turn.state)) return
  askCurrent(turn, (_, revision) => {
    stream.progressAt = Math.max(stream.progressAt ?? 0, revision)
  })
}

export function answerProgress(turn: Turn, stream: Stream): void {
  const watchers = [...stream.watchers.values()]
  const isMerged = inOracleMode(turn.state)
  if (isMerged && stream.progressAt !== null) {
    stream.progressAt = Math.max(stream.progressAt, ...watchers.map(({ header }) => header))
    want(watchers, stream.progressAt)
  }
  if (!watchers.every(isSynced)) return
  const revision = isMerged ? mergedProgress(turn, stream, watchers) : denseProgress(turn, watchers)
  if (revision === null) return
  stream.progressAsked = false
  for (const watcher of watchers) watcher.header = Math.max(watcher.header, revision)
  const group = watchers[0]?.shard.groups[0] ?? turn.state.shards.shards[0]!.group
  respond(turn, stream, { kind: 'progress', header: headerAt(turn, group, revision), watchId: -1 })
}

function want(watchers: readonly Watcher[], revision: Revision): void {
  for (const { shard } of watchers)
    if (shard.merging !== null) shard.merging.wanted = Math.max(shard.merging.wanted, revision)
}

function denseProgress(turn: Turn, watchers: readonly Watcher[]): Revision | null {
  const { hub, shards } = turn.state
  const one = watchers[0]?.shard ?? hub.shards.get(shards.shards[0]!.group)
  // Of a shard that is elsewhere nobody here knows more, and there is nobody to be told.
  return one === undefined ? hub.seen : (shardsOf(turn, one)?.revision ?? null)
}

/** Where all of the stream's watchers are, when that is no less than what the oracle said. */
function mergedProgress(turn: Turn, stream: Stream, watchers: readonly Watcher[]): Revision | null {
  const { progressAt } = stream
  if (progressAt === null) return null
  const revisions = watchers.map(({ shard }) => shardsOf(turn, shard)?.revision ?? 0)
  const least = Math.min(...revisions)
  return watchers.length === 0 ? progressAt : least < progressAt ? null : least
}

/** Idle watchers that asked for it hear now and then how far they are. Called by the node's housekeeping. */
export function notifyProgress(turn: Turn): void {
  const { progressNotifyMs } = turn.state.options
  const merged = new Map<ShardHub, Watcher[]>()
  for (const stream of turn.state.hub.streams.values()) {
    for (const watcher of stream.watchers.values()) {
      if (!watcher.progressNotify || !isSynced(watcher) || turn.now - watcher.lastSentAt < progressNotifyMs)
        continue
      const { shard } = watcher
      if (shard.merging === null) tellProgress(turn, watcher)
      else merged.set(shard, [...(merged.get(shard) ?? []), watcher])
    }
  }
  for (const [shard, watchers] of merged)
    if (shard.merging !== null) notifyMerged(turn, shard, shard.merging, watchers)
}

/** First the oracle is asked how far they could be; when they are there, they are told. */
function notifyMerged(turn: Turn, shard: ShardHub, merging: Merging, watchers: readonly Watcher[]): void {
  const { progress } = merging
  if (progress === 'none') {
    merging.progress = 'asked'
    askCurrent(turn, (_, revision) => {
      merging.progress = revision
      merging.wanted = Math.max(merging.wanted, revision)
    })
    return
  }
  if (progress === 'asked' || toldBy(shard) < progress) return
  merging.progress = 'none'
  for (const watcher of watchers) tellProgress(turn, watcher)
}

function tellProgress(turn: Turn, watcher: Watcher): void {
  const shards = shardsOf(turn, watcher.shard)
  if (shards === null || watcher.next > shards.revision + 1 || shards.revision < watcher.header) return
  watcher.lastSentAt = turn.now
  watcher.header = shards.revision
  const header = headerAt(turn, watcher.shard.groups[0], shards.revision)
  respond(turn, watcher.stream, { kind: 'progress', header, watchId: watcher.id })
}
