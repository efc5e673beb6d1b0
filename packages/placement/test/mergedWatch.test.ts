import t from 'tap'
import { groupId, InvariantError } from '@kvorum/model'
import {
  emitMerged,
  newMergedWatch,
  newStream,
  promiseArrived,
  streamApplied,
  streamSplit,
  watchApplied,
  watchPromised,
  watchSplit,
  watchWants,
} from '@kvorum/placement'

const A = groupId(1)
const B = groupId(2)
const C = groupId(3)
const at = (revision: number, key = 'k') => ({ revision, key })
const start = () =>
  newMergedWatch<{ revision: number; key: string }>(
    [
      { group: A, epoch: 1 },
      { group: B, epoch: 1 },
    ],
    0,
  )

t.test('a promise counts once its index is applied, and never goes back', async t => {
  const waits = promiseArrived(newStream(1, 0), { revision: 5, index: 2, epoch: 1 })
  t.match(waits, { resolved: 0, held: [{ revision: 5 }] })
  t.equal(streamApplied(waits, 1).resolved, 0)
  const applied = streamApplied(waits, 2)
  t.match(applied, { resolved: 5, held: [] })
  t.equal(promiseArrived(applied, { revision: 4, index: 1, epoch: 1 }), applied)
  const two = promiseArrived(promiseArrived(newStream(1, 0), { revision: 5, index: 3, epoch: 1 }), {
    revision: 7,
    index: 2,
    epoch: 1,
  })
  t.equal(two.held.length, 1, 'one that says less and later is forgotten')
  t.equal(promiseArrived(two, { revision: 6, index: 4, epoch: 1 }), two)
})

t.test('after a split, promises of the old range are dropped', async t => {
  const held = promiseArrived(promiseArrived(newStream(1, 0), { revision: 5, index: 2, epoch: 1 }), {
    revision: 9,
    index: 3,
    epoch: 2,
  })
  const split = streamSplit(held, 2, 2)
  t.match(split, { resolved: 0, held: [{ revision: 9 }] })
  t.equal(promiseArrived(split, { revision: 8, index: 1, epoch: 1 }), split)
  t.equal(streamApplied(split, 3).resolved, 9)
})

t.test('events come out in the order of revisions, whole, up to what all shards have resolved', async t => {
  let watch = watchApplied(start(), A, 1, [at(4, 'a')])
  watch = watchApplied(watch, B, 1, [at(3, 'x')])
  watch = watchApplied(watch, B, 2, [at(4, 'y')])
  t.strictSame(watchWants(watch), [
    { group: A, revision: 4 },
    { group: B, revision: 4 },
  ])
  watch = watchPromised(watch, A, { revision: 4, index: 1, epoch: 1 })
  t.strictSame(emitMerged(watch).emitted, [])
  const { watch: after, emitted } = emitMerged(watchPromised(watch, B, { revision: 5, index: 2, epoch: 1 }))
  t.strictSame(emitted, [
    { revision: 3, events: [at(3, 'x')] },
    { revision: 4, events: [at(4, 'a'), at(4, 'y')] },
  ])
  t.equal(after.emitted, 4)
  t.strictSame(watchWants(after), [])
  t.throws(() => watchApplied(after, A, 2, [at(4)]), InvariantError)
})

t.test('a transaction’s event may come behind greater revisions of its shard', async t => {
  const watch = watchApplied(watchApplied(start(), A, 1, [at(6)]), A, 2, [at(5)])
  t.strictSame(watch.streams[0]?.events, [at(5), at(6)])
})

t.test('the right half of a split joins where the left was, and holds the watch back', async t => {
  let watch = watchPromised(start(), A, { revision: 5, index: 0, epoch: 1 })
  watch = watchPromised(watch, B, { revision: 9, index: 0, epoch: 1 })
  watch = watchSplit(watch, { group: A, index: 1, epoch: 2, right: C })
  watch = watchPromised(watch, A, { revision: 9, index: 1, epoch: 2 })
  t.equal(emitMerged(watch).watch.emitted, 5)
  watch = watchPromised(watchApplied(watch, C, 1, [at(7)]), C, { revision: 9, index: 1, epoch: 2 })
  t.strictSame(emitMerged(watch).emitted, [{ revision: 7, events: [at(7)] }])
  t.throws(
    () => watchSplit(watch, { group: groupId(8), index: 1, epoch: 2, right: groupId(9) }),
    InvariantError,
  )
})
