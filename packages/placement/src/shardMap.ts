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

/** Version of the map that a cluster begins with. */
export const FIRST_MAP = 1

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

/** Where the shard is that owns `key`. */
function indexAt({ shards }: ShardMap, key: Uint8Array): number {
  let low = 0
  let high = shards.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (compareBytes(shards[middle]!.range.start, key) <= 0) low = middle
    else high = middle - 1
  }
  return low
}

/** The shard that owns `key`. */
export function shardOf(map: ShardMap, key: Uint8Array): ShardDescriptor {
  const shard = map.shards[indexAt(map, key)]
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
  const touched = new Map<number, KeyRange[]>()
  for (const range of ranges) {
    for (let at = indexAt(map, range.start); at < map.shards.length; at++) {
      const shard = map.shards[at]!
      if (compareEnds(shard.range.start, range.end) >= 0) break
      const part = intersectRanges(range, shard.range)
      if (isEmptyRange(part)) continue
      const others = touched.get(at)
      if (others === undefined) touched.set(at, [part])
      else others.push(part)
    }
  }
  const inOrder = [...touched].sort(([a], [b]) => a - b)
  return inOrder.map(([at, parts]) => ({ shard: map.shards[at]!, ranges: parts }))
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
