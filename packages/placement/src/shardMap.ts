import {
  assert,
  compareBytes,
  compareEnds,
  intersectRanges,
  isEmptyRange,
  rangeContains,
  type Epoch,
  type GroupId,
  type KeyRange,
  type Replica,
} from '@kvorum/model'

/**
 * Which group owns which keys. The map is a value: every change makes a new one with a higher version.
 *
 *     key or range --> routeRanges(map) --> parts, one per shard --> (answers) --> merge
 */
export interface ShardDescriptor {
  readonly group: GroupId
  readonly range: KeyRange
  /** Grows with every change of this shard's range; requests carry the one they were routed with. */
  readonly epoch: Epoch
  /**
   * The replicas that the shard was made with, or that it had when it was last as wanted: where to ask for it. The
   * group's own configuration says who takes part.
   */
  readonly replicas: readonly Replica[]
}

export interface ShardMap {
  readonly version: number
  /** Sorted by range start; together they cover every key exactly once (I43). */
  readonly shards: readonly ShardDescriptor[]
}

/** What is wrong with a map (I43), or null. */
export function shardMapProblem(map: ShardMap): string | null {
  let at: Uint8Array | null = new Uint8Array(0)
  for (const { group, range } of map.shards) {
    if (at === null || compareBytes(range.start, at) !== 0 || isEmptyRange(range))
      return `shard map ${map.version} has a gap or an overlap at group ${group}`
    at = range.end
  }
  return at === null ? null : `shard map ${map.version} ends before the keyspace does`
}

export function checkShardMap(map: ShardMap): void {
  const problem = shardMapProblem(map)
  assert(problem === null, () => problem ?? '')
}

/** The shard that owns `key`. */
export function shardOf(map: ShardMap, key: Uint8Array): ShardDescriptor {
  let low = 0
  let high = map.shards.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (compareBytes(map.shards[middle]!.range.start, key) <= 0) low = middle
    else high = middle - 1
  }
  const shard = map.shards[low]
  assert(
    shard !== undefined && rangeContains(shard.range, key),
    () => `no shard owns a key in map ${map.version}`,
  )
  return shard
}

export interface RoutePart {
  readonly shard: ShardDescriptor
  readonly ranges: readonly KeyRange[]
}

/** Cuts ranges at the shards' borders. Parts come in key order; an empty list of ranges touches no shard. */
export function routeRanges(map: ShardMap, ranges: readonly KeyRange[]): RoutePart[] {
  const parts: RoutePart[] = []
  for (const shard of map.shards) {
    const touched = ranges
      .map(range => intersectRanges(range, shard.range))
      .filter(range => !isEmptyRange(range))
    if (touched.length > 0) parts.push({ shard, ranges: touched })
  }
  return parts
}

/** Splits the keyspace at `keys` (sorted, distinct, not empty), one range more than there are keys. */
export function rangesBetween(keys: readonly Uint8Array[]): KeyRange[] {
  const starts = [new Uint8Array(0), ...keys]
  return starts.map((start, i) => {
    const end = starts[i + 1] ?? null
    assert(end === null || compareEnds(start, end) < 0, () => 'split keys are not sorted')
    return { start, end }
  })
}
