import t from 'tap'
import { Random } from '@kvorum/sim'

const KNOWN = {
  seed1: [2308299391, 1950625580, 354034397],
  large: [2118367875, 2006029010, 2950708159],
  network: [1369857169, 275432600, 2367237842],
  node3: [3790687939, 2629098359, 3723712296],
  bytes: '937787f846c51e',
}

/** sfc32 once more, from its definition, in big integers: a second opinion on the shifts and overflows. */
function* sfc32(high: bigint, low: bigint): Generator<number> {
  const u32 = (x: bigint): bigint => BigInt.asUintN(32, x)
  let [a, b, c, counter] = [low, high, 0x9e3779b9n, 1n]
  for (let i = 0; ; i++) {
    const out = u32(a + b + counter)
    counter = u32(counter + 1n)
    a = b ^ (b >> 9n)
    b = u32(c + u32(c << 3n))
    c = u32(u32((c << 21n) | (c >> 11n)) + out)
    if (i >= 15) yield Number(out)
  }
}

void t.test('the generator is sfc32', async t => {
  for (const seed of [0, 1, 42, 2 ** 32 + 7, Number.MAX_SAFE_INTEGER]) {
    const expected = sfc32(BigInt(seed) >> 32n, BigInt(seed) & 0xffffffffn)
    const random = new Random(seed)
    for (let i = 0; i < 1000; i++) {
      const want = expected.next().value as number
      if (random.uint32() !== want) return t.fail(`seed ${seed} differs at draw ${i}`)
    }
  }
  t.pass('5 seeds, 1000 draws each')
})

void t.test('known answers stay as they are', async t => {
  const draws = (random: Random): number[] => [random.uint32(), random.uint32(), random.uint32()]
  t.same(draws(new Random(1)), KNOWN.seed1)
  t.same(draws(new Random(2 ** 40 + 5)), KNOWN.large)
  t.same(draws(new Random(1).stream('network')), KNOWN.network)
  t.same(draws(new Random(1).stream('node').stream(3)), KNOWN.node3)
  t.equal(Buffer.from(new Random(9).bytes(7)).toString('hex'), KNOWN.bytes)
})

void t.test('a stream depends on seed and label, not on what was drawn', async t => {
  const fresh = new Random(7)
  const used = new Random(7)
  for (let i = 0; i < 100; i++) used.float()
  t.equal(used.stream('disk').uint32(), fresh.stream('disk').uint32())
  const labels = [
    'workload',
    'network',
    'disk',
    'faults',
    ...Array.from({ length: 200 }, (_, i) => `node ${i}`),
  ]
  t.equal(new Set(labels.map(label => fresh.stream(label).uint32())).size, labels.length)
})

void t.test('draws stay in range and are roughly uniform', async t => {
  const random = new Random(11)
  const counts = new Array<number>(10).fill(0)
  let sum = 0
  for (let i = 0; i < 100_000; i++) {
    counts[random.int(0, 9)]!++
    sum += random.exponential(5)
    const x = random.between(3, 4)
    if (x < 3 || x >= 4) t.fail('between left its range')
  }
  for (const count of counts) t.ok(Math.abs(count - 10_000) < 500, `${count} of 10000`)
  t.ok(Math.abs(sum / 100_000 - 5) < 0.1, 'mean of the exponential')
  t.same(
    random.shuffle([1, 2, 3, 4, 5]).toSorted((a, b) => a - b),
    [1, 2, 3, 4, 5],
  )
  t.notOk(random.chance(0))
  t.ok(random.chance(1))
  t.throws(() => random.pick([]), RangeError)
  t.equal(random.bytes(0).length, 0)
})
