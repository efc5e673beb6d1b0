import { EMPTY, groupId, NO_LEASE, utf8, type GroupId, type RevisionEvents } from '@kvorum/model'
import t from 'tap'
import {
  advanceMerging,
  createMerging,
  loseEvents,
  mergingWants,
  splitMerging,
  takeMerged,
  type Merging,
} from '#src/watch/merging.js'

const A = groupId(1)
const B = groupId(2)
const C = groupId(3)
const ROOM = 1_000_000

const put = (revision: number, key: string): RevisionEvents => ({
  revision,
  events: [
    {
      kind: 'put',
      kv: {
        key: utf8(key),
        create: revision,
        mod: revision,
        version: 1,
        value: EMPTY,
        lease: NO_LEASE,
      },
      prev: null,
    },
  ],
})

const start = (seen = 0, from = 0): Merging =>
  createMerging(
    [
      { group: A, epoch: 1 },
      { group: B, epoch: 1 },
    ],
    seen,
    from,
  )

interface News {
  readonly events?: readonly RevisionEvents[]
  readonly promised?: readonly { readonly revision: number; readonly index: number }[]
}

const advance = (merging: Merging, group: GroupId, index: number, news: News = {}, room = ROOM): void =>
  advanceMerging(
    merging,
    new Map([
      [
        group,
        {
          index,
          events: news.events ?? [],
          promised: (news.promised ?? []).map(one => ({ ...one, epoch: 1 })),
        },
      ],
    ]),
    room,
  )

const told = (merging: Merging): readonly number[] | string | null => {
  const merged = takeMerged(merging)
  if (merged === null) return null
  return merged.kind === 'lost'
    ? `lost after ${merged.after}`
    : merged.revisions.map(({ revision }) => revision)
}

t.test('events come out in the order of revisions when every shard has resolved them', async t => {
  const merging = start()
  advance(merging, B, 1, { events: [put(7, 'x')] })
  advance(merging, A, 1, { events: [put(6, 'a')] })
  t.equal(told(merging), null)
  t.strictSame(mergingWants(merging), [
    { group: A, revision: 7 },
    { group: B, revision: 7 },
  ])
  advance(merging, A, 1, { promised: [{ revision: 7, index: 1 }] })
  t.strictSame(mergingWants(merging), [{ group: B, revision: 7 }])
  advance(merging, B, 1, { promised: [{ revision: 7, index: 2 }] })
  t.strictSame(mergingWants(merging), [], 'promised, and this replica lags behind')
  t.equal(told(merging), null)
  advance(merging, B, 2)
  t.strictSame(told(merging), [6, 7])
  t.equal(merging.heldBytes, 0)
})

t.test('what was applied before anybody kept it is read from the history', async t => {
  const merging = start(5)
  t.strictSame(
    mergingWants(merging).map(({ revision }) => revision),
    [5, 5],
    'and asked for, so that it can be told',
  )
  advance(merging, A, 9, { events: [put(8, 'a')], promised: [{ revision: 8, index: 9 }] })
  advance(merging, B, 4, { promised: [{ revision: 8, index: 4 }] })
  t.equal(told(merging), 'lost after 0')
  advance(merging, A, 10, { events: [put(9, 'a')], promised: [{ revision: 9, index: 10 }] })
  advance(merging, B, 4, { promised: [{ revision: 9, index: 4 }] })
  t.strictSame(told(merging), [9])
})

t.test('events that are held for too long are let go, and nothing is left out', async t => {
  const merging = start(1, 1)
  advance(merging, A, 1, { events: [put(3, 'a')] }, 100)
  t.equal(merging.heldBytes, 0)
  advance(merging, A, 2, { events: [put(5, 'a')] })
  for (const group of [A, B]) advance(merging, group, 2, { promised: [{ revision: 2, index: 1 }] })
  t.equal(told(merging), 'lost after 1', 'nobody may take revision 3 for told')
  for (const group of [A, B]) advance(merging, group, 2, { promised: [{ revision: 5, index: 1 }] })
  t.equal(told(merging), 'lost after 2')
  advance(merging, B, 3, { events: [put(6, 'x')] })
  for (const group of [A, B]) advance(merging, group, 3, { promised: [{ revision: 6, index: 2 }] })
  t.strictSame(told(merging), [6])
})

t.test('what a snapshot brought was not seen here', async t => {
  const merging = start(1, 1)
  loseEvents(merging, 10)
  t.strictSame(
    mergingWants(merging).map(({ revision }) => revision),
    [10, 10],
  )
  for (const group of [A, B]) advance(merging, group, 20, { promised: [{ revision: 12, index: 20 }] })
  t.equal(told(merging), 'lost after 1')
})

t.test('the right half of a split joins where the left was', async t => {
  const merging = start(1, 1)
  advance(merging, A, 4, { promised: [{ revision: 5, index: 4 }] })
  splitMerging(merging, { group: A, index: 5, epoch: 2, right: C })
  advance(merging, B, 2, { promised: [{ revision: 9, index: 2 }] })
  merging.wanted = 9
  t.strictSame(mergingWants(merging), [
    { group: A, revision: 9 },
    { group: C, revision: 9 },
  ])
  t.strictSame(told(merging), [])
  t.equal(merging.watch.emitted, 5)
})
