import t from 'tap'
import { groupId } from '@kvorum/model'
import type { Entry } from '@kvorum/model'
import {
  createLog,
  currentSegment,
  locate,
  logBytes,
  MemoryDisk,
  planBatch,
  planCover,
  planMove,
  planPurge,
  releaseTo,
  segmentName,
} from '@kvorum/storage'
import type { LogState } from '@kvorum/storage'
import {
  batchOf,
  carryOut,
  chance,
  describe,
  entriesFrom,
  entry,
  G1,
  G2,
  hard,
  IDENTITY,
  OPTIONS,
  peer,
  persist,
  purgeAll,
  purgeOps,
  readGroup,
  reopen,
  viewOf,
} from './rig.js'

const newLog = (options = OPTIONS): { disk: MemoryDisk; log: LogState } => ({
  disk: new MemoryDisk(),
  log: createLog(IDENTITY, options),
})

t.test('a batch is one write and one sync; a new segment is made durable before', async t => {
  const { disk, log } = newLog()
  const first = planBatch(log, batchOf(G1, { entries: entriesFrom(1, 2, 1) }))
  const kinds = (ops: readonly { kind: string }[]): string => ops.map(({ kind }) => kind).join(' ')
  t.equal(kinds(first), 'create write sync syncDirectory write sync')
  carryOut(disk, log, first)
  const groups = [
    persist(G1, { entries: entriesFrom(3, 5, 1), hardState: hard(1, 1, 2) }),
    persist(G2, { hardState: hard(7, 0, 0) }),
  ]
  const second = planBatch(log, { groups, peers: [peer(1n, 1)], admitted: true })
  t.equal(kinds(second), 'write sync')
  carryOut(disk, log, second)
  t.equal(kinds(planCover(log)!), 'write sync')
})

t.test('cover: once, and only behind a batch', async t => {
  const { disk, log } = newLog()
  t.equal(planCover(log), null, 'a new log has nothing to cover')
  carryOut(disk, log, planBatch(log, batchOf(G1, {})))
  carryOut(disk, log, planCover(log))
  t.equal(planCover(log), null)
  carryOut(disk, log, planBatch(log, batchOf(G1, { hardState: hard(1, 1, 0) })))
  t.not(planCover(log), null)
})

t.test('what does not fit the log is a broken invariant', async t => {
  const { disk, log } = newLog()
  carryOut(disk, log, planBatch(log, batchOf(G1, { entries: entriesFrom(1, 5, 1) })))
  const refused = (entries: Entry[], match: RegExp): void => {
    t.throws(() => planBatch(log, batchOf(G1, { entries })), match)
    t.equal(log.planned, null)
  }
  refused(entriesFrom(7, 1, 1), /7 does not follow 0\.\.5/)
  refused([entry(6, 1), entry(8, 1)], /8 does not follow/)
  refused([entry(0, 1)], /does not follow/)
  refused([{ ...entry(6, 1), time: 1.5 }], /no time/)
  const twice = [persist(G1, {}), persist(G1, {})]
  t.throws(() => planBatch(log, { groups: twice }), /twice in one batch/)
  releaseTo(log, G1, 3)
  refused(entriesFrom(3, 1, 1), /3 does not follow 3\.\.5/)
  t.throws(() => releaseTo(log, G1, 9), /cannot release 9/)
  planBatch(log, {})
  t.throws(() => planBatch(log, {}), /neither confirmed nor abandoned/)
  t.throws(() => planCover(log), /neither confirmed nor abandoned/)
})

t.test('entries replace, bases drop, snapshots reset', async t => {
  const { disk, log } = newLog()
  const now = (): string[] =>
    viewOf(disk, log).groups[1]!.entries.map(each => each.split('/').slice(0, 2).join('/'))
  const write = (each: Parameters<typeof batchOf>[1]): string[] => {
    carryOut(disk, log, planBatch(log, batchOf(G1, each)))
    t.same(viewOf(disk, reopen(disk.copy()).log), viewOf(disk, log), 'and after a restart')
    return now()
  }
  t.same(write({ entries: entriesFrom(1, 4, 1) }), ['1/1', '2/1', '3/1', '4/1'])
  t.same(write({ entries: entriesFrom(3, 1, 2) }), ['1/1', '2/1', '3/2'], 'what was after it is gone')
  t.same(write({ entries: [entry(4, 2), entry(5, 3), entry(6, 3)] }), [
    '1/1',
    '2/1',
    '3/2',
    '4/2',
    '5/3',
    '6/3',
  ])
  t.same(write({ reset: { base: { index: 2, term: 1 }, keep: true } }), ['3/2', '4/2', '5/3', '6/3'])
  t.same(write({ reset: { base: { index: 4, term: 2 }, keep: true }, entries: [entry(5, 4)] }), ['5/4'])
  t.same(write({ reset: { base: { index: 90, term: 9 }, keep: false } }), [])
  t.same(write({ entries: entriesFrom(91, 2, 9) }), ['91/9', '92/9'])
  t.same(write({ reset: { base: { index: 95, term: 9 }, keep: true } }), [], 'a base beyond the end')
  t.same(
    write({
      reset: { base: { index: 100, term: 10 }, keep: false },
      entries: entriesFrom(101, 2, 10),
      hardState: hard(10, 1, 101),
    }),
    ['101/10', '102/10'],
  )
})

t.test('reading: any range, as many bytes as asked for, at least one', async t => {
  const { disk, log } = newLog({ ...OPTIONS, segmentBytes: 3000 })
  for (let i = 0; i < 30; i++)
    carryOut(
      disk,
      log,
      planBatch(log, {
        groups: [
          persist(G1, { entries: entriesFrom(i * 3 + 1, 3, 1 + (i >> 3), 60) }),
          persist(G2, { hardState: hard(i, 0, 0) }),
        ],
      }),
    )
  const indices = (from: number, to: number, bytesMax?: number): number[] => {
    const entries = readGroup(disk, log, G1, from, to, bytesMax)
    return typeof entries === 'string' ? [] : entries.map(({ index }) => index)
  }
  const range = (from: number, to: number): number[] =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i)
  t.same(indices(1, 90), range(1, 90))
  t.same(indices(17, 64), range(17, 64))
  t.same(indices(90, 1000), [90])
  t.same(indices(91, 1000), [])
  t.same(indices(5, 4), [])
  t.same(indices(1, 90, 0), [1])
  t.same(indices(2, 90, 108), [2], 'an entry is charged with its overhead')
  t.same(indices(2, 90, 215), [2])
  t.same(indices(2, 90, 216), [2, 3])
  t.same(indices(2, 90, 108 * 20), range(2, 21))
  releaseTo(log, G1, 40)
  t.same(indices(40, 50), [])
  t.same(indices(41, 50), range(41, 50))
  t.same(readGroup(disk, log, groupId(77), 1, 5), [])
  const located = locate(log, G1, 41, 90, Number.POSITIVE_INFINITY)!
  const { reads } = located
  t.ok(reads.length <= log.segments.length, `neighbours are read at once: ${reads.length} reads`)
})

t.test('large entries: more than a segment, more than a run', async t => {
  const { disk, log } = newLog()
  const sizes = [1, 300_000, 5, 5000, 256 * 1024, 0, 70_000, 3]
  const entries = sizes.map((size, at) => ({ ...entry(at + 1, 1), data: Buffer.alloc(size, at + 1) }))
  carryOut(disk, log, planBatch(log, batchOf(G1, { entries })))
  carryOut(disk, log, planBatch(log, batchOf(G1, { entries: entriesFrom(9, 2, 1) })))
  t.equal(currentSegment(log), 2, 'the next batch goes to another segment')
  const opened = reopen(disk)
  t.same(
    (readGroup(disk, opened.log, G1, 1, 10) as Entry[]).map(({ data }) => data.length),
    [...sizes, 3, 4].map((n, i) => (i === 9 ? 4 : n)),
  )
  t.same(
    (readGroup(disk, opened.log, G1, 2, 3, 1) as Entry[]).map(({ index }) => index),
    [2],
  )
})

t.test('a thousand groups share the log; one write for all', async t => {
  const { disk, log } = newLog({ ...OPTIONS, segmentBytes: 256 * 1024 })
  const ids = Array.from({ length: 1000 }, (_, i) => groupId(i))
  for (let round = 0; round < 8; round++) {
    const groups = ids.map(id =>
      persist(id, { entries: entriesFrom(round * 2 + 1, 2, 1, 40), hardState: hard(1, id % 3, round) }),
    )
    const ops = planBatch(log, { groups })
    t.equal(
      ops.filter(({ kind }) => kind === 'write').length,
      round === 0 || log.planned?.roll != null ? 2 : 1,
    )
    carryOut(disk, log, ops)
  }
  t.ok(log.segments.length > 3)
  const opened = reopen(disk)
  t.equal(opened.groups.length, 1000)
  t.ok(
    opened.groups.every(
      ({ corrupt, lastIndex, hardState }) => corrupt === null && lastIndex === 16 && hardState.commit === 7,
    ),
  )
  t.same(viewOf(disk, opened.log), viewOf(disk, log))
  for (const id of ids) releaseTo(log, id, id === 500 ? 2 : 16)
  purgeAll(disk, log)
  t.ok(log.segments.length <= 4, `${log.segments.length} segments are left`)
  t.same(viewOf(disk, reopen(disk).log), viewOf(disk, log))
})

t.test('purge: deletes what nobody needs, and the rest of the log still says everything', async t => {
  const { disk, log } = newLog()
  const boot = { incarnation: IDENTITY.incarnation, boot: 3, nonce: 99n }
  const quiet = groupId(7)
  carryOut(
    disk,
    log,
    planBatch(log, {
      boot,
      peers: [peer(4n, 2)],
      admitted: true,
      groups: [persist(quiet, { hardState: hard(5, 1, 0) })],
    }),
  )
  for (let i = 0; i < 40; i++)
    carryOut(
      disk,
      log,
      planBatch(log, {
        groups: [persist(G1, { entries: entriesFrom(i + 1, 1, 1, 300), hardState: hard(1, 1, i) })],
      }),
    )
  t.equal(planPurge(log), null, 'everything is needed')
  releaseTo(log, G1, 35)
  const before = viewOf(disk, log)
  const bytes = logBytes(log)
  t.equal(planPurge(log)?.kind, 'delete')
  t.equal(purgeAll(disk, log), 1)
  t.ok(logBytes(log) < bytes / 2)
  t.same(viewOf(disk, log), before)
  const opened = reopen(disk)
  t.same(viewOf(disk, opened.log), before)
  t.match(opened, { boot, peers: [peer(4n, 2)], admitted: true })
  t.same(
    disk.listSync().map(({ name }) => name),
    opened.log.segments.map(({ number }) => segmentName(number)),
  )
})

t.test('purge: what a lagging group needs moves forward', async t => {
  const { disk, log } = newLog()
  const lagging = entriesFrom(1, 6, 1, 400)
  for (const each of lagging)
    carryOut(disk, log, planBatch(log, batchOf(G2, { entries: [each], hardState: hard(1, 2, 0) })))
  for (let i = 0; i < 60; i++) {
    carryOut(
      disk,
      log,
      planBatch(log, batchOf(G1, { entries: entriesFrom(i + 1, 1, 1, 300), hardState: hard(1, 1, i) })),
    )
    releaseTo(log, G1, i + 1)
  }
  const segments = log.segments.length
  const before = viewOf(disk, log)
  t.match(planPurge(log), { kind: 'move', group: G2, from: 1 })
  t.ok(purgeAll(disk, log) >= 3, 'moved in several steps, then deleted')
  t.ok(segments > 5 && log.segments.length <= 4, `${segments} segments, then ${log.segments.length}`)
  t.same(viewOf(disk, log), before)
  const opened = reopen(disk)
  t.same(viewOf(disk, opened.log), before)
  t.same(opened.groups[1]!.entries.map(describe), lagging.map(describe), 'also from the cache')
  carryOut(disk, opened.log, planBatch(opened.log, batchOf(G2, { entries: entriesFrom(4, 1, 2) })))
  t.equal(reopen(disk).groups[1]!.lastIndex, 4, 'a moved entry can be replaced')
  t.equal(reopen(disk).groups[1]!.corrupt, null)
})

t.test('purge: a few pinned segments are not worth moving entries for', async t => {
  const { disk, log } = newLog({ ...OPTIONS, pinnedSegmentsMax: 50 })
  carryOut(disk, log, planBatch(log, batchOf(G2, { entries: entriesFrom(1, 1, 1) })))
  for (let i = 0; i < 60; i++)
    carryOut(disk, log, planBatch(log, batchOf(G1, { entries: entriesFrom(i + 1, 1, 1, 300) })))
  releaseTo(log, G1, 60)
  t.equal(planPurge(log), null)
  releaseTo(log, G2, 1)
  t.equal(planPurge(log)?.kind, 'delete')
})

t.test('purge: a log that is needed as a whole is left alone', async t => {
  const { disk, log } = newLog()
  for (let i = 0; i < 100; i++)
    carryOut(disk, log, planBatch(log, batchOf(G1, { entries: entriesFrom(i + 1, 1, 1, 300) })))
  t.ok(log.segments.length > 6)
  t.equal(planPurge(log), null)
  releaseTo(log, G1, 10)
  t.equal(purgeAll(disk, log), 1, 'what can go goes')
  t.equal(planPurge(log), null)
})

t.test('purge: entries that were replaced while they were read are not moved', async t => {
  const { disk, log } = newLog()
  carryOut(disk, log, planBatch(log, batchOf(G2, { entries: entriesFrom(1, 3, 1) })))
  const stale = readGroup(disk, log, G2, 1, 3) as Entry[]
  carryOut(disk, log, planBatch(log, batchOf(G2, { entries: entriesFrom(2, 3, 2) })))
  const before = viewOf(disk, log)
  carryOut(disk, log, planMove(log, G2, stale))
  t.same(viewOf(disk, log), before)
  t.same(viewOf(disk, reopen(disk).log), before)
  releaseTo(log, G2, 4)
  t.equal(planMove(log, G2, stale), null)
  t.equal(planMove(log, groupId(9), stale), null)
  t.equal(planMove(log, G2, []), null)
})

t.test('purge: a base that was planned before a later release does not bring entries back', async t => {
  const { disk, log } = newLog()
  carryOut(disk, log, planBatch(log, batchOf(G1, { entries: entriesFrom(1, 20, 1) })))
  const ops = planBatch(log, batchOf(G1, { reset: { base: { index: 5, term: 1 }, keep: true } }))
  releaseTo(log, G1, 10)
  carryOut(disk, log, ops)
  t.same(log.groups.get(G1)!.base, { index: 10, term: 1 })
  t.equal((readGroup(disk, log, G1, 11, 20) as Entry[]).length, 10)
  t.equal(reopen(disk).groups[0]!.base.index, 5, 'the disk knows the older one until the next purge')
})

t.test('a removed group is forgotten, and may be made again', async t => {
  const { disk, log } = newLog()
  carryOut(
    disk,
    log,
    planBatch(log, batchOf(G1, { entries: entriesFrom(1, 5, 3), hardState: hard(3, 1, 4) })),
  )
  carryOut(disk, log, planBatch(log, { removed: [G1] }))
  t.same(reopen(disk).groups, [])
  carryOut(
    disk,
    log,
    planBatch(log, { removed: [G1], groups: [persist(G1, { entries: entriesFrom(1, 1, 9) })] }),
  )
  t.match(reopen(disk).groups, [
    { lastIndex: 1, hardState: hard(0, 0, 0), termRuns: [{ first: 1, term: 9 }], corrupt: null },
  ])
})

t.test('long lives: rolling, purging, restarting, with few segments left', async t => {
  const random = chance(8)
  const { disk, log: first } = newLog()
  let log = first
  let index = 0
  for (let i = 0; i < 600; i++) {
    const entries = entriesFrom(index + 1, 1 + Math.floor(random() * 3), 1 + Math.floor(i / 100), 120)
    index += entries.length
    carryOut(
      disk,
      log,
      planBatch(log, batchOf(G1, { entries, hardState: hard(1 + Math.floor(i / 100), 1, index) })),
    )
    if (i % 20 === 19) {
      releaseTo(log, G1, index - 10)
      carryOut(disk, log, purgeOps(disk, log))
    }
    if (i % 97 === 96) log = reopen(disk).log
  }
  t.ok(currentSegment(log) > 40, `${currentSegment(log)} segments were written`)
  t.ok(log.segments.length < 8)
  t.equal(log.groups.get(G1)!.last, index)
  t.equal((readGroup(disk, log, G1, index - 9, index) as Entry[]).length, 10)
})

t.test('the index of a group is numbers, not objects', async t => {
  const { disk, log } = newLog({ ...OPTIONS, segmentBytes: 1 << 24 })
  for (let i = 1; i <= 2000; i++) carryOut(disk, log, planBatch(log, batchOf(G1, { entries: [entry(i, 1)] })))
  const { rows } = log.groups.get(G1)!
  t.ok(rows.offset instanceof Uint32Array)
  t.equal(rows.tail - rows.head, 2000)
  t.ok(rows.first.length <= 4096)
  for (let i = 0; i < 40; i++) {
    releaseTo(log, G1, 1900 + i * 50)
    for (let j = 1; j <= 50; j++) {
      const next = log.groups.get(G1)!.last + 1
      carryOut(disk, log, planBatch(log, batchOf(G1, { entries: [entry(next, 1)] })))
    }
  }
  t.ok(rows.first.length <= 4096, 'the columns do not grow with what was dropped')
  t.equal(
    readGroup(disk, log, G1, log.groups.get(G1)!.base.index + 1, 4000).length,
    4000 - log.groups.get(G1)!.base.index,
  )
})

t.test('the buffer of a batch is used again, a huge one is not kept', async t => {
  const { disk, log } = newLog({ ...OPTIONS, segmentBytes: 1 << 26 })
  carryOut(disk, log, planBatch(log, batchOf(G1, { entries: entriesFrom(1, 128, 1, 300) })))
  const { scratch } = log
  carryOut(disk, log, planBatch(log, batchOf(G1, { entries: entriesFrom(129, 128, 1, 300) })))
  t.equal(log.scratch, scratch)
  carryOut(
    disk,
    log,
    planBatch(log, batchOf(G1, { entries: [{ ...entry(257, 1), data: Buffer.alloc(9 << 20) }] })),
  )
  t.equal(log.scratch, scratch)
})
