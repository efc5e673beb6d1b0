import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gunzipSync, gzipSync } from 'node:zlib'
import t from 'tap'
import { compareBytes } from '@kvorum/model'
import {
  addEntry,
  BboltError,
  closeBucket,
  crc32c,
  createBboltWriter,
  finishFile,
  openBbolt,
  openBucket,
  PAGE_BYTES,
  readBuckets,
  readEntries,
  takePages,
} from '@kvorum/storage'
import { decodePageHeader, fnv64a, PAGE_FLAGS } from '#src/bbolt/format.js'
import { chance } from './rig.js'

type Contents = readonly { readonly name: string; readonly entries: readonly [Buffer, Buffer][] }[]

function write(contents: Contents): Buffer {
  const writer = createBboltWriter()
  const pages: Uint8Array[] = []
  for (const { name, entries } of contents) {
    openBucket(writer, Buffer.from(name))
    for (const [key, value] of entries) {
      addEntry(writer, key, value)
      if (writer.outBytes > 1 << 16) pages.push(...takePages(writer))
    }
    closeBucket(writer)
  }
  const head = finishFile(writer)
  return Buffer.concat([head, ...pages, ...takePages(writer)])
}

const readerOf =
  (bytes: Buffer) =>
  (offset: number, length: number): Promise<Buffer> =>
    Promise.resolve(bytes.subarray(offset, offset + length))

async function read(bytes: Buffer): Promise<Contents> {
  const file = await openBbolt(readerOf(bytes), bytes.length)
  const contents: { name: string; entries: [Buffer, Buffer][] }[] = []
  for (const bucket of await readBuckets(file)) {
    const entries: [Buffer, Buffer][] = []
    for await (const page of readEntries(file, bucket)) {
      for (const { key, value } of page) entries.push([Buffer.from(key), Buffer.from(value)])
    }
    contents.push({ name: bucket.name.toString(), entries })
  }
  return contents
}

function someEntries(random: () => number): [Buffer, Buffer][] {
  const count = Math.floor(random() ** 3 * 3000)
  const longKeys = random() < 0.2
  const longValues = random() < 0.3
  const keys = new Map<string, Buffer>()
  while (keys.size < count) {
    const length = 1 + Math.floor(random() * (longKeys && random() < 0.05 ? 9000 : 24))
    const key = Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)))
    keys.set(key.toString('hex'), key)
  }
  return [...keys.values()]
    .sort(compareBytes)
    .map(key => [key, Buffer.alloc(Math.floor(random() * (longValues ? 20_000 : 200)), key[0])])
}

t.test('what is written is read again, whatever its shape', async t => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = chance(seed)
    const contents = ['alarm', 'auth', 'key', 'lease'].map(name => ({ name, entries: someEntries(random) }))
    const bytes = write(contents)
    t.equal(bytes.length % PAGE_BYTES, 0)
    const found = await read(bytes)
    t.ok(
      found.length === contents.length &&
        found.every(
          ({ name, entries }, b) =>
            name === contents[b]!.name &&
            entries.length === contents[b]!.entries.length &&
            entries.every(([key, value], i) => {
              const [wantedKey, wantedValue] = contents[b]!.entries[i]!
              return key.equals(wantedKey) && value.equals(wantedValue)
            }),
        ),
      `seed ${seed}`,
    )
  }
})

t.test('every page is used once, and no branch has a single child', async t => {
  for (const count of [1, 2, 3, 120, 121, 122, 240, 241, 242, 15_000, 40_000]) {
    // One entry fills a page, so that there are as many children as entries.
    const value = Buffer.alloc(count > 1000 ? 700 : 4000)
    const entries = Array.from({ length: count }, (_, i): [Buffer, Buffer] => {
      const key = Buffer.alloc(17)
      key.writeUInt32BE(i)
      return [key, value]
    })
    const bytes = write([{ name: 'key', entries }])
    let single = 0
    let pages = 0
    for (let id = 0; id * PAGE_BYTES < bytes.length;) {
      const header = decodePageHeader(bytes.subarray(id * PAGE_BYTES))
      if (header.id !== id) t.fail(`page ${id} is ${header.id}`)
      if (header.flags === PAGE_FLAGS.branch && header.count < 2) single++
      pages += 1 + header.overflow
      id += 1 + header.overflow
    }
    t.equal(single, 0, `${count} leaves`)
    t.equal(pages * PAGE_BYTES, bytes.length)
    t.equal((await openBbolt(readerOf(bytes), bytes.length)).meta.pages, pages)
  }
})

t.test('keys that are out of order, doubled or empty are refused', async t => {
  const [a, b] = [Buffer.from('a'), Buffer.from('b')]
  t.throws(
    () =>
      write([
        {
          name: 'key',
          entries: [
            [b, a],
            [a, a],
          ],
        },
      ]),
    /ascend/,
  )
  t.throws(
    () =>
      write([
        {
          name: 'key',
          entries: [
            [a, a],
            [a, b],
          ],
        },
      ]),
    /ascend/,
  )
  t.throws(() => write([{ name: 'key', entries: [[Buffer.alloc(0), a]] }]), /not empty/)
})

t.test('damage is refused and never crashes or hangs the reader', async t => {
  const random = chance(7)
  const entries = Array.from({ length: 900 }, (_, i): [Buffer, Buffer] => {
    const key = Buffer.alloc(8)
    key.writeUInt32BE(i)
    return [key, Buffer.alloc(i % 50 === 0 ? 9000 : 60, i)]
  })
  const whole = write([
    { name: 'alarm', entries: [] },
    { name: 'key', entries },
  ])
  let refused = 0
  for (let run = 0; run < 400; run++) {
    const bytes = Buffer.from(whole)
    for (let hits = 0; hits < 12; hits++) {
      const page = Math.floor(random() * (bytes.length / PAGE_BYTES))
      bytes[page * PAGE_BYTES + Math.floor(random() * 64)] = Math.floor(random() * 256)
    }
    const cut = random() < 0.2 ? bytes.subarray(0, Math.floor(random() * bytes.length)) : bytes
    try {
      await read(cut)
    } catch (error) {
      if (!(error instanceof BboltError)) throw error
      refused++
    }
  }
  t.ok(refused > 200, `${refused} of 400 damaged files were refused`)
})

t.test('one damaged meta page is made good by the other', async t => {
  const bytes = write([{ name: 'key', entries: [[Buffer.from('a'), Buffer.from('b')]] }])
  for (const meta of [0, 1]) {
    const damaged = Buffer.from(bytes)
    damaged[meta * PAGE_BYTES + 40] = 0xff
    t.equal((await read(damaged)).length, 1)
  }
  const both = Buffer.from(bytes)
  both[40] = both[PAGE_BYTES + 40] = 0xff
  await t.rejects(read(both), BboltError)
})

t.test('known answers of the checksums', async t => {
  t.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
  t.equal(crc32c(Buffer.from('6789'), crc32c(Buffer.from('12345'))), 0xe3069283)
  t.equal(fnv64a(Buffer.from('foobar')), 0x85944171f73967e8n)
})

/** Files as they were written once: they stay readable, and the same contents give the same bytes. */
t.test('golden file', async t => {
  const path = fileURLToPath(new URL('../../test/golden/small-1.bbolt.gz', import.meta.url))
  const contents = [
    { name: 'alarm', entries: [] },
    {
      name: 'key',
      entries: Array.from({ length: 300 }, (_, i): [Buffer, Buffer] => {
        const key = Buffer.alloc(17)
        key.writeUInt32BE(i, 4)
        return [key, Buffer.alloc(i === 200 ? 10_000 : i, i)]
      }),
    },
    { name: 'meta', entries: [[Buffer.from('consistent_index'), Buffer.alloc(8, 1)]] as [Buffer, Buffer][] },
  ]
  const bytes = write(contents)
  if (!existsSync(path) && process.env['KVORUM_GOLDEN'] === 'write') writeFileSync(path, gzipSync(bytes))
  const golden = gunzipSync(readFileSync(path))
  t.ok(golden.equals(bytes), 'the same bytes')
  t.same(await read(golden), contents)
})
