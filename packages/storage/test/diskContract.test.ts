import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { FileDisk, MemoryDisk } from '@kvorum/storage'
import type { Disk, DiskOp } from '@kvorum/storage'
import { crashFile, createFile, change } from '#src/memoryFile.js'
import { chance, pick } from './rig.js'

/** One suite for every disk: what the log relies on, on the operating system and on the model of it. */
type Make = () => Promise<{ disk: Disk; reopen: () => Promise<Disk> }>

const directories: string[] = []
t.teardown(() => directories.forEach(directory => rmSync(directory, { recursive: true, force: true })))

const makers: Record<string, Make> = {
  MemoryDisk: async () => {
    const disk = new MemoryDisk()
    return { disk, reopen: async () => disk }
  },
  FileDisk: async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kvorum-disk-'))
    directories.push(directory)
    const disk = new FileDisk(directory)
    return {
      disk,
      reopen: async () => {
        await disk.close()
        return new FileDisk(directory)
      },
    }
  },
}

const text = (value: string): Uint8Array => Buffer.from(value)
const write = (file: string, offset: number, ...chunks: string[]): DiskOp => ({
  kind: 'write',
  file,
  offset,
  chunks: chunks.map(text),
})
const create = (file: string): DiskOp => ({ kind: 'create', file })
const sync = (file: string): DiskOp => ({ kind: 'sync', file })
const remove = (file: string): DiskOp => ({ kind: 'remove', file })
const truncate = (file: string, length: number): DiskOp => ({ kind: 'truncate', file, length })
const rename = (from: string, to: string): DiskOp => ({ kind: 'rename', from, to })
const syncDirectory: DiskOp = { kind: 'syncDirectory' }

async function contents(disk: Disk): Promise<Record<string, string>> {
  const files: Record<string, string> = {}
  for (const { name, bytes } of await disk.list())
    files[name] = Buffer.from(await disk.read(name, 0, bytes + 10)).toString('latin1')
  return files
}

/** What each list of operations leaves, or the error that it ends with and what it leaves then. */
const CASES: readonly (readonly [
  string,
  readonly DiskOp[],
  Record<string, string>,
  (readonly [string, string])?,
])[] = [
  ['nothing', [], {}],
  ['create', [create('a')], { a: '' }],
  ['create twice', [create('a'), write('a', 0, 'x'), create('a')], { a: 'x' }, ['EEXIST', 'create']],
  ['create again after remove', [create('a'), write('a', 0, 'x'), remove('a'), create('a')], { a: '' }],
  ['write', [create('a'), write('a', 0, 'abc')], { a: 'abc' }],
  ['write at an offset', [create('a'), write('a', 0, 'abcdef'), write('a', 2, 'XY')], { a: 'abXYef' }],
  ['write over the end', [create('a'), write('a', 0, 'abc'), write('a', 2, 'XYZ')], { a: 'abXYZ' }],
  ['write at the end', [create('a'), write('a', 0, 'abc'), write('a', 3, 'def')], { a: 'abcdef' }],
  ['write behind the end', [create('a'), write('a', 3, 'd')], { a: '\0\0\0d' }],
  ['write several chunks', [create('a'), write('a', 0, 'ab', 'cd', 'ef')], { a: 'abcdef' }],
  ['write empty chunks', [create('a'), write('a', 0, '', 'ab', '', 'c', '')], { a: 'abc' }],
  ['write nothing', [create('a'), write('a', 5)], { a: '' }],
  ['write to no file', [create('a'), write('b', 0, 'x')], { a: '' }, ['ENOENT', 'write']],
  ['write two files', [create('a'), create('b'), write('b', 0, 'B'), write('a', 0, 'A')], { a: 'A', b: 'B' }],
  ['sync', [create('a'), write('a', 0, 'abc'), sync('a')], { a: 'abc' }],
  ['sync twice', [create('a'), write('a', 0, 'abc'), sync('a'), sync('a')], { a: 'abc' }],
  ['sync an empty file', [create('a'), sync('a'), syncDirectory], { a: '' }],
  ['sync no file', [sync('a')], {}, ['ENOENT', 'sync']],
  ['sync after remove', [create('a'), remove('a'), sync('a')], {}, ['ENOENT', 'sync']],
  ['syncDirectory of nothing', [syncDirectory], {}],
  ['syncDirectory twice', [create('a'), syncDirectory, syncDirectory], { a: '' }],
  ['truncate', [create('a'), write('a', 0, 'abcdef'), truncate('a', 2)], { a: 'ab' }],
  ['truncate to nothing', [create('a'), write('a', 0, 'abcdef'), truncate('a', 0)], { a: '' }],
  ['truncate longer', [create('a'), write('a', 0, 'ab'), truncate('a', 4)], { a: 'ab\0\0' }],
  [
    'truncate and write behind',
    [create('a'), write('a', 0, 'abcdef'), truncate('a', 2), write('a', 4, 'x')],
    { a: 'ab\0\0x' },
  ],
  [
    'truncate and sync',
    [create('a'), write('a', 0, 'abcdef'), sync('a'), truncate('a', 3), sync('a')],
    { a: 'abc' },
  ],
  ['truncate no file', [truncate('a', 0)], {}, ['ENOENT', 'truncate']],
  ['remove', [create('a'), create('b'), remove('a')], { b: '' }],
  ['remove no file', [remove('a'), create('b')], { b: '' }],
  ['remove twice', [create('a'), remove('a'), remove('a')], {}],
  [
    'remove a synced file',
    [create('a'), write('a', 0, 'x'), sync('a'), syncDirectory, remove('a'), syncDirectory],
    {},
  ],
  ['rename', [create('a'), write('a', 0, 'x'), rename('a', 'b')], { b: 'x' }],
  [
    'rename over a file',
    [create('a'), write('a', 0, 'A'), create('b'), write('b', 0, 'BB'), rename('a', 'b')],
    { b: 'A' },
  ],
  ['rename no file', [create('b'), rename('a', 'b')], { b: '' }, ['ENOENT', 'rename']],
  ['rename to itself', [create('a'), write('a', 0, 'x'), rename('a', 'a')], { a: 'x' }],
  [
    'write after rename',
    [create('a'), write('a', 0, 'x'), rename('a', 'b'), write('b', 1, 'y'), sync('b')],
    { b: 'xy' },
  ],
  [
    'write to the old name',
    [create('a'), rename('a', 'b'), write('a', 0, 'x')],
    { b: '' },
    ['ENOENT', 'write'],
  ],
  [
    'create where one was renamed away',
    [create('a'), write('a', 0, 'x'), rename('a', 'b'), create('a'), write('a', 0, 'y')],
    { a: 'y', b: 'x' },
  ],
  [
    'rename in a circle',
    [
      create('a'),
      write('a', 0, 'A'),
      create('b'),
      write('b', 0, 'B'),
      rename('a', 'c'),
      rename('b', 'a'),
      rename('c', 'b'),
    ],
    { a: 'B', b: 'A' },
  ],
  [
    'stop at the first error',
    [create('a'), write('a', 0, 'x'), sync('nothing'), write('a', 0, 'y')],
    { a: 'x' },
    ['ENOENT', 'sync'],
  ],
]

for (const [name, make] of Object.entries(makers)) {
  t.test(`${name}: operations`, async t => {
    for (const [title, ops, expected, error] of CASES) {
      const { disk, reopen } = await make()
      if (error === undefined) await disk.run(ops)
      else
        await t.rejects(
          disk.run(ops),
          { name: 'DiskError', code: error[0], operation: error[1], errno: Number },
          title,
        )
      t.same(await contents(disk), expected, title)
      const again = await reopen()
      t.same(await contents(again), expected, `${title}, opened again`)
      await again.close()
    }
    t.ok(CASES.length >= 40)
  })

  t.test(`${name}: reading`, async t => {
    const { disk } = await make()
    await disk.run([create('a'), write('a', 0, 'abcdef')])
    const read = async (offset: number, length: number): Promise<string> =>
      Buffer.from(await disk.read('a', offset, length)).toString()
    t.equal(await read(0, 6), 'abcdef')
    t.equal(await read(2, 3), 'cde')
    t.equal(await read(4, 10), 'ef', 'shorter at the end')
    t.equal(await read(6, 1), '')
    t.equal(await read(100, 5), '', 'behind the end')
    t.equal(await read(0, 0), '')
    await t.rejects(disk.read('b', 0, 1), { name: 'DiskError', code: 'ENOENT', operation: 'read', file: 'b' })
    const before = await disk.read('a', 0, 3)
    await disk.run([write('a', 0, 'xyz')])
    t.equal(Buffer.from(before).toString(), 'abc', 'what was read is the caller’s')
    t.equal(await read(0, 3), 'xyz')
    await disk.close()
  })

  t.test(`${name}: calls are carried out in order, an error ends only its own`, async t => {
    const { disk } = await make()
    const results = await Promise.allSettled([
      disk.run([create('a')]),
      disk.run([write('a', 0, 'one')]),
      disk.run([write('b', 0, 'lost'), write('a', 0, 'never')]),
      disk.run([write('a', 3, 'two'), sync('a')]),
    ])
    t.same(
      results.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
    )
    t.same(await contents(disk), { a: 'onetwo' })
    await disk.close()
  })

  t.test(`${name}: what was given to a write may change afterwards`, async t => {
    const { disk } = await make()
    const chunk = Buffer.from('abc')
    await disk.run([create('a'), { kind: 'write', file: 'a', offset: 0, chunks: [chunk] }])
    chunk.fill(0)
    t.same(await contents(disk), { a: 'abc' })
    await disk.close()
  })

  t.test(`${name}: more chunks and more files than the system takes at once`, async t => {
    const { disk, reopen } = await make()
    const chunks = Array.from({ length: 3000 }, (_, i) => text(String(i % 10)))
    await disk.run([create('a'), { kind: 'write', file: 'a', offset: 0, chunks }])
    t.equal((await contents(disk))['a'], '0123456789'.repeat(300))
    const names = Array.from({ length: 150 }, (_, i) => `f${i}`)
    for (const file of names) await disk.run([create(file), write(file, 0, file)])
    const read = await Promise.all(names.map(file => disk.read(file, 0, 9)))
    t.same(
      read.map(bytes => Buffer.from(bytes).toString()),
      names,
    )
    await disk.run(names.flatMap(file => [write(file, 0, 'g'), sync(file)]))
    const again = await reopen()
    const files = await contents(again)
    t.ok(names.every(file => files[file] === file.replace('f', 'g')))
    await again.close()
  })
}

t.test('random operations leave the same on both', async t => {
  const random = chance(42)
  for (let round = 0; round < 12; round++) {
    const memory = await makers['MemoryDisk']!()
    const file = await makers['FileDisk']!()
    for (let step = 0; step < 60; step++) {
      const op = randomOp(random)
      const outcomes = await Promise.allSettled([memory.disk.run([op]), file.disk.run([op])])
      const codes = outcomes.map(each =>
        each.status === 'fulfilled' ? 'ok' : (each.reason as { code: string }).code,
      )
      if (codes[0] !== codes[1]) t.fail(`${JSON.stringify(op)}: ${codes.join(' and ')}`)
    }
    t.same(await contents(memory.disk), await contents(file.disk))
    await file.disk.close()
  }
})

function randomOp(random: () => number): DiskOp {
  const file = 'abc'[pick(random, 3)]!
  const dice = random()
  if (dice < 0.15) return create(file)
  if (dice < 0.6) return write(file, pick(random, 3000), `${random()}`.repeat(pick(random, 80)))
  if (dice < 0.7) return sync(file)
  if (dice < 0.75) return syncDirectory
  if (dice < 0.85) return truncate(file, pick(random, 3000))
  if (dice < 0.93) return rename(file, 'abc'[pick(random, 3)]!)
  return remove(file)
}

t.test('FileDisk: files only their owner can read, and nothing after close', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'kvorum-disk-'))
  directories.push(directory)
  const disk = new FileDisk(directory)
  await disk.run([create('a'), sync('a')])
  t.equal(statSync(join(directory, 'a')).mode & 0o777, 0o600)
  await disk.close()
  await t.rejects(disk.run([write('a', 0, 'x')]), { code: 'EBADF' })
  await t.rejects(disk.read('a', 0, 1), { code: 'EBADF' })
  const nowhere = new FileDisk(join(directory, 'nowhere'))
  await t.rejects(nowhere.list(), { code: 'ENOENT', operation: 'list' })
  await t.rejects(nowhere.run([create('a')]), { code: 'ENOENT', operation: 'create' })
  await t.rejects(nowhere.run([syncDirectory]), { code: 'ENOENT', operation: 'syncDirectory' })
  await nowhere.close()
})

t.test('MemoryDisk: what was synced survives, what was not may not', async t => {
  let lost = 0
  let torn = 0
  let kept = 0
  for (let seed = 0; seed < 200; seed++) {
    const disk = new MemoryDisk()
    disk.runSync([create('a'), write('a', 0, 'A'.repeat(600)), sync('a'), syncDirectory])
    disk.runSync([write('a', 300, 'B'.repeat(2000)), create('b')])
    disk.crash(chance(seed))
    const found = await contents(disk)
    const bytes = found['a']!
    t.equal(bytes.slice(0, 300), 'A'.repeat(300))
    for (let sector = 512; sector < bytes.length; sector += 512) {
      const inside = new Set(bytes.slice(sector, sector + 512))
      if (inside.size > 1 && sector !== 512) t.fail(`sector ${sector} is torn inside: ${[...inside].join()}`)
    }
    const b = bytes.split('B').length - 1
    if (b === 0) lost++
    else if (b === 2000) kept++
    else torn++
  }
  t.ok(lost > 10 && torn > 50 && kept > 5, `${lost} lost, ${torn} torn, ${kept} kept`)
})

t.test('MemoryDisk: names are lost without syncDirectory', async t => {
  const seen = new Set<string>()
  for (let seed = 0; seed < 100; seed++) {
    const disk = new MemoryDisk()
    disk.runSync([create('a'), write('a', 0, 'a'), sync('a'), syncDirectory])
    disk.runSync([create('b'), sync('b'), rename('a', 'c'), remove('c')])
    disk.crash(chance(seed))
    seen.add(Object.keys(await contents(disk)).join())
  }
  t.same([...seen].sort(), ['', 'a', 'a,b', 'b', 'b,c', 'c'].filter(each => seen.has(each)).sort())
  t.ok(seen.has('a') && seen.has('b') && seen.size >= 4, [...seen].join(' | '))
})

t.test('MemoryDisk: faults', async t => {
  const disk = new MemoryDisk()
  disk.runSync([create('a'), write('a', 0, 'abc'), sync('a'), syncDirectory])
  disk.failNext({ code: 'EIO', operation: 'sync', file: 'b' })
  disk.failNext({ code: 'EIO', operation: 'read' })
  t.throws(() => disk.readSync('a', 0, 1), { code: 'EIO', errno: -5 })
  t.same(await contents(disk), { a: 'abc' }, 'once')
  disk.failNext({ code: 'ENOSPC', operation: 'write', afterBytes: 2 })
  t.throws(() => disk.runSync([write('a', 3, 'defg')]), { code: 'ENOSPC', errno: -28 })
  t.same(await contents(disk), { a: 'abcde' }, 'as far as it got')
  disk.setCapacity(7)
  t.throws(() => disk.runSync([write('a', 4, 'EFGHI')]), { code: 'ENOSPC' })
  t.same(await contents(disk), { a: 'abcdEFG' })
  disk.runSync([write('a', 0, 'ABC')])
  t.same(await contents(disk), { a: 'ABCdEFG' }, 'what is there may be overwritten')
  disk.setCapacity(100)
  disk.failNext({ code: 'EIO', operation: 'sync', file: 'a' })
  t.throws(() => disk.runSync([sync('a')]), { code: 'EIO' })
  t.same(await contents(disk), { a: 'ABCdEFG' }, 'still there to read')
  disk.runSync([sync('a')])
  disk.crash(() => 0)
  t.same(await contents(disk), { a: 'abc' }, 'but a later sync did not write it')
  disk.flip('a', 1, 1)
  t.same(await contents(disk), { a: 'acc' })
  disk.crash(() => 0.5)
  t.same(await contents(disk), { a: 'acc' })
})

t.test('MemoryDisk: a copy goes its own way', async t => {
  const disk = new MemoryDisk()
  disk.runSync([
    create('a'),
    write('a', 0, 'abc'),
    sync('a'),
    syncDirectory,
    write('a', 0, 'x'),
    rename('a', 'b'),
  ])
  const copy = disk.copy()
  copy.runSync([write('b', 1, 'y'), sync('b'), syncDirectory])
  copy.crash(chance(1))
  disk.crash(() => 0.999)
  t.same(await contents(copy), { b: 'xyc' })
  t.same(await contents(disk), { a: 'abc' })
  t.equal(copy.usedBytes, 3)
})

t.test('a crash keeps a prefix of each sector’s history', async t => {
  const file = createFile()
  const first = { kind: 'write' as const, offset: 0, bytes: Buffer.alloc(1024, 1) }
  change(file.live, first)
  file.pending.push(first)
  crashFile(file, () => 0.999)
  t.equal(file.durable.length, 0)
  file.pending.push(first)
  let draws = 0
  crashFile(file, () => (draws++ === 0 ? 0.9 : 0.5))
  t.equal(file.durable.length, 1024)
  t.same(file.live, file.durable)
})
