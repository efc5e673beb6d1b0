import type { Epoch, GroupId, Millis } from '@kvorum/model'

/** What the leader of a shard has counted in a while that is the same for all. */
export interface ShardRequests {
  readonly group: GroupId
  readonly epoch: Epoch
  readonly requests: number
}

/** Since when a shard, as it was cut then, has had far more requests than the others. */
export interface Heat {
  readonly epoch: Epoch
  readonly since: Millis
}

export type Heats = ReadonlyMap<GroupId, Heat>

/** A shard becomes hot with this many times the requests of the others' mean... */
const BECOMES_HOT = 4
/** ...and is so while it has this many times: one that comes and goes would never be cut, or always. */
const STAYS_HOT = 2.5

/**
 * Which shards are hot, after another look. A shard that was cut since begins anew, and an only shard has no others
 * to be compared with. `least`: requests below which nobody is hot, whatever the others have.
 */
export function heatsAfter(
  heats: Heats,
  shards: readonly ShardRequests[],
  now: Millis,
  least: number,
): Map<GroupId, Heat> {
  const after = new Map<GroupId, Heat>()
  if (shards.length < 2) return after
  const all = shards.reduce((sum, { requests }) => sum + requests, 0)
  for (const { group, epoch, requests } of shards) {
    const known = heats.get(group)
    const heat = known?.epoch === epoch ? known : undefined
    const others = (all - requests) / (shards.length - 1)
    const factor = heat === undefined ? BECOMES_HOT : STAYS_HOT
    if (requests < least || requests < factor * others) continue
    after.set(group, heat ?? { epoch, since: now })
  }
  return after
}
