import t from 'tap'
import type { Entry } from '@kvorum/model'
import { bytesUpTo, countAppended, countPurged, createLogBytes, purgeableByBytes } from '#src/logBytes.js'

const KEEP = 6_400
/** Every entry is charged exactly 100 bytes, the distance of the marks. */
const entry = (index: number): Entry => ({ index, term: 1, time: 0, kind: 'normal', data: Buffer.alloc(68) })
const entries = (first: number, last: number): Entry[] =>
  Array.from({ length: last - first + 1 }, (_, i) => entry(first + i))

t.test('nothing may go until more is there than may stay', async t => {
  const log = createLogBytes(0, KEEP)
  countAppended(log, entries(1, 64))
  t.equal(purgeableByBytes(log, KEEP), 0)
  countAppended(log, entries(65, 100))
  t.equal(purgeableByBytes(log, KEEP), 35, 'the 64 newest are within the bound, one mark more is kept')
  t.equal(bytesUpTo(log, 100) - bytesUpTo(log, 35), 6_500)
})

t.test('what a start found is one piece that goes as a whole', async t => {
  const log = createLogBytes(1_000, KEEP)
  t.equal(bytesUpTo(log, 999), 0)
  countAppended(log, entries(1_001, 1_065))
  t.equal(purgeableByBytes(log, KEEP), 1_000)
})

t.test('entries written again replace what was counted by index, not by bytes', async t => {
  const log = createLogBytes(0, KEEP)
  countAppended(log, entries(1, 50))
  countAppended(log, entries(11, 30))
  t.equal(log.total, 7_000, 'both are in the log')
  t.equal(bytesUpTo(log, 10), 1_000)
  t.equal(bytesUpTo(log, 30), 7_000)
  t.ok(log.marks.every((mark, i) => i === 0 || mark.index > log.marks[i - 1]!.index))
})

t.test('marks of what was purged go', async t => {
  const log = createLogBytes(0, KEEP)
  countAppended(log, entries(1, 100))
  countPurged(log, 90)
  t.equal(log.marks[0]!.index, 90)
  t.equal(bytesUpTo(log, 95), 9_500)
})
