import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { groupId } from '@kvorum/model'
import {
  createLog,
  MemoryDisk,
  planBatch,
  planCover,
  planMove,
  planPurge,
  planDelete,
  releaseTo,
} from '@kvorum/storage'
import { RECORD_KINDS } from '#src/log/format.js'
import {
  batchOf,
  carryOut,
  describe,
  entriesFrom,
  entry,
  G1,
  G2,
  hard,
  IDENTITY,
  peer,
  persist,
  readGroup,
  reopen,
} from './rig.js'
import type { Opened } from './rig.js'

/**
 * Segments as format 1 writes them, byte by byte. A change of the writer that fails here needs a new format and
 * new files beside these, which stay and must stay readable. KVORUM_GOLDEN=write makes files that do not exist.
 */
const GOLDEN = fileURLToPath(new URL('../../test/golden/', import.meta.url))
const OPTIONS = { segmentBytes: 1200, reserveBytes: 256, pinnedSegmentsMax: 1, moveBytesMax: 1000 }
const G7 = groupId(7)
const BIG = groupId(2 ** 40)

/** A short life in which every kind of record is written, before and after its first segments are purged. */
function life(): { before: MemoryDisk; after: MemoryDisk } {
  const disk = new MemoryDisk()
  const log = createLog(IDENTITY, OPTIONS)
  const write = (batch: Parameters<typeof planBatch>[1]): void => carryOut(disk, log, planBatch(log, batch))
  const boot = { incarnation: IDENTITY.incarnation, boot: 1, nonce: 0xfedc_ba98_7654_3210n }
  write({ boot, peers: [peer(0xb2n, 4), peer(2n ** 64n - 1n, 2 ** 40)], admitted: true })
  write({
    groups: [
      persist(G1, {
        entries: [entry(1, 1, '', 'noop'), entry(2, 1, 'config', 'config'), entry(3, 2)],
        hardState: hard(2, 1, 1),
      }),
      persist(BIG, { hardState: hard(2 ** 45, 3, 0) }),
    ],
  })
  write({ groups: [persist(G7, { entries: entriesFrom(1, 1, 1) })] })
  carryOut(disk, log, planCover(log))
  write({
    removed: [G7],
    groups: [
      persist(G2, { reset: { base: { index: 500, term: 3 }, keep: false }, hardState: hard(3, 2, 500) }),
    ],
  })
  for (let i = 0; i < 4; i++) write(batchOf(G2, { entries: entriesFrom(501 + i, 1, 4, 300) }))
  const before = disk.copy()
  releaseTo(log, G2, 503)
  const entries = readGroup(disk, log, G1, 1, 3)
  if (typeof entries === 'string') throw new Error(entries)
  carryOut(disk, log, planMove(log, G1, entries))
  const step = planPurge(log)
  if (step?.kind !== 'delete') throw new Error('nothing to purge')
  carryOut(disk, log, planDelete(log, step.below))
  carryOut(disk, log, planCover(log))
  return { before, after: disk }
}

const writable = process.env['KVORUM_GOLDEN'] === 'write'

function golden(name: string, bytes: Uint8Array): Uint8Array {
  const path = `${GOLDEN}${name}`
  if (writable && !existsSync(path)) {
    mkdirSync(GOLDEN, { recursive: true })
    writeFileSync(path, bytes)
  }
  return readFileSync(path)
}

t.test('format 1: the writer’s bytes have not changed', async t => {
  for (const [stage, disk] of Object.entries(life()))
    for (const { name, bytes } of disk.listSync()) {
      const written = disk.readSync(name, 0, bytes)
      t.ok(Buffer.from(golden(`format-1-${stage}-${name}`, written)).equals(written), `${stage} ${name}`)
    }
})

t.test('format 1: the files hold every kind of record', async t => {
  const kinds = new Set<number>()
  for (const name of readdirSync(GOLDEN).filter(file => file.endsWith('.wal'))) {
    const bytes = readFileSync(`${GOLDEN}${name}`)
    for (let at = 64; at < bytes.length; at += 32 + bytes.readUInt32BE(at + 24)) kinds.add(bytes[at + 12]!)
  }
  t.same(
    [...kinds].sort((a, b) => a - b),
    Object.values(RECORD_KINDS),
  )
})

function replay(stage: string): { disk: MemoryDisk; opened: Opened } {
  const disk = new MemoryDisk()
  const prefix = `format-1-${stage}-`
  for (const file of readdirSync(GOLDEN).filter(name => name.startsWith(prefix)))
    disk.runSync([
      { kind: 'create', file: file.slice(prefix.length) },
      {
        kind: 'write',
        file: file.slice(prefix.length),
        offset: 0,
        chunks: [readFileSync(`${GOLDEN}${file}`)],
      },
    ])
  return { disk, opened: reopen(disk, OPTIONS) }
}

t.test('format 1: the files are read as they were meant', async t => {
  const { disk, opened } = replay('after')
  t.same(
    opened.findings.map(({ found }) => found),
    ['cleanEnd'],
  )
  t.match(opened, {
    boot: { incarnation: IDENTITY.incarnation, boot: 1, nonce: 0xfedc_ba98_7654_3210n },
    admitted: true,
    log: { identity: IDENTITY },
    groups: [
      {
        group: G1,
        hardState: hard(2, 1, 1),
        base: { index: 0, term: 0 },
        lastIndex: 3,
        lastTime: 1003,
        corrupt: null,
      },
      { group: G2, hardState: hard(3, 2, 500), base: { index: 503, term: 4 }, lastIndex: 504, corrupt: null },
      { group: BIG, hardState: hard(2 ** 45, 3, 0), lastIndex: 0, corrupt: null },
    ],
  })
  t.same(opened.peers, [peer(0xb2n, 4), peer(2n ** 64n - 1n, 2 ** 40)])
  t.equal(opened.groups.length, 3)
  const entries = readGroup(disk, opened.log, G1, 1, 3)
  t.same(typeof entries === 'string' ? entries : entries.map(describe), [
    '1/1/noop/1001/',
    '2/1/config/1002/config',
    '3/2/normal/1003/3@2',
  ])
})

t.test('format 1: the same before the purge', async t => {
  const { opened } = replay('before')
  t.match(opened.groups, [
    {
      group: G1,
      lastIndex: 3,
      configs: [{ index: 2 }],
      termRuns: [
        { first: 1, term: 1 },
        { first: 3, term: 2 },
      ],
    },
    { group: G2, base: { index: 500, term: 3 }, lastIndex: 504 },
    { group: BIG },
  ])
})
