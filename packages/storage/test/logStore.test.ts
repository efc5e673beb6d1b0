import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { clusterId } from '@kvorum/model'
import { createStore, FileDisk, MemoryDisk, openLog, segmentName } from '@kvorum/storage'
import type { Disk, LogStore } from '@kvorum/storage'
import { batchOf, describe, entriesFrom, G1, G2, hard, IDENTITY, OPTIONS, persist } from './rig.js'

const directories: string[] = []
t.teardown(() => directories.forEach(directory => rmSync(directory, { recursive: true, force: true })))

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'kvorum-log-'))
  directories.push(directory)
  return directory
}

async function open(disk: Disk): Promise<LogStore> {
  const opened = await openLog(disk, IDENTITY, OPTIONS)
  if (opened.kind === 'refused') throw new Error(opened.reason)
  return opened.kind === 'recovered' ? opened.store : createStore(disk, IDENTITY, OPTIONS)
}

const indices = async (store: LogStore, from: number, to: number): Promise<number[]> => {
  const read = await store.readEntries(G1, from, to, 1e9)
  if (!read.ok) throw new Error(read.damage)
  return read.entries.map(({ index }) => index)
}

t.test('on files: written, covered, purged, read, opened again', async t => {
  const directory = newDirectory()
  const store = await open(new FileDisk(directory))
  for (let i = 0; i < 50; i++) {
    const groups = [persist(G1, { entries: entriesFrom(i * 2 + 1, 2, 1, 90), hardState: hard(1, 1, i) })]
    if (i === 0) groups.push(persist(G2, { entries: entriesFrom(1, 3, 1), hardState: hard(1, 2, 0) }))
    t.equal(await store.append({ groups }), 'written')
  }
  t.equal(await store.cover(), 'written')
  t.equal(await store.cover(), 'written')
  t.same(await indices(store, 95, 100), [95, 96, 97, 98, 99, 100])
  store.releaseTo(G1, 90)
  t.same(await store.purge(), { written: 'written', damaged: null })
  t.ok(store.log.segments.length <= 4)
  t.ok(store.bytes > 1024)
  const moved = await store.readEntries(G2, 1, 3, 1e9)
  t.same(moved.ok && moved.entries.map(describe), entriesFrom(1, 3, 1).map(describe))
  await store.close()
  const opened = await openLog(new FileDisk(directory), null, OPTIONS)
  if (opened.kind !== 'recovered') return t.fail(opened.kind)
  t.match(opened.recovered.groups, [
    { group: G1, base: { index: 90 }, lastIndex: 100, hardState: hard(1, 1, 49), corrupt: null },
    { group: G2, base: { index: 0 }, lastIndex: 3, corrupt: null },
  ])
  t.same(await indices(opened.store, 91, 200), [91, 92, 93, 94, 95, 96, 97, 98, 99, 100])
  t.equal(opened.store.log.identity.incarnation, IDENTITY.incarnation)
  await opened.store.close()
  return undefined
})

t.test('on files: writes go one after the other, reads beside them', async t => {
  const store = await open(new FileDisk(newDirectory()))
  await store.append(batchOf(G1, { entries: entriesFrom(1, 1, 1) }))
  const writes: Promise<string>[] = []
  // Each batch is planned when the one before it is durable.
  for (let i = 2; i <= 40; i++) writes.push(store.append(batchOf(G1, { entries: entriesFrom(i, 1, 1, 200) })))
  const reads = await Promise.all(Array.from({ length: 10 }, () => indices(store, 1, 1)))
  t.ok(reads.every(read => read.join() === '1'))
  t.same(new Set(await Promise.all(writes)), new Set(['written']))
  t.equal((await indices(store, 1, 40)).length, 40)
  await store.close()
})

t.test('on files: damage is refused to readers and found at the start', async t => {
  const directory = newDirectory()
  const store = await open(new FileDisk(directory))
  for (let i = 1; i <= 10; i++)
    await store.append(batchOf(G1, { entries: entriesFrom(i, 1, 1, 100), hardState: hard(1, 1, 0) }))
  await store.cover()
  const path = join(directory, segmentName(1))
  const bytes = readFileSync(path)
  const at = bytes.indexOf('5@1....')
  bytes[at + 20]! ^= 8
  writeFileSync(path, bytes)
  t.match(await store.readEntries(G1, 1, 10, 1e9), { ok: false, damage: /is damaged at \d+/ })
  t.same(await indices(store, 6, 10), [6, 7, 8, 9, 10])
  await store.close()
  const opened = await openLog(new FileDisk(directory), IDENTITY, OPTIONS)
  t.match(opened, { kind: 'recovered', recovered: { groups: [{ corrupt: /damaged at/ }] } })
  if (opened.kind === 'recovered') await opened.store.close()
  const wrong = await openLog(new FileDisk(directory), { ...IDENTITY, clusterId: clusterId(5n) }, OPTIONS)
  t.match(wrong, { kind: 'refused', reason: /another cluster/ })
})

t.test('no space is an answer, a failed sync is the end', async t => {
  const disk = new MemoryDisk()
  const store = await open(disk)
  await store.append(batchOf(G1, { entries: entriesFrom(1, 3, 1) }))
  disk.setCapacity(disk.usedBytes + 40)
  const next = batchOf(G1, { entries: entriesFrom(4, 1, 1, 100) })
  t.equal(await store.append(next), 'noSpace')
  t.equal(await store.purge().then(({ written }) => written), 'written', 'nothing to purge')
  t.equal(await store.releaseReserve(), 'written')
  t.equal(await store.append(next), 'written')
  t.equal(await store.restoreReserve(), 'noSpace')
  t.same(await indices(store, 1, 9), [1, 2, 3, 4])
  disk.setCapacity(1e9)
  t.equal(await store.restoreReserve(), 'written')
  disk.failNext({ code: 'EIO', operation: 'sync' })
  await t.rejects(store.append(batchOf(G1, { entries: entriesFrom(5, 1, 1) })), {
    code: 'EIO',
    operation: 'sync',
  })
  await t.rejects(
    store.append(batchOf(G1, { entries: entriesFrom(5, 1, 1) })),
    { code: 'EIO' },
    'and never again',
  )
  await t.rejects(store.cover(), { code: 'EIO' })
  t.same(await indices(store, 1, 9), [1, 2, 3, 4], 'what failed does not count')
  await store.close()
})

t.test('a full disk that shows only in the sync is no answer', async t => {
  const disk = new MemoryDisk()
  const store = await open(disk)
  await store.append(batchOf(G1, { entries: entriesFrom(1, 1, 1) }))
  disk.failNext({ code: 'ENOSPC', operation: 'sync' })
  await t.rejects(store.append(batchOf(G1, { entries: entriesFrom(2, 1, 1) })), {
    code: 'ENOSPC',
    operation: 'sync',
  })
  await t.rejects(store.cover(), { code: 'ENOSPC' })
})

t.test('entries that are purged while they are read are read where they went, or are gone', async t => {
  const disk = new MemoryDisk()
  const store = await open(disk)
  await store.append(batchOf(G2, { entries: entriesFrom(1, 4, 1, 200), hardState: hard(1, 1, 0) }))
  for (let i = 1; i <= 40; i++)
    await store.append(batchOf(G1, { entries: entriesFrom(i, 1, 1, 300), hardState: hard(1, 1, 0) }))
  store.releaseTo(G1, 40)
  const [purged, ...reads] = await Promise.all([
    store.purge(),
    ...Array.from({ length: 50 }, async (_, i) => {
      for (let turns = 0; turns < i; turns++) await Promise.resolve()
      return store.readEntries(G2, 1, 4, 1e9)
    }),
  ])
  t.equal(purged.damaged, null)
  t.ok(reads.every(read => read.ok && read.entries.length === 4))
  t.ok(store.log.segments.length <= 4)
})

t.test('a purge that meets damage says whose it is', async t => {
  const disk = new MemoryDisk()
  const store = await open(disk)
  await store.append(batchOf(G2, { entries: entriesFrom(1, 4, 1, 200), hardState: hard(1, 1, 0) }))
  for (let i = 1; i <= 40; i++)
    await store.append(batchOf(G1, { entries: entriesFrom(i, 1, 1, 300), hardState: hard(1, 1, 0) }))
  store.releaseTo(G1, 40)
  disk.flip(segmentName(1), 400, 1)
  t.same(await store.purge(), { written: 'written', damaged: G2 })
})

t.test('a new directory without room starts without a reserve', async t => {
  const disk = new MemoryDisk()
  disk.setCapacity(500)
  const store = await open(disk)
  t.notOk(store.log.reserve)
  t.equal(await store.append(batchOf(G1, { hardState: hard(1, 1, 0) })), 'written')
})
