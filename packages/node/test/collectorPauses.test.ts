import t from 'tap'
import { CollectorPauses } from '#src/driver/collectorPauses.js'

function judged(act: (pauses: CollectorPauses) => void): number[] {
  const turns: number[] = []
  act(new CollectorPauses(microseconds => turns.push(Math.round(microseconds))))
  return turns
}

t.test('a pause inside a turn is none of its time, one outside is', async t => {
  const turns = judged(pauses => {
    pauses.turn({ start: 100, end: 120, microseconds: 20_000 })
    pauses.turn({ start: 200, end: 210, microseconds: 10_000 })
    pauses.paused(105, 12)
    pauses.paused(150, 30)
    pauses.settle(5_000)
  })
  t.same(turns, [8_000, 10_000])
})

t.test('of a pause that began before the turn the part inside counts', async t => {
  const turns = judged(pauses => {
    pauses.turn({ start: 100, end: 120, microseconds: 20_000 })
    pauses.paused(90, 15)
    pauses.settle(5_000)
  })
  t.same(turns, [15_000])
})

t.test('a preempted turn loses the share of the pause, not its length', async t => {
  const turns = judged(pauses => {
    pauses.turn({ start: 100, end: 140, microseconds: 20_000 })
    pauses.paused(100, 20)
    pauses.settle(5_000)
  })
  t.same(turns, [10_000])
})

t.test('a turn is judged only when its pauses must have been told', async t => {
  const turns: number[] = []
  const pauses = new CollectorPauses(microseconds => turns.push(microseconds))
  pauses.turn({ start: 100, end: 120, microseconds: 20_000 })
  pauses.settle(1_000)
  t.same(turns, [])
  pauses.paused(100, 10)
  pauses.settle(1_200)
  t.same(turns, [10_000])
  t.equal(pauses.longestMs, 10)
})

t.test('what waits is bounded, and nothing that waits is lost', async t => {
  const turns = judged(pauses => {
    for (let i = 0; i < 1_000; i++) pauses.turn({ start: i * 10, end: i * 10 + 6, microseconds: 6_000 })
    pauses.settle(100_000)
  })
  t.equal(turns.length, 1_000)
})
