import fc from 'fast-check'
import t from 'tap'
import { compareBytes, groupId, fromUtf8, utf8, type GroupId } from '@kvorum/model'
import {
  heatsAfter,
  middleOf,
  planSplits,
  pointsOf,
  type Heats,
  type SplitPolicy,
  type SplittableShard,
} from '@kvorum/placement'

const policy: SplitPolicy = { bytesMax: 100, hotForMs: 60_000, splitsMax: 2, shardsMax: 10 }
const shard = (group: number, facts: Partial<SplittableShard> = {}): SplittableShard => ({
  group: groupId(group),
  settled: true,
  bytes: 0,
  bytesMiddle: utf8(`b${group}`),
  hotForMs: 0,
  requestsMiddle: utf8(`r${group}`),
  ...facts,
})
const plan = (
  shards: SplittableShard[],
  { underWay = 0, ...facts }: Partial<SplitPolicy> & { underWay?: number } = {},
): string[] =>
  planSplits(shards, underWay, { ...policy, ...facts }).map(
    ({ group, at, reason }) => `${group} at ${fromUtf8(at)} ${reason}`,
  )

t.test('what is too large is split, the largest first, then what is too busy', async t => {
  t.same(plan([shard(1, { bytes: 100 }), shard(2, { hotForMs: 59_999 })]), [], 'neither is')
  t.same(plan([shard(1, { bytes: 101 }), shard(2, { bytes: 300 })]), [
    '2 at b2 bytesMany',
    '1 at b1 bytesMany',
  ])
  const busy = [shard(1, { hotForMs: 60_000 }), shard(2, { bytes: 101, hotForMs: 90_000 })]
  t.same(plan(busy), ['2 at b2 bytesMany', '1 at r1 requestsMany'], 'each once')
  t.same(plan([shard(1, { bytes: 101, bytesMiddle: null })]), [], 'nobody knows where')
  t.same(plan([shard(1, { bytes: 101, settled: false })]), [], 'it is moving, or being split')
})

t.test('there are never too many splits, nor shards', async t => {
  const large = [1, 2, 3].map(group => shard(group, { bytes: 100 + group }))
  t.equal(plan(large).length, 2)
  t.equal(plan(large, { underWay: 1 }).length, 1)
  t.equal(plan(large, { underWay: 2 }).length, 0)
  t.equal(plan(large, { shardsMax: 4 }).length, 1)
  t.equal(plan(large, { shardsMax: 4, underWay: 1 }).length, 0)
  t.equal(plan(large, { shardsMax: 2 }).length, 0, 'more than there may be: made by hand')
})

t.test('the middle of what lies along keys', async t => {
  const middle = (befores: number[], total: number, start = '', leastShare = 0.1): string | null => {
    const points = befores.map((before, at) => ({ key: utf8(`k${at}`), before }))
    const found = middleOf(points, { total, start: utf8(start), leastShare })
    return found === null ? null : fromUtf8(found)
  }
  t.equal(middle([0, 10, 40, 55, 90], 100), 'k3')
  t.equal(middle([], 100), null)
  t.equal(middle([0], 100), null, 'one key')
  t.equal(middle([0, 91], 100), null, 'a sliver')
  t.equal(middle([0, 90], 100), 'k1')
  t.equal(middle([50, 60], 100, 'k0'), 'k1', 'never the first key of the shard')
  t.same(
    pointsOf(['b', 'a', 'b', 'c', 'b'].map(key => utf8(key))).map(({ key, before }) => [
      fromUtf8(key),
      before,
    ]),
    [
      ['a', 0],
      ['b', 1],
      ['c', 4],
    ],
  )
})

t.test('a shard is hot while it has far more requests than the others, and not before', async t => {
  const look = (heats: Heats, now: number, requests: number[], epoch = 1): Heats =>
    heatsAfter(
      heats,
      requests.map((each, at) => ({ group: groupId(at + 1), epoch, requests: each })),
      now,
      100,
    )
  const hot = look(new Map(), 10, [400, 100, 100])
  t.same([...hot], [[1, { epoch: 1, since: 10 }]])
  t.same([...look(hot, 20, [260, 100, 100])], [[1, { epoch: 1, since: 10 }]], 'a little less')
  t.equal(look(hot, 20, [240, 100, 100]).size, 0)
  t.equal(look(new Map(), 10, [390, 100, 100]).size, 0)
  t.equal(look(new Map(), 10, [99, 0, 0]).size, 0, 'nobody has much to do')
  t.equal(look(new Map(), 10, [1_000_000]).size, 0, 'an only shard')
  t.same([...look(hot, 20, [400, 100, 100], 2)], [[1, { epoch: 2, since: 20 }]], 'cut since: it begins anew')
})

/** A shard is the weights of its keys; split until nothing more is planned. */
function settle(weights: number[], bytesMax: number): number[][] {
  let shards: { group: GroupId; first: number; weights: number[] }[] = [
    { group: groupId(1), first: 0, weights },
  ]
  const keyOf = (at: number): Uint8Array => utf8(String(at).padStart(4, '0'))
  for (let next = 2; next < 200;) {
    const steps = planSplits(
      shards.map(({ group, first, weights }) => {
        let before = 0
        const points = weights.map((weight, at) => ({
          key: keyOf(first + at),
          before: (before += weight) - weight,
        }))
        const bytesMiddle = middleOf(points, { total: before, start: keyOf(first), leastShare: 1 / 16 })
        return { group, settled: true, bytes: before, bytesMiddle, hotForMs: 0, requestsMiddle: null }
      }),
      0,
      { ...policy, bytesMax, shardsMax: 1_000 },
    )
    if (steps.length === 0) return shards.map(each => each.weights)
    for (const { group, at } of steps) {
      shards = shards.flatMap(each => {
        if (each.group !== group) return [each]
        const cut = each.weights.findIndex((_, i) => compareBytes(keyOf(each.first + i), at) === 0)
        if (cut < 1) throw new Error('split at a border')
        return [
          { ...each, weights: each.weights.slice(0, cut) },
          { group: groupId(next++), first: each.first + cut, weights: each.weights.slice(cut) },
        ]
      })
    }
  }
  throw new Error('it never ends')
}

t.test('splitting ends: what is small enough is never split, and what is too large cannot be', async t => {
  const weights = fc.array(fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 2_000 })), {
    minLength: 1,
    maxLength: 60,
  })
  fc.assert(
    fc.property(weights, fc.integer({ min: 50, max: 500 }), (weights, bytesMax) => {
      const halves = settle(weights, bytesMax)
      const sum = (each: number[]): number => each.reduce((a, b) => a + b, 0)
      if (halves.flat().join() !== weights.join()) return false
      return halves.every(half => {
        const heaviest = Math.max(...half)
        // Too large is only what nearly all lies in one key of, or little more than one key's worth on both sides.
        return sum(half) <= bytesMax || heaviest * 16 > sum(half) * 7
      })
    }),
    { numRuns: 300 },
  )
  t.pass('300 shards, each split until nothing is planned')
})
