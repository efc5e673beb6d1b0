import {
  ALL_KEYS,
  passesFence,
  type GroupId,
  type Millis,
  type Revision,
  type WatchCreate,
} from '@kvorum/model'
import { isUnchecked } from '../checking.js'
import { shardOfGroup } from '../groupMachine.js'
import { isElsewhere } from '../remotes.js'
import type { Turn } from '../state.js'
import { createShardHub, isUnused, type ShardHub } from './hub.js'
import { nameOf } from './leaveDense.js'
import { advanceMerging, createMerging, mergingWants, takeMerged, type Merging } from './merging.js'
import { publishLost, publishTo } from './publish.js'
import { createRecent } from './recent.js'
import { readRemote } from './remoteHistory.js'
import { follow, isOnMap, look, remoteShard, resolve, type RemoteShard } from './remoteShards.js'

/**
 * Hubs of shards that not all have a replica here. They are clients of the shards' leaders, also of those whose shards
 * are here:
 *
 *     follow  ---> the shard's leader: how far it is, as soon as something has happened  --\
 *     resolve ---> what one shard has shown, the others promise                          ---> merging: told up to R
 *     history ---> everything up to R, page by page, in one order --> recent events, watchers that are up to date
 *             \--> the same for a watcher that is behind, of its own range
 *
 * Nothing is kept here but the page that is under way: what was promised is read again from whoever leads by then, at
 * the index that was promised. What was said is said of a range; when the map gives a shard another one, the watchers
 * go on, from what they were told last, at a hub that asks anew.
 */
export interface RemoteReading {
  /** Its shards, with the ranges that they had when it began. */
  readonly shards: readonly RemoteShard[]
  /** Everything at or below this was told to watchers; null: the shards have not all said how far they are. */
  told: Revision | null
  reading: boolean
  again: Millis
}

/** Whether a watch of these shards has to be read from other nodes. */
export function isRemote(turn: Turn, groups: readonly GroupId[]): boolean {
  const missing = groups.filter(id => !isServable(turn, id))
  return missing.length > 0 && missing.every(id => mayAskFor(turn, id))
}

const mayAskFor = ({ state }: Turn, id: GroupId): boolean =>
  isElsewhere(state, id) && (state.groups.get(id)?.quarantined ?? null) === null

function isServable({ state }: Turn, id: GroupId): boolean {
  const group = state.groups.get(id)
  if (group === undefined || !state.hub.shards.has(id)) return false
  return !isUnchecked(group) && shardOfGroup(group) !== null && !group.machine.installing
}

/** Null: the map does not have them all (any more). */
export function remoteHub(turn: Turn, groups: readonly GroupId[]): ShardHub | null {
  const { hubs } = turn.state.hub.remote
  const name = nameOf(groups)
  const known = hubs.get(name)
  if (known !== undefined && isCurrent(turn, known)) {
    // It may have been heard in this turn what it waits for.
    if (known.merging !== null && known.remote?.told === null) advance(turn, known, known.merging)
    return known
  }
  const shards = recordsOf(turn, groups)
  if (shards === null) return null
  const merging = createMerging(
    groups.map(group => ({ group, epoch: 1 })),
    0,
  )
  const hub = createShardHub(groups, 0, merging, { shards, told: null, reading: false, again: 0 })
  // The watchers of the one that is outdated have not been placed anew yet.
  if (known !== undefined) hubs.set(`${name} until ${turn.state.shards.version}`, known)
  hubs.set(name, hub)
  advance(turn, hub, merging)
  return hub
}

function recordsOf(turn: Turn, groups: readonly GroupId[]): RemoteShard[] | null {
  const shards = groups.map(id => remoteShard(turn, id)).filter(shard => shard !== null)
  return shards.length === groups.length ? shards : null
}

/** Whether its shards have the ranges that they had when it began. */
const isCurrent = ({ state }: Turn, { remote }: ShardHub): boolean =>
  remote?.shards.every(shard => isOnMap(state, shard)) === true

/**
 * Whether the shards have been heard since the watch was asked for, `looks` ago: where it begins, and whether it is
 * allowed, is not to be older than that.
 */
export function areHeard(turn: Turn, groups: readonly GroupId[], looks: number): boolean {
  const shards = recordsOf(turn, groups)
  if (shards === null) return false
  let heard = true
  for (const shard of shards) {
    shard.usedAt = turn.now
    if (shard.looked > looks) continue
    heard = false
    look(turn, shard)
  }
  return heard
}

/** Whether the shards know of no newer users and roles than those by which the watch was allowed. */
export function passesFences(turn: Turn, groups: readonly GroupId[], create: WatchCreate): boolean {
  const shards = recordsOf(turn, groups) ?? []
  return shards.every(({ fence }) => passesFence(fence, create.authRevision ?? null))
}

/** The highest revision that its shards have spoken of. */
export const heardOf = ({ shards }: RemoteReading): Revision =>
  Math.max(0, ...shards.map(({ promised }) => promised?.revision ?? 0))

/** Hubs whose watchers have to find another: the map has changed, or all their shards are here now. */
export function outdatedRemotes(turn: Turn): [string, ShardHub][] {
  return [...turn.state.hub.remote.hubs].filter(
    ([, hub]) => !isCurrent(turn, hub) || !isRemote(turn, hub.groups),
  )
}

/** Tells the hubs what was heard, reads what may be told, and asks for more. Called once a turn. */
export function driveRemote(turn: Turn): void {
  const { remote } = turn.state.hub
  remote.hasNews = false
  const wants = new Map<RemoteShard, Revision>()
  for (const [name, hub] of remote.hubs) {
    if (isUnused(hub)) remote.hubs.delete(name)
    else if (hub.merging !== null && hub.remote !== null) {
      advance(turn, hub, hub.merging)
      readNext(turn, hub, hub.merging)
      const wanted = new Map(mergingWants(hub.merging).map(({ group, revision }) => [group, revision]))
      for (const shard of hub.remote.shards)
        wants.set(shard, Math.max(wanted.get(shard.group) ?? 0, wants.get(shard) ?? 0))
    }
  }
  for (const [shard, wanted] of wants) {
    shard.usedAt = turn.now
    follow(turn, shard)
    if (wanted > 0) resolve(turn, shard, wanted)
  }
  for (const shard of remote.shards.values())
    if (turn.now - shard.usedAt > FORGOTTEN_AFTER_MS) remote.shards.delete(shard.group)
}

const FORGOTTEN_AFTER_MS = 10_000

function advance(turn: Turn, hub: ShardHub, merging: Merging): void {
  const { remote } = hub
  if (remote === null) return
  const promises = new Map(remote.shards.map(({ group, promised }) => [group, promised]))
  const advances: Parameters<typeof advanceMerging>[1] = new Map(
    merging.watch.streams.flatMap(({ group, stream }) => {
      const promised = promises.get(group) ?? null
      if (promised === null || promised.revision <= stream.resolved) return []
      const { epoch, applied } = stream
      // No replica here has to catch up: whoever is asked for the history waits for the index.
      const index = Math.max(applied, promised.index)
      return [[group, { index, events: [], promised: [{ ...promised, epoch }] }]]
    }),
  )
  if (advances.size > 0) advanceMerging(merging, advances, turn.state.options.limits.recentEventsBytesMax)
  takeMerged(merging)
  merging.wanted = Math.max(merging.wanted, heardOf(remote))
  if (remote.told !== null || remote.shards.some(({ promised }) => promised === null)) return
  remote.told = merging.watch.emitted
  hub.recent = createRecent(remote.told)
}

/** Tells the watchers what is promised, a page at a time. */
function readNext(turn: Turn, hub: ShardHub, { watch }: Merging): void {
  const { remote } = hub
  if (remote === null || remote.told === null || remote.reading || turn.now < remote.again) return
  const to = watch.emitted
  if (remote.told >= to) return
  const from = remote.told + 1
  remote.reading = true
  readRemote(turn, remote.shards, { range: ALL_KEYS, from, to, prev: true }, (later, page) => {
    remote.reading = false
    later.state.hub.remote.hasNews = true
    if (page.ok) {
      remote.told = page.value.next - 1
      for (const events of page.value.events) publishTo(later, hub, events)
    } else if (page.error.code === 'compacted' || page.error.code === 'responseTooLarge') {
      // Whoever wants it is told so, or finds less that is too much, when it reads for itself.
      remote.told = to
      publishLost(hub, from, to)
    } else remote.again = later.now + later.state.options.heartbeatMs
  })
}
