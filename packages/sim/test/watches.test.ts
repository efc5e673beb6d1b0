import t from 'tap'
import {
  evaluate,
  LeaseIntervals,
  mapView,
  applyEvents,
  Random,
  SECOND,
  Truth,
  Violation,
  WatchValidator,
} from '@kvorum/sim'
import {
  ALL_KEYS,
  leaseId,
  NO_LEASE,
  pointRange,
  prefixRange,
  rangeContains,
  utf8,
  type KeyValue,
  type Op,
  type PutOp,
  type RevisionEvents,
  type WatchCreate,
  type WatchEvent,
  type WatchResponse,
} from '@kvorum/model'

const put = (key: string, value: string, lease = NO_LEASE): PutOp => ({
  kind: 'put',
  key: utf8(key),
  value: utf8(value),
  lease,
  prevKv: false,
  ignoreValue: false,
  ignoreLease: false,
})
const remove = (key: string): Op => ({ kind: 'delete', range: pointRange(utf8(key)), prevKv: false })
const both = (...success: Op[]): Op => ({ kind: 'txn', compares: [], success, failure: [] })

/** The truth after these operations, from revision 2 on. */
function truthOf(...ops: Op[]): Truth {
  const truth = new Truth()
  let keys: ReadonlyMap<string, KeyValue> = new Map()
  for (const op of ops) {
    const revision = truth.revision + 1
    const { events } = evaluate(mapView(keys, truth.revision), op, revision)!
    keys = applyEvents(keys, events)
    truth.append({ revision, events })
  }
  return truth
}

const create = (more: Partial<WatchCreate> = {}): WatchCreate => ({
  range: ALL_KEYS,
  startRevision: 1,
  progressNotify: false,
  noPut: false,
  noDelete: false,
  prevKv: true,
  watchId: 0,
  fragment: false,
  ...more,
})

const head = (revision: number): { header: { revision: number; term: number }; watchId: number } => ({
  header: { revision, term: 1 },
  watchId: 0,
})
const created = (revision = 1): WatchResponse => ({ ...head(revision), kind: 'created' })
const events = (
  list: readonly WatchEvent[],
  header = list.at(-1)?.kv.mod ?? 0,
  fragment = false,
): WatchResponse => ({
  ...head(header),
  kind: 'events',
  events: list,
  fragment,
})
const progress = (revision: number): WatchResponse => ({ ...head(revision), kind: 'progress' })
const canceled = (compactRevision: number): WatchResponse => ({
  ...head(0),
  kind: 'canceled',
  reason: '',
  compactRevision,
})

/** Revisions 2 a=1, 3 b=2, 4 a=3 and c=4, 5 a deleted, 6 b=5. */
const TRUTH = truthOf(
  put('a', '1'),
  put('b', '2'),
  both(put('a', '3'), put('c', '4')),
  remove('a'),
  put('b', '5'),
)
const at = (...revisions: number[]): WatchEvent[] =>
  revisions.flatMap(revision => TRUTH.events(revision)!.events)

function verdict(
  request: WatchCreate,
  steps: readonly (WatchResponse | 'resume' | 'finish')[],
  truth = TRUTH,
): string {
  const watch = new WatchValidator(truth, request, 'w')
  try {
    for (const step of steps) {
      if (step === 'resume') watch.resume()
      else if (step === 'finish') watch.finish()
      else watch.observe(step)
    }
    return 'ok'
  } catch (error) {
    if (error instanceof Violation) return error.id
    throw error
  }
}

const compacted = (revision: number): Truth => {
  const truth = truthOf(
    put('a', '1'),
    put('b', '2'),
    both(put('a', '3'), put('c', '4')),
    remove('a'),
    put('b', '5'),
  )
  truth.compact(revision)
  return truth
}
const withoutPrev = (list: readonly WatchEvent[]): WatchEvent[] =>
  list.map(event => ({ ...event, prev: null }))
const [a4, c4] = at(4) as [WatchEvent, WatchEvent]
const wrong = { ...at(3)[0]!, kv: { ...at(3)[0]!.kv, value: utf8('x') } }

const STREAMS: readonly (readonly [
  name: string,
  expected: string,
  request: WatchCreate,
  steps: readonly (WatchResponse | 'resume' | 'finish')[],
  truth?: Truth,
])[] = [
  [
    'everything, one by one',
    'ok',
    create(),
    [created(), events(at(2)), events(at(3)), events(at(4)), events(at(5)), events(at(6)), 'finish'],
  ],
  ['everything at once', 'ok', create(), [created(), events(at(2, 3, 4, 5, 6), 9), 'finish']],
  ['from now on', 'ok', create({ startRevision: 0 }), [created(4), events(at(5)), events(at(6)), 'finish']],
  ['an event from before now', 'I26', create({ startRevision: 0 }), [created(4), events(at(4))]],
  ['events before creation', 'I25', create(), [events(at(2))]],
  ['created twice', 'I25', create(), [created(), created()]],
  ['out of order', 'I25', create(), [created(), events([...at(2), ...at(4), ...at(3)])]],
  ['a gap', 'I27', create(), [created(), events(at(2)), events(at(4))]],
  ['a gap in one response', 'I27', create(), [created(), events(at(2, 4, 5))]],
  ['the end is missing', 'I27', create(), [created(), events(at(2, 3, 4)), 'finish']],
  ['repeated', 'I26', create(), [created(), events(at(2)), events(at(2))]],
  ['repeated in one response', 'I26', create(), [created(), events([...at(2), ...at(2)])]],
  ['a revision in two responses', 'I28', create(), [created(), events(at(2, 3)), events([a4])]],
  ['a revision in the wrong order', 'I28', create(), [created(), events(at(2, 3)), events([c4, a4])]],
  ['fragments nobody asked for', 'I28', create(), [created(), events(at(2, 3)), events([a4], 4, true)]],
  [
    'fragments as asked',
    'ok',
    create({ fragment: true }),
    [created(), events(at(2, 3)), events([a4], 4, true), events([c4]), events(at(5, 6)), 'finish'],
  ],
  [
    'fragments that leave one out',
    'I28',
    create({ fragment: true }),
    [created(), events(at(2, 3)), events([a4], 4, true), events(at(5))],
  ],
  ['a wrong value', 'I31', create(), [created(), events([...at(2), wrong])]],
  [
    'an event from nowhere',
    'I31',
    create({ range: prefixRange(utf8('a')) }),
    [created(), events(at(2)), events(at(3, 4))],
  ],
  [
    'a filtered key',
    'ok',
    create({ range: pointRange(utf8('b')) }),
    [created(), events(at(3)), events(at(6)), 'finish'],
  ],
  ['no puts', 'ok', create({ noPut: true }), [created(), events(at(5)), 'finish']],
  ['no deletes', 'ok', create({ noDelete: true }), [created(), events(at(2, 3, 4)), events(at(6)), 'finish']],
  ['a delete in spite of the filter', 'I31', create({ noDelete: true }), [created(), events(at(2, 3, 4, 5))]],
  [
    'previous values not asked for',
    'ok',
    create({ prevKv: false }),
    [created(), events(withoutPrev(at(2, 3, 4, 5, 6))), 'finish'],
  ],
  ['previous values in spite of that', 'I31', create({ prevKv: false }), [created(), events(at(2, 3, 4))]],
  ['previous values missing', 'I31', create(), [created(), events(withoutPrev(at(2, 3, 4)))]],
  [
    'previous values compacted',
    'ok',
    create({ startRevision: 4 }),
    [created(), events(withoutPrev(at(4))), events(at(5, 6)), 'finish'],
    compacted(4),
  ],
  [
    'resumed',
    'ok',
    create(),
    [created(), events(at(2, 3)), 'resume', created(9), events(at(4, 5, 6), 9), 'finish'],
  ],
  [
    'resumed within fragments',
    'ok',
    create({ fragment: true }),
    [
      created(),
      events(at(2, 3)),
      events([a4], 4, true),
      'resume',
      created(9),
      events(at(4, 5, 6), 9),
      'finish',
    ],
  ],
  [
    'resumed with repeats',
    'I29',
    create(),
    [created(), events(at(2, 3)), 'resume', created(9), events(at(3, 4))],
  ],
  [
    'resumed with a gap',
    'I29',
    create(),
    [created(), events(at(2, 3)), 'resume', created(9), events(at(5, 6))],
  ],
  [
    'resumed before anything came',
    'ok',
    create({ startRevision: 0 }),
    ['resume', created(5), events(at(6)), 'finish'],
  ],
  [
    'progress after everything',
    'ok',
    create(),
    [created(), events(at(2, 3)), progress(3), events(at(4, 5, 6)), progress(8), 'finish'],
  ],
  [
    'progress over silence',
    'ok',
    create({ range: pointRange(utf8('b')) }),
    [created(), events(at(3)), progress(5), events(at(6))],
  ],
  ['progress too early', 'I30', create(), [created(), events(at(2, 3)), progress(4)]],
  [
    'an event at or below progress',
    'I26',
    create(),
    [created(), events(at(2, 3)), progress(3), events(at(3))],
  ],
  [
    'progress within fragments',
    'I30',
    create({ fragment: true }),
    [created(), events(at(2, 3)), events([a4], 4, true), progress(4)],
  ],
  ['a header that goes back', 'I25', create(), [created(), events(at(2, 3), 5), events(at(4), 4)]],
  ['a header behind its events', 'I25', create(), [created(), events(at(2, 3), 2)]],
  ['a future start', 'ok', create({ startRevision: 5 }), [created(2), events(at(5, 6)), 'finish']],
  ['a future start that leaks', 'I32', create({ startRevision: 5 }), [created(2), events(at(4))]],
  ['a future start with early progress', 'I32', create({ startRevision: 5 }), [created(2), progress(3)]],
  ['a compacted start', 'ok', create(), [created(), canceled(5), 'finish'], compacted(5)],
  ['a compacted start with a wrong revision', 'I33', create(), [created(), canceled(6)], compacted(5)],
  [
    'cancelled as compacted without need',
    'I33',
    create({ startRevision: 5 }),
    [created(), canceled(5)],
    compacted(5),
  ],
  ['events after the end', 'I25', create(), [created(), canceled(5), events(at(2))], compacted(5)],
  ['cancelled by the client', 'ok', create(), [created(), events(at(2)), canceled(0), 'finish']],
]

void t.test('streams, each with what it breaks', async t => {
  for (const [name, expected, request, steps, truth] of STREAMS)
    t.equal(verdict(request, steps, truth), expected, name)
})

void t.test('a progress of the whole stream speaks for every watch', async t => {
  const watch = new WatchValidator(TRUTH, create({ range: pointRange(utf8('b')) }), 'w')
  watch.observe(created())
  watch.observe(events(at(3)))
  watch.observeStreamProgress(5)
  t.equal(watch.resumeFrom, 6)
  t.throws(() => watch.observeStreamProgress(6), Violation)
})

/** A server that keeps its promises, in random batches, with resumes. */
function honest(random: Random, truth: Truth, request: WatchCreate): (WatchResponse | 'resume')[] {
  const wanted = [...truth.between(request.startRevision, truth.revision)]
    .map(({ events: all }) =>
      all.filter(
        ({ kind, kv }) =>
          !(kind === 'put' ? request.noPut : request.noDelete) && rangeContains(request.range, kv.key),
      ),
    )
    .filter(all => all.length > 0)
  const steps: (WatchResponse | 'resume')[] = [created()]
  for (let i = 0; i < wanted.length;) {
    const batch = wanted.slice(i, (i += random.int(1, 3))).flat()
    const header = batch.at(-1)!.kv.mod
    const cut = random.int(1, batch.length)
    if (request.fragment && cut < batch.length)
      steps.push(events(batch.slice(0, cut), header, true), events(batch.slice(cut), header))
    else steps.push(events(batch, header))
    if (random.chance(0.2)) steps.push('resume', created(header))
    else if (random.chance(0.25)) steps.push(progress(header))
  }
  return steps
}

void t.test('honest streams pass, and every loss, repeat and swap is noticed', async t => {
  let noticed = 0
  for (let seed = 0; seed < 3000; seed++) {
    const random = new Random(seed)
    const key = (): string => random.pick(['a', 'b', 'c'])
    const ops = Array.from({ length: 12 }, (_, i): Op => {
      if (random.chance(0.3)) return both(put('a', `${i}`), put(`d${i}`, `${i}`), put('b', `${i}`))
      return put(key(), `${i}`)
    })
    const truth = truthOf(...ops)
    const range = random.pick([ALL_KEYS, prefixRange(utf8('a')), prefixRange(utf8('d'))])
    const request = create({ range, fragment: random.chance(0.3), startRevision: random.int(1, 8) })
    const steps = honest(random, truth, request)
    if (verdict(request, [...steps, 'finish'], truth) !== 'ok')
      return t.fail(`seed ${seed}: an honest stream was rejected`)
    const place = random.pick(
      steps.flatMap((step, i) => (step !== 'resume' && step.kind === 'events' ? [i] : [])).concat(-1),
    )
    const step = steps[place]
    if (step === undefined || step === 'resume' || step.kind !== 'events') continue
    const which = random.int(0, step.events.length - 1)
    const broken = random.pick([
      step.events.toSpliced(which, 1),
      step.events.toSpliced(which, 0, step.events[which]!),
      [...step.events.slice(1), step.events[0]!],
      step.events.with(which, { ...step.events[which]!, prev: step.events[which]!.kv }),
    ])
    const unchanged =
      broken.length === step.events.length && broken.every((event, i) => event === step.events[i])
    if (unchanged || broken.length === 0) continue
    const found = verdict(request, [...steps.with(place, { ...step, events: broken }), 'finish'], truth)
    if (found === 'ok') return t.fail(`seed ${seed}: not noticed`, { steps, broken })
    noticed++
  }
  t.ok(noticed > 1500, `${noticed} of 3000`)
})

const change = (
  revision: number,
  ...list: readonly (readonly ['put' | 'delete', string, bigint])[]
): RevisionEvents => ({
  revision,
  events: list.map(([kind, key, lease]): WatchEvent => ({
    kind,
    kv: { key: utf8(key), create: 2, mod: revision, version: 1, value: utf8(''), lease: leaseId(lease) },
    prev: null,
  })),
})

void t.test('leases', async t => {
  const L = leaseId(7n)
  const story = (): LeaseIntervals => {
    const leases = new LeaseIntervals({ drift: 0.25 })
    leases.granted(L, 10)
    leases.renewed(L, 0)
    leases.changed(change(2, ['put', 'a', 7n], ['put', 'b', 7n], ['put', 'c', 0n]))
    return leases
  }
  const keys = change(3, ['delete', 'a', 0n], ['delete', 'b', 0n])
  const breaks = (id: string, name: string, bad: (leases: LeaseIntervals) => void): void => {
    try {
      bad(story())
      t.fail(`${name}: not noticed`)
    } catch (error) {
      t.equal(error instanceof Violation ? error.id : error, id, name)
    }
  }
  const fine = (name: string, good: (leases: LeaseIntervals) => void): void => {
    t.doesNotThrow(() => good(story()), name)
  }
  fine('expires when its time has passed', leases => leases.ended(L, 'expired', 8 * SECOND, keys))
  breaks('I35', 'expires early', leases => leases.ended(L, 'expired', 8 * SECOND - 1, keys))
  fine('renewed, expires later', leases => {
    leases.renewed(L, 5 * SECOND)
    leases.ended(L, 'expired', 13 * SECOND, keys)
  })
  breaks('I35', 'renewed, expires as if it was not', leases => {
    leases.renewed(L, 5 * SECOND)
    leases.ended(L, 'expired', 10 * SECOND, keys)
  })
  breaks('I35', 'a renewal that is answered after the expiry', leases => {
    leases.ended(L, 'expired', 9 * SECOND, keys)
    leases.renewed(L, 8 * SECOND)
  })
  fine('revoked at any time', leases => leases.ended(L, 'revoked', 1, keys))
  breaks('I36', 'a key stays', leases => leases.ended(L, 'revoked', 1, change(3, ['delete', 'a', 0n])))
  breaks('I36', 'no key goes', leases => leases.ended(L, 'revoked', 1, null))
  breaks('I36', 'another key goes', leases =>
    leases.ended(L, 'revoked', 1, change(3, ['delete', 'a', 0n], ['delete', 'b', 0n], ['delete', 'c', 0n])),
  )
  fine('a detached key stays', leases => {
    leases.changed(change(3, ['put', 'b', 0n]))
    leases.ended(L, 'revoked', 1, change(4, ['delete', 'a', 0n]))
  })
  breaks('I37', 'a keep-alive after the end', leases => {
    leases.ended(L, 'revoked', 5, keys)
    leases.renewed(L, 6)
  })
  fine('a keep-alive that was on its way', leases => {
    leases.ended(L, 'revoked', 5, keys)
    leases.renewed(L, 5)
  })
  breaks('I38', 'a put on a dead lease', leases => {
    leases.ended(L, 'revoked', 5, keys)
    leases.changed(change(4, ['put', 'a', 7n]))
  })
  breaks('I38', 'a put on a lease that never was', leases => leases.changed(change(3, ['put', 'a', 8n])))
  breaks('I38', 'ended twice', leases => {
    leases.ended(L, 'revoked', 5, keys)
    leases.ended(L, 'revoked', 6, null)
  })
  fine('a key moves to another lease', leases => {
    leases.granted(leaseId(8n), 10)
    leases.changed(change(3, ['put', 'a', 8n]))
    leases.listed(L, [utf8('b')])
    leases.listed(leaseId(8n), [utf8('a')])
  })
  breaks('I38', 'listed under two leases', leases => {
    leases.granted(leaseId(8n), 10)
    leases.changed(change(3, ['put', 'a', 8n]))
    leases.listed(L, [utf8('a'), utf8('b')])
  })
})
