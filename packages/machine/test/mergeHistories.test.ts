import t from 'tap'
import { leaseId, utf8, type PlacedEvents } from '@kvorum/model'
import { mergeHistories } from '@kvorum/machine'

const at = (revision: number, ...changes: [position: number, key: string][]): PlacedEvents => ({
  revision,
  positions: changes.map(([position]) => position),
  events: changes.map(([, key]) => ({
    kind: 'put',
    kv: { key: utf8(key), create: revision, mod: revision, version: 1, value: utf8(''), lease: leaseId(0n) },
    prev: null,
  })),
})

const shown = (pages: Parameters<typeof mergeHistories>[0]) => {
  const { events, next } = mergeHistories(pages)
  const lines = events.map(({ revision, events: some }) =>
    [revision, ...some.map(({ kv }) => Buffer.from(kv.key).toString())].join(' '),
  )
  return { lines, next }
}

t.test('pages of several shards come out in the order of revisions', async t => {
  const left = { events: [at(3, [0, 'a']), at(7, [0, 'b'])], next: 11 }
  const right = { events: [at(4, [0, 'x']), at(9, [0, 'y'])], next: 11 }
  t.same(shown([left, right]), { lines: ['3 a', '4 x', '7 b', '9 y'], next: 11 })
})

t.test('as far as the page that ends first: behind it something may be missing', async t => {
  const full = { events: [at(3, [0, 'a']), at(4, [0, 'b'])], next: 5 }
  const rest = { events: [at(2, [0, 'x']), at(5, [0, 'y']), at(9, [0, 'z'])], next: 11 }
  t.same(shown([full, rest]), { lines: ['2 x', '3 a', '4 b'], next: 5 })
})

t.test('changes of one revision have the order of its operations', async t => {
  const left = { events: [at(6, [0, 'a'], [2, 'c'])], next: 7 }
  const right = { events: [at(6, [1, 'x'], [3, 'y'])], next: 7 }
  t.same(shown([right, left]), { lines: ['6 a x c y'], next: 7 })
})

t.test('keys of several shards that one operation deletes come in the order of keys', async t => {
  const left = { events: [at(6, [0, 'a'], [0, 'c'])], next: 7 }
  const middle = { events: [at(6, [0, 'k'])], next: 7 }
  const right = { events: [at(6, [0, 'x'], [1, 'b'])], next: 7 }
  for (const pages of [
    [left, middle, right],
    [right, left, middle],
  ])
    t.same(shown(pages), { lines: ['6 a c k x b'], next: 7 })
})
