import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { concatBytes, EMPTY, toHex } from '@kvorum/model'
import type { StoreAnswer, StoreScan, StoreWrite } from '@kvorum/model'
import { LevelEngine, MemoryEngine } from '@kvorum/storage'
import type { Engine } from '@kvorum/storage'
import { chance, pick } from './rig.js'

/** One suite for every engine. Keys and values are written as text; '\\xff' is the byte. */
const directories: string[] = []
t.teardown(() => directories.forEach(directory => rmSync(directory, { recursive: true, force: true })))

const newDirectory = (): string => {
  const directory = mkdtempSync(join(tmpdir(), 'kvorum-engine-'))
  directories.push(directory)
  return directory
}

const makers: Record<string, () => Promise<Engine>> = {
  MemoryEngine: async () => new MemoryEngine(),
  LevelEngine: async () => LevelEngine.open(newDirectory()),
}

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const text = (value: Uint8Array | null): string | null =>
  value === null ? null : Buffer.from(value).toString('latin1')
const put = (key: string, value: string): StoreWrite => ({ key: bytes(key), value: bytes(value) })
const del = (key: string): StoreWrite => ({ key: bytes(key), value: null })
const noSync = { sync: false }

const scanOf = (gte: string, lt: string, more: Partial<StoreScan> = {}): StoreScan => ({
  gte: bytes(gte),
  lt: bytes(lt),
  reverse: false,
  values: true,
  rowsMax: 1000,
  bytesMax: 1 << 20,
  ...more,
})

const get = async (engine: Engine, ...keys: string[]): Promise<(string | null)[]> =>
  (await engine.fetch({ gets: keys.map(bytes), scans: [] })).values.map(text)

const shown = ({ pages }: StoreAnswer): string =>
  pages
    .map(
      ({ rows, more }) =>
        rows.map(row => `${text(row.key)}=${text(row.value)}`).join(' ') + (more ? ' ...' : ''),
    )
    .join(' | ')

const scan = async (engine: Engine, ...scans: StoreScan[]): Promise<string> =>
  shown(await engine.fetch({ gets: [], scans }))

/** Batches, then a scan of everything from '' to '\xff\xff'. */
const BATCHES: readonly (readonly [string, readonly (readonly StoreWrite[])[], string])[] = [
  ['nothing', [], ''],
  ['an empty batch', [[]], ''],
  ['a put', [[put('a', '1')]], 'a=1'],
  ['puts in any order', [[put('c', '3'), put('a', '1'), put('b', '2')]], 'a=1 b=2 c=3'],
  ['a put over a put', [[put('a', '1')], [put('a', '2')]], 'a=2'],
  ['the later write of a batch wins', [[put('a', '1'), put('a', '2')]], 'a=2'],
  ['put and delete in a batch', [[put('a', '1'), del('a')]], ''],
  ['delete and put in a batch', [[put('a', '0')], [del('a'), put('a', '1')]], 'a=1'],
  ['a delete', [[put('a', '1'), put('b', '2')], [del('a')]], 'b=2'],
  ['a delete of nothing', [[del('a')]], ''],
  ['an empty value', [[put('a', '')]], 'a='],
  ['the empty key', [[put('', 'x'), put('a', '1')]], '=x a=1'],
  ['keys that are prefixes', [[put('ab', '2'), put('a', '1'), put('abc', '3')]], 'a=1 ab=2 abc=3'],
  ['zero bytes', [[put('a\0', '2'), put('a', '1'), put('a\0\0', '3')]], 'a=1 a\0=2 a\0\0=3'],
  ['high bytes', [[put('\xff', '3'), put('\x80', '2'), put('\x7f', '1')]], '\x7f=1 \x80=2 \xff=3'],
  [
    'bytes that are no UTF-8',
    [[put('\xc3\x28', 'x'), put('\xe2\x82', 'y'), put('\xfe', '\xfe')]],
    '\xc3\x28=x \xe2\x82=y \xfe=\xfe',
  ],
  [
    'many small batches',
    Array.from({ length: 20 }, (_, i) => [put(`k${i % 5}`, `${i}`)]),
    'k0=15 k1=16 k2=17 k3=18 k4=19',
  ],
]

/** Scans of a=1 b=22 c=333 d=4444 e=55555. */
const ROWS = [put('a', '1'), put('b', '22'), put('c', '333'), put('d', '4444'), put('e', '55555')]
const SCANS: readonly (readonly [string, StoreScan, string])[] = [
  ['everything', scanOf('', '\xff'), 'a=1 b=22 c=333 d=4444 e=55555'],
  ['a range', scanOf('b', 'd'), 'b=22 c=333'],
  ['a range that starts between', scanOf('b0', 'd'), 'c=333'],
  ['a range that ends between', scanOf('b', 'c0'), 'b=22 c=333'],
  ['one key', scanOf('c', 'c\0'), 'c=333'],
  ['an empty range', scanOf('c', 'c'), ''],
  ['a range backwards', scanOf('d', 'b'), ''],
  ['a range between keys', scanOf('b0', 'b9'), ''],
  ['a range before all', scanOf('', 'a'), ''],
  ['a range behind all', scanOf('f', '\xff'), ''],
  ['reverse', scanOf('', '\xff', { reverse: true }), 'e=55555 d=4444 c=333 b=22 a=1'],
  ['reverse range', scanOf('b', 'd', { reverse: true }), 'c=333 b=22'],
  ['reverse range, ends between', scanOf('b0', 'd0', { reverse: true }), 'd=4444 c=333'],
  ['reverse, empty', scanOf('c', 'c', { reverse: true }), ''],
  ['keys only', scanOf('b', 'e', { values: false }), 'b= c= d='],
  ['keys only, reverse', scanOf('b', 'e', { values: false, reverse: true }), 'd= c= b='],
  ['rowsMax', scanOf('', '\xff', { rowsMax: 2 }), 'a=1 b=22 ...'],
  ['rowsMax reached at the end', scanOf('', '\xff', { rowsMax: 5 }), 'a=1 b=22 c=333 d=4444 e=55555'],
  ['rowsMax reached at the range’s end', scanOf('b', 'd', { rowsMax: 2 }), 'b=22 c=333'],
  ['rowsMax 1', scanOf('b', 'd', { rowsMax: 1 }), 'b=22 ...'],
  ['rowsMax 1 of 1', scanOf('b', 'b\0', { rowsMax: 1 }), 'b=22'],
  ['rowsMax, reverse', scanOf('', '\xff', { rowsMax: 2, reverse: true }), 'e=55555 d=4444 ...'],
  ['bytesMax', scanOf('', '\xff', { bytesMax: 9 }), 'a=1 b=22 c=333 ...'],
  ['bytesMax exactly', scanOf('a', 'd', { bytesMax: 9 }), 'a=1 b=22 c=333'],
  ['bytesMax one less', scanOf('a', 'd', { bytesMax: 8 }), 'a=1 b=22 ...'],
  ['bytesMax 0: the first row always fits', scanOf('c', '\xff', { bytesMax: 0 }), 'c=333 ...'],
  ['bytesMax 0, one row', scanOf('e', '\xff', { bytesMax: 0 }), 'e=55555'],
  [
    'bytesMax counts keys alone where no values are wanted',
    scanOf('', '\xff', { bytesMax: 3, values: false }),
    'a= b= c= ...',
  ],
  ['bytesMax, reverse', scanOf('', '\xff', { bytesMax: 11, reverse: true }), 'e=55555 d=4444 ...'],
]

for (const [name, make] of Object.entries(makers)) {
  t.test(`${name}: batches`, async t => {
    for (const [title, batches, expected] of BATCHES) {
      const engine = await make()
      for (const batch of batches) await engine.batch(batch, noSync)
      t.equal(await scan(engine, scanOf('', '\xff\xff')), expected, title)
      await engine.close()
    }
  })

  t.test(`${name}: scans`, async t => {
    const engine = await make()
    await engine.batch(ROWS, { sync: true })
    for (const [title, each, expected] of SCANS) t.equal(await scan(engine, each), expected, title)
    t.equal(
      await scan(engine, scanOf('a', 'c'), scanOf('d', 'e'), scanOf('a', 'e', { rowsMax: 1 })),
      'a=1 b=22 | d=4444 | a=1 ...',
      'several at once, in their order',
    )
    t.ok(BATCHES.length + SCANS.length + 20 >= 60)
    await engine.close()
  })

  t.test(`${name}: gets`, async t => {
    const engine = await make()
    await engine.batch([...ROWS, put('empty', '')], noSync)
    t.same(await get(engine), [])
    t.same(await get(engine, 'c', 'nothing', 'a', 'c', 'empty', ''), ['333', null, '1', '333', '', null])
    const answer = await engine.fetch({ gets: [bytes('b')], scans: [scanOf('d', 'e')] })
    t.equal(text(answer.values[0]!), '22')
    t.equal(shown(answer), 'd=4444')
    await engine.close()
  })

  t.test(`${name}: at once`, async t => {
    const engine = await make()
    await engine.batch(ROWS, noSync)
    const now = (...keys: string[]): unknown =>
      engine.fetchNow({ gets: keys.map(bytes), scans: [] })?.values.map(text)
    t.same(now('a', 'x', 'e'), ['1', null, '55555'])
    t.same(now(), [])
    t.same(
      now(...Array.from({ length: 16 }, () => 'a')),
      Array.from({ length: 16 }, () => '1'),
    )
    t.equal(
      engine.fetchNow({ gets: Array.from({ length: 17 }, () => bytes('a')), scans: [] }),
      null,
      'too many',
    )
    t.equal(engine.fetchNow({ gets: [], scans: [scanOf('a', 'b')] }), null, 'scans take time')
    await engine.close()
  })

  t.test(`${name}: a fetch sees the store as it was when it was ordered`, async t => {
    const engine = await make()
    await engine.batch([put('a', 'old'), put('b', 'old')], noSync)
    const early = engine.fetch({ gets: [bytes('a')], scans: [scanOf('', '\xff'), scanOf('b', 'c')] })
    const written = engine.batch([put('a', 'new'), del('b'), put('c', 'new')], noSync)
    const answer = await early
    t.equal(text(answer.values[0]!), 'old')
    t.equal(shown(answer), 'a=old b=old | b=old')
    await written
    t.equal(await scan(engine, scanOf('', '\xff')), 'a=new c=new')
    await engine.close()
  })

  t.test(`${name}: views`, async t => {
    const engine = await make()
    await engine.batch([put('a', '1')], noSync)
    const first = engine.openView()
    await engine.batch([put('a', '2'), put('b', '2')], noSync)
    const second = engine.openView()
    t.not(first, second)
    await engine.batch([del('a')], { sync: true })
    const seen = async (view?: number): Promise<string> =>
      shown(await engine.fetch({ gets: [], scans: [scanOf('', '\xff')] }, view))
    t.equal(await seen(first), 'a=1')
    t.equal(await seen(second), 'a=2 b=2')
    t.equal(await seen(), 'b=2')
    const underWay = engine.fetch({ gets: [bytes('a')], scans: [scanOf('', 'b'), scanOf('', 'b')] }, first)
    engine.closeView(first)
    engine.closeView(first)
    t.equal(shown(await underWay), 'a=1 | a=1', 'a fetch under way finishes')
    await t.rejects(engine.fetch({ gets: [bytes('a')], scans: [] }, first), { code: 'closed' })
    t.equal(await seen(second), 'a=2 b=2')
    const third = engine.openView()
    t.ok(third > second, 'numbers are not used twice')
    engine.closeView(second)
    await engine.close()
  })

  t.test(`${name}: batches keep the order of the calls`, async t => {
    const engine = await make()
    const written: Promise<void>[] = []
    for (let i = 0; i < 60; i++)
      written.push(
        engine.batch([put('last', `${i}`), put(`k${i}`, 'x'.repeat((i * 997) % 20_000))], {
          sync: i % 7 === 0,
        }),
      )
    await Promise.all(written)
    t.same(await get(engine, 'last'), ['59'])
    await engine.close()
  })

  t.test(`${name}: large rows and many pages`, async t => {
    const engine = await make()
    const big = 'v'.repeat(300_000)
    await engine.batch(
      Array.from({ length: 8 }, (_, i) => put(`big${i}`, big)),
      noSync,
    )
    await engine.batch(
      Array.from({ length: 2000 }, (_, i) => put(`row${String(i).padStart(5, '0')}`, `${i}`)),
      noSync,
    )
    for (const reverse of [false, true]) {
      let seen = 0
      let gte = 'row'
      let lt = 'rox'
      for (;;) {
        const { pages } = await engine.fetch({
          gets: [],
          scans: [scanOf(gte, lt, { rowsMax: 300, reverse })],
        })
        const { rows, more } = pages[0]!
        seen += rows.length
        if (!more) break
        const last = text(rows.at(-1)!.key)!
        if (reverse) lt = last
        else gte = `${last}\0`
      }
      t.equal(seen, 2000)
    }
    const page = (await engine.fetch({ gets: [], scans: [scanOf('big', 'bih', { bytesMax: 1_000_000 })] }))
      .pages[0]!
    t.equal(page.rows.length, 3)
    t.ok(page.more)
    const all = (await engine.fetch({ gets: [], scans: [scanOf('big', 'bih', { bytesMax: 1e9 })] })).pages[0]!
    t.ok(all.rows.length === 8 && !all.more && all.rows.every(({ value }) => value.length === 300_000))
    await engine.close()
  })

  t.test(`${name}: bytes belong to whoever holds them`, async t => {
    const engine = await make()
    const key = Buffer.from('k')
    const value = Buffer.from('v1')
    const written = engine.batch([{ key, value }], noSync)
    await written
    value.fill(0)
    key.fill(0)
    t.same(await get(engine, 'k'), ['v1'])
    const answer = await engine.fetch({ gets: [bytes('k')], scans: [scanOf('k', 'l')] })
    Buffer.from(answer.values[0]!.buffer, answer.values[0]!.byteOffset, 2).fill(0)
    answer.pages[0]!.rows[0]!.value.fill(0)
    t.same(await get(engine, 'k'), ['v1'])
    await engine.close()
  })

  t.test(`${name}: the size of a range`, async t => {
    const engine = await make()
    t.type(await engine.approximateBytes({ start: EMPTY, end: null }), 'number')
    await engine.batch([put('a', 'x'.repeat(1000))], { sync: true })
    t.ok((await engine.approximateBytes({ start: EMPTY, end: null })) >= 0)
    t.equal(await engine.approximateBytes({ start: bytes('b'), end: bytes('c') }), 0)
    await engine.close()
  })

  t.test(`${name}: after close`, async t => {
    const engine = await make()
    const view = engine.openView()
    const underWay = [
      engine.batch([put('a', '1')], { sync: true }),
      engine.fetch({ gets: [bytes('a')], scans: [] }, view),
    ]
    await Promise.all([engine.close(), ...underWay])
    await engine.close()
    await t.rejects(engine.batch([put('a', '2')], noSync), { name: 'EngineError', code: 'closed' })
    await t.rejects(engine.fetch({ gets: [bytes('a')], scans: [] }), { code: 'closed' })
    t.throws(() => engine.fetchNow({ gets: [bytes('a')], scans: [] }), { code: 'closed' })
    t.throws(() => engine.openView(), { code: 'closed' })
    await t.rejects(engine.approximateBytes({ start: EMPTY, end: null }), { code: 'closed' })
  })
}

t.test('random operations leave the same in both', async t => {
  const random = chance(77)
  const memory = new MemoryEngine()
  const level = await LevelEngine.open(newDirectory())
  const views: (readonly [number, number])[] = []
  const randomKey = (): Uint8Array =>
    Buffer.from(Array.from({ length: pick(random, 4) }, () => [0, 1, 0x7f, 0x80, 0xff][pick(random, 5)]!))
  let operations = 0
  const differ = (what: string): void => {
    throw new Error(`operation ${operations}: ${what}`)
  }
  while (operations < 20_000) {
    const dice = random()
    if (dice < 0.4) {
      const batch = Array.from({ length: pick(random, 40) }, () => ({
        key: concatBytes(Buffer.from('r'), randomKey()),
        value: random() < 0.3 ? null : Buffer.from(`${random()}`.slice(0, pick(random, 18))),
      }))
      operations += batch.length + 1
      await Promise.all([memory.batch(batch, noSync), level.batch(batch, { sync: random() < 0.05 })])
    } else if (dice < 0.45) {
      operations++
      if (views.length < 4) views.push([memory.openView(), level.openView()])
      else {
        const [a, b] = views.splice(pick(random, views.length), 1)[0]!
        memory.closeView(a)
        level.closeView(b)
      }
    } else {
      const gets = Array.from({ length: pick(random, 6) }, () => concatBytes(Buffer.from('r'), randomKey()))
      const scans = Array.from({ length: pick(random, 3) }, () => ({
        gte: concatBytes(Buffer.from('r'), randomKey()),
        lt: random() < 0.5 ? Buffer.from('s') : concatBytes(Buffer.from('r'), randomKey()),
        reverse: random() < 0.5,
        values: random() < 0.7,
        rowsMax: 1 + pick(random, 30),
        bytesMax: pick(random, 300),
      }))
      operations += gets.length + scans.length
      const view = random() < 0.5 ? views[pick(random, views.length)] : undefined
      const answers = await Promise.all([
        memory.fetch({ gets, scans }, view?.[0]),
        level.fetch({ gets, scans }, view?.[1]),
      ])
      if (plain(answers[0]) !== plain(answers[1])) differ(`${plain(answers[0])} and ${plain(answers[1])}`)
    }
  }
  t.ok(operations >= 20_000)
  t.equal(memory.openViews, level.openViews)
  await level.close()
})

const plain = ({ values, pages }: StoreAnswer): string =>
  JSON.stringify([
    values.map(value => (value === null ? null : toHex(value))),
    pages.map(({ rows, more }) => [rows.map(row => `${toHex(row.key)}=${toHex(row.value)}`), more]),
  ])

t.test('LevelEngine: what was written is there after opening again; errors are one sentence', async t => {
  const directory = newDirectory()
  const engine = await LevelEngine.open(directory)
  await engine.batch([put('a', '1')], { sync: true })
  await t.rejects(LevelEngine.open(directory), {
    name: 'EngineError',
    code: 'locked',
    message: /^Another process uses the state store .*\.$/,
  })
  await engine.close()
  const again = await LevelEngine.open(directory, { cacheBytes: 1 << 20, writeBufferBytes: 1 << 20 })
  t.same(await get(again, 'a'), ['1'])
  await again.batch([], { sync: true })
  await again.close()
  writeFileSync(join(directory, 'CURRENT'), 'no manifest')
  await t.rejects(LevelEngine.open(directory), {
    name: 'EngineError',
    code: 'corrupt',
    message: /is damaged.*\.$/,
  })
  await t.rejects(LevelEngine.open(join(directory, 'CURRENT', 'x')), { code: 'io' })
})

t.test('MemoryEngine: a crash loses a suffix of the unsynced batches, never one in the middle', async t => {
  const lengths = new Set<number>()
  for (let seed = 0; seed < 200; seed++) {
    const engine = new MemoryEngine()
    for (let i = 0; i < 10; i++) engine.batchSync([put(`k${i}`, 'x'), put('last', `${i}`)], { sync: i === 4 })
    const view = engine.openView()
    engine.crash(chance(seed))
    const rows = engine.fetchSync({ gets: [bytes('last')], scans: [scanOf('k', 'l', { values: false })] })
    const last = Number(text(rows.values[0]!))
    t.ok(last >= 4, 'what was synced is there')
    t.equal(rows.pages[0]!.rows.length, last + 1, 'and no gaps')
    lengths.add(last)
    t.throws(
      () => engine.fetchSync({ gets: [], scans: [] }, view),
      { code: 'closed' },
      'views die with the process',
    )
  }
  t.same(
    [...lengths].sort((a, b) => a - b),
    [4, 5, 6, 7, 8, 9],
  )
})

t.test('MemoryEngine: an error sticks until the store is opened again', async t => {
  for (const fault of ['write', 'sync'] as const) {
    const engine = new MemoryEngine()
    engine.batchSync([put('a', '1')], { sync: true })
    engine.failNext(fault)
    if (fault === 'sync') engine.batchSync([put('b', '2')], noSync)
    t.throws(() => engine.batchSync([put('c', '3')], { sync: true }), { code: 'io' })
    t.throws(() => engine.batchSync([put('d', '4')], noSync), { code: 'io' }, 'and again')
    t.equal(engine.fetchSync({ gets: [bytes('a')], scans: [] }).values.length, 1, 'reading goes on')
    engine.crash(() => 0)
    t.equal(shown(engine.fetchSync({ gets: [], scans: [scanOf('', '\xff')] })), 'a=1')
    engine.batchSync([put('e', '5')], { sync: true })
    t.equal(engine.rowCount, 2)
  }
})

t.test('MemoryEngine: killed, copied, corrupted, and much unsynced', async t => {
  const engine = new MemoryEngine()
  engine.batchSync([put('a', '1')], noSync)
  const copy = engine.copy()
  engine.kill()
  t.equal(shown(engine.fetchSync({ gets: [], scans: [scanOf('', '\xff')] })), 'a=1', 'the machine goes on')
  copy.crash(() => 0)
  t.equal(copy.rowCount, 0)
  t.equal(engine.rowCount, 1)
  engine.corrupt(bytes('a'), bytes('?'))
  engine.crash(() => 0)
  t.equal(shown(engine.fetchSync({ gets: [], scans: [scanOf('', '\xff')] })), 'a=?')
  for (let i = 0; i < 3000; i++) engine.batchSync([put(`k${i}`, 'x')], noSync)
  engine.crash(() => 0)
  t.ok(engine.rowCount > 1900, 'old batches count as flushed')
  await engine.close()
})
