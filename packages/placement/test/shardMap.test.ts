import fc from 'fast-check'
import t from 'tap'
import {
  ALL_KEYS,
  compareBytes,
  groupId,
  InvariantError,
  nodeId,
  pointRange,
  rangeContains,
  replicaId,
  utf8,
  type KeyRange,
} from '@kvorum/model'
import {
  checkShardMap,
  rangesBetween,
  routeRanges,
  shardOf,
  type ShardDescriptor,
  type ShardMap,
} from '@kvorum/placement'

/** Few distinct bytes, so that keys meet, nest and end in the extreme ones. */
const key = fc
  .array(fc.constantFrom(0x00, 0x01, 0x61, 0xfe, 0xff), { maxLength: 3 })
  .map(bytes => Uint8Array.from(bytes))
const range: fc.Arbitrary<KeyRange> = fc.record({ start: key, end: fc.option(key) })

const shard = (group: number, range: KeyRange): ShardDescriptor => ({
  group: groupId(group),
  range,
  epoch: 1,
  replicas: [{ id: replicaId(1), node: nodeId(1n) }],
})
const mapOf = (ranges: readonly KeyRange[]): ShardMap => ({
  version: 1,
  shards: ranges.map((each, i) => shard(i + 1, each)),
})
const splitKeys = fc
  .uniqueArray(
    key.filter(each => each.length > 0),
    { maxLength: 8, comparator: (a, b) => compareBytes(a, b) === 0 },
  )
  .map(keys => keys.sort(compareBytes))
const map = splitKeys.map(keys => mapOf(rangesBetween(keys)))

/** The model: every key of up to three of these bytes, looked up one by one in every range. */
const KEYS: Uint8Array[] = [[]].flatMap(() => {
  const bytes = [0x00, 0x01, 0x61, 0xfe, 0xff]
  const one = bytes.map(a => [a])
  const two = one.flatMap(a => bytes.map(b => [...a, b]))
  const three = two.flatMap(a => bytes.map(b => [...a, b]))
  return [[], ...one, ...two, ...three].map(each => Uint8Array.from(each))
})
const owners = (map: ShardMap, key: Uint8Array): ShardDescriptor[] =>
  map.shards.filter(each => rangeContains(each.range, key))

const check = <Values>(property: fc.IProperty<Values>, runs = 300): void =>
  fc.assert(property, { numRuns: runs }) as void

t.test('I43: the ranges between split keys own every key exactly once', async t => {
  check(
    fc.property(map, map => {
      checkShardMap(map)
      return KEYS.every(key => owners(map, key).length === 1)
    }),
  )
  t.strictSame(rangesBetween([]), [{ start: new Uint8Array(0), end: null }])
  t.throws(() => rangesBetween([utf8('b'), utf8('a')]), InvariantError, 'not sorted')
  t.throws(() => rangesBetween([utf8('a'), utf8('a')]), InvariantError, 'not distinct')
  t.throws(() => rangesBetween([new Uint8Array(0)]), InvariantError, 'empty')
})

t.test('shardOf finds the owner', async t => {
  check(fc.property(map, map => KEYS.every(key => shardOf(map, key) === owners(map, key)[0])))
  t.throws(() => shardOf({ version: 1, shards: [] }, utf8('a')), InvariantError)
  const gap = mapOf([{ start: utf8('b'), end: null }])
  t.throws(() => shardOf(gap, utf8('a')), InvariantError, 'a key in a gap has no owner')
})

t.test('I43: checkShardMap accepts a partition and nothing else', async t => {
  check(
    fc.property(fc.array(range, { maxLength: 4 }), ranges => {
      const map = mapOf(ranges)
      let accepted = true
      try {
        checkShardMap(map)
      } catch (error) {
        if (!(error instanceof InvariantError)) throw error
        accepted = false
      }
      const starts = ranges.map(each => each.start)
      const sorted = starts.every((start, i) => i === 0 || compareBytes(starts[i - 1]!, start) < 0)
      const last = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff)
      const once = [...KEYS, last].every(key => owners(map, key).length === 1)
      const full = ranges.every(each => each.end === null || compareBytes(each.start, each.end) < 0)
      return accepted === (sorted && once && full)
    }),
    3000,
  )
  check(
    fc.property(splitKeys, fc.nat(), fc.nat(3), (keys, at, damage) => {
      const ranges = rangesBetween(keys)
      const i = at % ranges.length
      const each = ranges[i]!
      if (damage === 0) ranges.splice(i, 1)
      else if (damage === 1) ranges.splice(i, 0, each)
      else if (damage === 2) ranges[i] = { start: each.start, end: each.start }
      else if (ranges.length > 1) ranges.reverse()
      else ranges[i] = { start: utf8('a'), end: null }
      try {
        checkShardMap(mapOf(ranges))
        return false
      } catch (error) {
        return error instanceof InvariantError
      }
    }),
  )
  t.throws(() => checkShardMap({ version: 1, shards: [] }), InvariantError, 'no shard')
  checkShardMap(mapOf([ALL_KEYS]))
})

t.test('routeRanges: every key of the request in the part of its owner, and nothing else', async t => {
  check(
    fc.property(map, fc.array(range, { maxLength: 4 }), (map, ranges) => {
      const parts = routeRanges(map, ranges)
      const order = parts.map(part => map.shards.indexOf(part.shard))
      const ordered = order.every((at, i) => i === 0 || order[i - 1]! < at)
      const touched = parts.every(part => part.ranges.length > 0)
      return (
        ordered &&
        touched &&
        KEYS.every(key => {
          const wanted = ranges.filter(each => rangeContains(each, key)).length
          const routed = parts.flatMap(part =>
            part.ranges.filter(each => rangeContains(each, key)).map(() => part.shard),
          )
          return routed.length === wanted && routed.every(each => each === shardOf(map, key))
        })
      )
    }),
  )
  const [left, right] = rangesBetween([utf8('m')])
  const two = mapOf([left!, right!])
  t.strictSame(routeRanges(two, []), [], 'no range touches no shard')
  t.strictSame(routeRanges(two, [{ start: utf8('b'), end: utf8('a') }]), [], 'nor does an empty one')
  t.strictSame(
    routeRanges(two, [pointRange(utf8('m')), ALL_KEYS, pointRange(utf8('a'))]).map(
      part => part.ranges.length,
    ),
    [2, 2],
    'ranges keep their number and order within a part',
  )
})
