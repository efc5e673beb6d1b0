import t from 'tap'
import { Coverage, MILLISECOND, NodeClock, Random, Schedule, SECOND } from '@kvorum/sim'

void t.test('events run in the order of their times', async t => {
  const schedule = new Schedule(new Random(1))
  const random = new Random(2)
  const ran: number[] = []
  for (let i = 0; i < 2000; i++) {
    const time = random.int(0, 500)
    schedule.at(time, 'e', () => {
      if (schedule.now !== time) t.fail(`due at ${time}, ran at ${schedule.now}`)
      ran.push(time)
      if (time < 100 && ran.length < 4000)
        schedule.after(random.int(0, 50), 'more', () => ran.push(schedule.now))
    })
  }
  while (schedule.step());
  t.same(
    ran,
    ran.toSorted((a, b) => a - b),
  )
  t.equal(schedule.pending, 0)
  t.equal(schedule.step(), false)
})

void t.test('events of one instant run in an order drawn from the seed', async t => {
  const order = (seed: number): string => {
    const schedule = new Schedule(new Random(seed))
    const ran: number[] = []
    for (let i = 0; i < 6; i++) schedule.at(5, 'e', () => ran.push(i))
    schedule.runUntil(5)
    return ran.join('')
  }
  t.equal(order(3), order(3))
  t.ok(new Set([1, 2, 3, 4, 5, 6, 7, 8].map(order)).size > 4)
})

void t.test('a cancelled event does not run and is not waited for', async t => {
  const schedule = new Schedule(new Random(1))
  const ran: string[] = []
  const a = schedule.after(10, 'a', () => ran.push('a'))
  const b = schedule.after(20, 'b', () => ran.push('b'))
  schedule.cancel(a)
  schedule.cancel(a)
  t.equal(schedule.pending, 1)
  t.equal(schedule.nextTime, 20)
  schedule.runUntil(SECOND)
  schedule.cancel(b)
  t.same(ran, ['b'])
  t.equal(schedule.now, SECOND)
  t.equal(schedule.pending, 0)
  t.throws(() => schedule.at(5, 'past', () => {}))
})

void t.test('runWhile stops at the condition or at the deadline', async t => {
  const schedule = new Schedule(new Random(1))
  let ticks = 0
  const tick = (): void => {
    ticks++
    schedule.after(100, 'tick', tick)
  }
  schedule.after(100, 'tick', tick)
  t.ok(schedule.runWhile(() => ticks < 5, SECOND))
  t.equal(schedule.now, 500)
  t.notOk(schedule.runWhile(() => ticks < 50, 1000))
  t.equal(ticks, 10)
})

void t.test('the trace hash tells runs apart and repeats for one seed', async t => {
  const run = (seed: number): string => {
    const random = new Random(seed)
    const schedule = new Schedule(random.stream('schedule'))
    const workload = random.stream('workload')
    for (let i = 0; i < 50; i++) {
      schedule.at(workload.int(0, 1000), 'e', () => schedule.trace.bytes(workload.bytes(3)))
    }
    schedule.runUntil(SECOND)
    return schedule.trace.hex()
  }
  t.match(run(1), /^[0-9a-f]{16}$/)
  t.equal(run(1), run(1))
  t.equal(new Set(Array.from({ length: 200 }, (_, seed) => run(seed))).size, 200)
})

void t.test('a node clock drifts, freezes and jumps without going back', async t => {
  let now = 0
  const clock = new NodeClock(() => now, 1_700_000_000_000)
  now = 10 * SECOND
  t.equal(clock.monotonic(), 10_000)
  t.equal(clock.wall(), 1_700_000_010_000)
  clock.setRate(2)
  now += SECOND
  t.equal(clock.monotonic(), 12_000)
  t.equal(clock.trueDelay(100), 50 * MILLISECOND)
  clock.freeze()
  now += 60 * SECOND
  t.equal(clock.monotonic(), 12_000)
  clock.thaw()
  clock.setRate(1)
  clock.jumpWall(-3_600_000)
  now += SECOND
  t.equal(clock.monotonic(), 13_000)
  t.equal(clock.wall(), 1_700_000_013_000 - 3_600_000)
})

void t.test('coverage reports what was never hit', async t => {
  const coverage = new Coverage(['a', 'b'])
  coverage.mark('b')
  const other = new Coverage(['a', 'c'])
  other.mark('b', 2)
  t.same(coverage.missing(), ['a'])
  coverage.merge(other)
  t.same(coverage.toJSON(), { a: 0, b: 3, c: 0 })
})
