import { rangeCovers, type GroupId, type KeyRange } from '@kvorum/model'
import { routeRanges, type ShardMap } from '@kvorum/placement'
import { isUnchecked } from '../checking.js'
import { shardOfGroup } from '../groupMachine.js'
import type { Group, Turn } from '../state.js'
import { createShardHub, type ShardHub } from './hub.js'
import { isOracleMode, leaveDense, machineOf, nameOf } from './leaveDense.js'
import { createMerging } from './merging.js'
import { isRemote, remoteHub } from './remoteHub.js'

/** Which shards a watch is about, and which hub is theirs. */

/** The shards of the range, in the order of their keys; of no keys at all: the first one. */
export function groupsFor({ state }: Turn, range: KeyRange): readonly GroupId[] {
  const parts = routeRanges(state.shards, [range])
  return parts.length > 0 ? parts.map(({ shard }) => shard.group) : [state.shards.shards[0]!.group]
}

/** Null: no watch of these shards is possible here. */
export function hubFor(turn: Turn, ids: readonly GroupId[]): ShardHub | null {
  if (isRemote(turn, ids)) return remoteHub(turn, ids)
  const { hub, groups } = turn.state
  if (!ids.every(id => hub.shards.has(id))) return null
  const shards = ids.map(id => groups.get(id)).filter(group => group !== undefined)
  const isMerged = shards.map(isOracleMode)
  if (isMerged.every(merged => !merged)) return ids.length === 1 ? hub.shards.get(ids[0]!)! : null
  const areThere = shards.every(group => shardOfGroup(group) !== null && !group.machine.installing)
  // While shards leave dense mode there are not several of them yet.
  return areThere && isMerged.every(merged => merged) ? mergedHub(turn, ids) : null
}

/** The hub of these shards, all of them in oracle mode and loaded here. */
function mergedHub(turn: Turn, groups: readonly GroupId[]): ShardHub {
  const { merged } = turn.state.hub
  for (const id of groups) leaveDense(turn, turn.state.groups.get(id)!)
  const name = nameOf(groups)
  const known = merged.get(name)
  if (known !== undefined) return known
  const machines = groups.map(id => machineOf(turn, id))
  const seen = Math.max(...machines.map(({ revision }) => revision))
  const shards = machines.map(({ group, epoch }) => ({ group, epoch }))
  const hub = createShardHub(groups, 0, createMerging(shards, seen))
  merged.set(name, hub)
  return hub
}

/** A replica has no state yet, but will have: refusing would end the watch for good. */
export function hasNoState(turn: Turn, range: KeyRange): boolean {
  const { shards, groups: here } = turn.state
  const ids = groupsFor(turn, range)
  if (isRemote(turn, ids)) return false
  const groups = ids.map(id => here.get(id))
  if (groups.some(group => group !== undefined && group.quarantined !== null)) return false
  return groups.some(
    group =>
      // On the map, and still to come here: by a split, or by a snapshot.
      group === undefined ||
      isUnchecked(group) ||
      shardOfGroup(group) === null ||
      group.machine.installing ||
      !turn.state.hub.shards.has(group.id) ||
      // It was split, and the map does not say yet who has the rest.
      !hasItsKeys(group, shards),
  )
}

function hasItsKeys(group: Group, { shards }: ShardMap): boolean {
  const shard = shardOfGroup(group)
  const descriptor = shards.find(each => each.group === group.id)
  return shard === null || descriptor === undefined || rangeCovers(shard.range, descriptor.range)
}
