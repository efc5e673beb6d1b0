import { LIMITS, type GroupId, type Millis, type ShardLoad } from '@kvorum/model'
import { heatsAfter, middleOf, pointsOf, type Heats, type MetaState } from '@kvorum/placement'
import { createDemand } from './demand.js'
import { leads } from './membership.js'
import { bytesOf, driveMeasuring, type Measuring } from './measuring.js'
import { splitBytesOf } from './splitView.js'
import { sendTo, type Group, type Turn } from './state.js'
import type { BalanceOptions } from './types.js'

/**
 * What the shards of the cluster carry, as their leaders tell all members every now and then, where shards are split by
 * themselves: so whoever leads the meta group, and whoever is asked for a plan, knows it.
 */
export interface ShardLoads {
  /** By shard, what was told last. */
  readonly told: Map<GroupId, ToldLoad>
  heats: Heats
  due: Millis
  readonly measuring: Measuring
}

export interface ToldLoad extends ShardLoad {
  readonly at: Millis
}

export const createShardLoads = (): ShardLoads => ({
  told: new Map(),
  heats: new Map(),
  due: 0,
  measuring: { busy: false, measured: new Map() },
})

/** A smaller part of the requests would be no relief: a single key that is asked for more than the rest. */
const LEAST_SHARE_OF_REQUESTS = 0.25
/** Reports that are older than so many times their distance say nothing any more. */
const STALE_AFTER = 3

export function driveShardLoads(turn: Turn, meta: MetaState): void {
  const { state, now } = turn
  const { balance } = state.options
  const bytesMax = splitBytesOf(meta, balance)
  const { loads } = state
  if (balance === undefined || bytesMax === 0) {
    if (loads.told.size > 0) loads.told.clear()
    return
  }
  driveMeasuring(turn, bytesMax)
  if (now < loads.due) return
  loads.due = now + balance.tellLoadsMs
  forget(turn, meta, balance.tellLoadsMs * STALE_AFTER)
  const own = [...state.groups.values()].flatMap(group => loadOf(turn, group, bytesMax, balance))
  receiveLoads(turn, own)
  if (own.length > 0)
    for (const [node, peer] of state.peers)
      if (peer.connected && peer.trusted) sendTo(turn, node, { kind: 'loads', loads: own })
  const shards = [...loads.told.values()]
  loads.heats = heatsAfter(loads.heats, shards, now, balance.busyRequests)
}

export function receiveLoads({ state, now }: Turn, loads: readonly ShardLoad[]): void {
  // Until the next look: shards that are on no map are forgotten.
  if (state.loads.told.size > LIMITS.shardsMax) return
  for (const load of loads) state.loads.told.set(load.group, { ...load, at: now })
}

function forget({ state, now }: Turn, meta: MetaState, staleMs: Millis): void {
  const { told } = state.loads
  const epochs = new Map(meta.shards.shards.map(({ group, epoch }) => [group, epoch]))
  for (const { group, epoch, at } of told.values())
    if (epochs.get(group) !== epoch || now - at > staleMs) told.delete(group)
}

function loadOf(
  { state }: Turn,
  group: Group,
  bytesMax: number,
  { busyRequests }: BalanceOptions,
): ShardLoad[] {
  const { machine, demand } = group
  const { shard } = machine
  if (shard === null || !leads(group)) return []
  const { bytes, middle } = bytesOf(state.loads.measuring, shard, bytesMax)
  const { requests, keys } = demand
  group.demand = createDemand()
  // Of the others nobody asks, and sorting the keys of all shards would take long.
  const points = requests < busyRequests ? [] : pointsOf(keys)
  return [
    {
      group: group.id,
      epoch: shard.epoch,
      bytes,
      bytesMiddle: middle,
      requests,
      requestsMiddle: middleOf(points, {
        total: keys.length,
        start: shard.range.start,
        leastShare: LEAST_SHARE_OF_REQUESTS,
      }),
    },
  ]
}
