import { META_GROUP, type GroupId } from '@kvorum/model'
import { placedShard, type MetaState } from '@kvorum/placement'
import { isTaken, NO_KEYS } from './claims.js'
import { emptyGroup, failsClosed, takeDormant } from './groups.js'
import { waitForSnapshot } from './groupMachine.js'
import { metaOf } from './membership.js'
import { startRaft } from './startRaft.js'
import type { Group, NodeState, Turn } from './state.js'
import { createShardHub } from './watch/hub.js'

/**
 * A shard is on the map, and this node has nothing of it. Either the split that makes it lies ahead in the log of the
 * shard that still has its keys here: then there is nothing to do. Or that shard came here by a snapshot from behind the
 * split: then the new one has to come by a snapshot as well.
 *
 * No two replicas of one node ever have rows of the same key, so whoever comes second waits.
 */
export function openMissing(turn: Turn): void {
  const { state } = turn
  const meta = metaOf(state)
  const own = state.groups.get(META_GROUP)
  if (meta === null || own === undefined || state.search === 'running') return
  const missing = meta.shards.shards.filter(
    ({ group }) => !state.groups.has(group) && mayBeHere(state, meta, group),
  )
  if (missing.length === 0 || ![...state.groups.values()].every(isLoaded)) return
  for (const { group, range } of missing) if (!isTaken(state, range, group)) open(turn, group, own)
}

/** Not a shard that is placed elsewhere, nor one that went from here and is not known to be gone. */
function mayBeHere({ options, replicas }: NodeState, meta: MetaState, group: GroupId): boolean {
  const placed = placedShard(meta, group)
  if (placed === undefined) return true
  return placed.nodes.includes(options.self) && replicas.marks === 'read' && !replicas.retired.has(group)
}

function open(turn: Turn, id: GroupId, meta: Group): void {
  const { state } = turn
  const group = emptyGroup(id, meta.replica, NO_KEYS, takeDormant(state, id), state.options)
  waitForSnapshot(group.machine)
  group.electionOpened = true
  state.groups.set(id, group)
  state.hub.shards.set(id, createShardHub([id], 0))
  if (!failsClosed(turn, group)) startRaft(turn, group)
}

const isLoaded = ({ machine, range, quarantined }: Group): boolean =>
  range === null || machine.shard !== null || machine.installing || quarantined !== null
