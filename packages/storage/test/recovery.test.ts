import { crc32 } from 'node:zlib'
import t from 'tap'
import { clusterId, groupId, incarnation, nodeId } from '@kvorum/model'
import {
  createLog,
  MemoryDisk,
  planBatch,
  planCover,
  planDelete,
  planPurge,
  recover,
  RECOVERY_TABLE,
  releaseTo,
  segmentName,
} from '@kvorum/storage'
import type { Found, LogState, Recovered } from '@kvorum/storage'
import { encodeSegmentHeader, RECORD_HEADER_BYTES, segmentSalt } from '#src/log/format.js'
import {
  batchOf,
  carryOut,
  chance,
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
  recoverDisk,
  reopen,
  viewOf,
} from './rig.js'

/** Every row of the table was met by a test; the last test looks. */
const met = new Set<Found>()

function note<Case extends Recovered>(recovered: Case): Case {
  for (const { found, decision } of recovered.findings) {
    met.add(found)
    t.equal(decision, RECOVERY_TABLE[found].decision)
  }
  return recovered
}

const found = (recovered: Recovered): string[] => recovered.findings.map(each => each.found)

/** Two groups, several segments; every batch has one record of each group. */
function severalSegments(batches = 40, cover = true): { disk: MemoryDisk; log: LogState } {
  const disk = new MemoryDisk()
  const log = createLog(IDENTITY, OPTIONS)
  for (let i = 1; i <= batches; i++) {
    const groups = [G1, G2].map(group =>
      persist(group, { entries: entriesFrom(i, 1, 1, 100), hardState: hard(1, 1, i - 1) }),
    )
    carryOut(disk, log, planBatch(log, { groups }))
  }
  if (cover) carryOut(disk, log, planCover(log))
  return { disk, log }
}

/** Offsets of the records in a segment, by walking their lengths. */
function recordsIn(disk: MemoryDisk, segment: number): { at: number; kind: number; end: number }[] {
  const bytes = Buffer.from(disk.readSync(segmentName(segment), 0, 1 << 20))
  const records = []
  for (let at = 64; at < bytes.length;) {
    const end = at + RECORD_HEADER_BYTES + bytes.readUInt32BE(at + 24) + 4
    records.push({ at, kind: bytes[at + 12]!, end })
    at = end
  }
  return records
}

const corruptOf = (recovered: Recovered): (string | null)[] =>
  recovered.kind === 'recovered' ? recovered.groups.map(({ corrupt }) => corrupt) : []

t.test('emptyDirectory: fresh', async t => {
  const recovered = note(recoverDisk(new MemoryDisk()))
  t.equal(recovered.kind, 'fresh')
  t.same(found(recovered), ['emptyDirectory'])
})

t.test('cleanEnd: everything is there, and the end is synced again', async t => {
  const { disk, log } = severalSegments()
  const recovered = note(recoverDisk(disk))
  t.same(found(recovered), ['cleanEnd'])
  t.same(corruptOf(recovered), [null, null])
  const opened = reopen(disk)
  t.same(viewOf(disk, opened.log), viewOf(disk, log))
  t.equal(opened.repairs.at(-2)?.kind, 'sync')
  t.equal(opened.log.nextRecord, log.nextRecord)
  t.equal(opened.log.chain, log.chain)
})

t.test('tornTail: cut as a whole batch, durably', async t => {
  const { disk } = severalSegments(8, false)
  const { log } = reopen(disk)
  const good = viewOf(disk, log)
  const start = log.segments.at(-1)!.bytes
  const ops = planBatch(log, {
    groups: [persist(G1, { entries: entriesFrom(9, 1, 1, 40) }), persist(G2, { hardState: hard(9, 1, 8) })],
  })
  disk.runSync(ops)
  const file = segmentName(log.segments.at(-1)!.number)
  const full = disk.listSync().find(({ name }) => name === file)!.bytes
  for (let length = start + 1; length < full; length += 3) {
    const torn = disk.copy()
    torn.runSync([
      { kind: 'truncate', file, length },
      { kind: 'sync', file },
    ])
    const recovered = note(recoverDisk(torn))
    t.same(found(recovered), ['tornTail'])
    torn.runSync((recovered as Recovered & { kind: 'recovered' }).repairs)
    t.same(viewOf(torn, reopen(torn).log), good)
    t.equal(torn.listSync().find(({ name }) => name === file)!.bytes, start)
  }
  // A length that was persisted without its bytes, and bytes whose begin record is missing.
  for (const zeros of [
    [start, full],
    [start, start + 60],
    [start + 60, full],
    [full - 4, full],
  ] as const) {
    const torn = disk.copy()
    torn.runSync([
      { kind: 'write', file, offset: zeros[0], chunks: [new Uint8Array(zeros[1] - zeros[0])] },
      { kind: 'sync', file },
    ])
    const recovered = note(recoverDisk(torn))
    t.same(found(recovered), ['tornTail'])
    t.same(corruptOf(recovered), [null, null])
    t.same(viewOf(torn, reopen(torn).log), good)
  }
})

t.test('zero bytes never parse as records', async t => {
  const { disk, log } = severalSegments(3)
  const file = segmentName(1)
  disk.runSync([
    { kind: 'write', file, offset: log.segments[0]!.bytes, chunks: [new Uint8Array(100_000)] },
    { kind: 'sync', file },
  ])
  const recovered = note(recoverDisk(disk))
  t.same(found(recovered), ['tornTail'])
  t.equal((recovered as Recovered & { kind: 'recovered' }).log.segments[0]!.bytes, log.segments[0]!.bytes)
})

t.test('unusedSegment: removed, at the end and alone', async t => {
  const { disk, log } = severalSegments()
  const next = segmentName(log.segments.at(-1)!.number + 1)
  for (const content of [0, 10, 63, 64]) {
    const torn = disk.copy()
    torn.runSync([
      { kind: 'create', file: next },
      { kind: 'write', file: next, offset: 0, chunks: [new Uint8Array(content)] },
      { kind: 'sync', file: next },
      { kind: 'syncDirectory' },
    ])
    const recovered = note(recoverDisk(torn))
    t.same(found(recovered), ['unusedSegment'])
    t.same(viewOf(torn, reopen(torn).log), viewOf(disk, log))
    t.notOk(torn.listSync().some(({ name }) => name === next))
  }
  const alone = new MemoryDisk()
  alone.runSync([
    { kind: 'create', file: segmentName(1) },
    { kind: 'write', file: segmentName(1), offset: 0, chunks: [new Uint8Array(40)] },
  ])
  const recovered = note(recoverDisk(alone))
  t.equal(recovered.kind, 'fresh')
  t.same(found(recovered), ['unusedSegment'])
})

t.test('a segment with a whole header and no records is used', async t => {
  const { disk, log } = severalSegments(5)
  const file = segmentName(2)
  const header = encodeSegmentHeader({
    identity: IDENTITY,
    segment: 2,
    firstRecord: log.nextRecord,
    chain: log.chain,
  })
  disk.runSync([
    { kind: 'create', file },
    { kind: 'write', file, offset: 0, chunks: [header] },
    { kind: 'sync', file },
    { kind: 'syncDirectory' },
  ])
  const { log: opened } = reopen(disk)
  t.equal(opened.segments.at(-1)!.number, 2)
  carryOut(disk, opened, planBatch(opened, batchOf(G1, { entries: entriesFrom(6, 1, 1) })))
  t.equal(opened.segments.at(-1)!.number, 2)
  t.equal(reopen(disk).groups[0]!.lastIndex, 6)
})

t.test('temporaryFile, partialReserve, foreignFile', async t => {
  const { disk } = severalSegments(3)
  for (const [file, bytes] of [
    ['reserve.tmp', 5],
    ['reserve', 5],
    ['notes.txt', 5],
  ] as const)
    disk.runSync([
      { kind: 'create', file },
      { kind: 'write', file, offset: 0, chunks: [new Uint8Array(bytes)] },
    ])
  const recovered = note(recoverDisk(disk))
  t.same(found(recovered).sort(), ['foreignFile', 'partialReserve', 'temporaryFile'])
  reopen(disk)
  t.same(
    disk.listSync().map(({ name }) => name),
    [segmentName(1), 'notes.txt'],
  )
})

t.test('damagedRecord and incompleteGroup: the group fails, and only that one', async t => {
  for (const segment of [1, 2]) {
    const { disk } = severalSegments()
    // begin, entries of G1, hard state of G1, entries of G2, ...: damage the payload of one record each.
    const records = recordsIn(disk, segment).filter(({ kind }) => kind === 4)
    for (const [at, group] of [
      [0, 0],
      [1, 1],
    ] as const) {
      const rotten = disk.copy()
      rotten.flip(segmentName(segment), records[at]!.at + RECORD_HEADER_BYTES + 30, 4)
      const recovered = note(recoverDisk(rotten))
      t.same(
        corruptOf(recovered).map(each => each !== null),
        [group === 0, group === 1],
      )
      t.ok(found(recovered).includes('damagedRecord'))
      t.ok(found(recovered).includes('incompleteGroup'))
      t.notOk(found(recovered).includes('tornTail'))
    }
  }
})

t.test('a damaged hard state is made good by a later one, and by nothing else', async t => {
  const { disk } = severalSegments(10)
  const states = recordsIn(disk, 1).filter(({ kind }) => kind === 3)
  disk.flip(segmentName(1), states[2]!.at + RECORD_HEADER_BYTES, 1)
  const early = note(recoverDisk(disk))
  t.same(corruptOf(early), [null, null])
  t.ok(found(early).includes('damagedRecord'), 'it is told all the same')
  const last = recordsIn(disk, reopen(disk).log.segments.at(-1)!.number)
    .filter(({ kind }) => kind === 3)
    .at(-1)!
  disk.flip(segmentName(reopen(disk).log.segments.at(-1)!.number), last.at + RECORD_HEADER_BYTES, 1)
  t.match(corruptOf(note(recoverDisk(disk))), [null, /vote and term may be lost/])
})

t.test('damage in entries that a snapshot has replaced harms nobody', async t => {
  const { disk, log } = severalSegments(10)
  const base = { index: 50, term: 1 }
  carryOut(
    disk,
    log,
    planBatch(log, batchOf(G1, { reset: { base, keep: false }, hardState: hard(1, 1, 50) })),
  )
  carryOut(disk, log, planCover(log))
  const entries = recordsIn(disk, 1).filter(({ kind }) => kind === 4)
  disk.flip(segmentName(1), entries[0]!.at + RECORD_HEADER_BYTES + 30, 1)
  t.match(note(recoverDisk(disk)), {
    groups: [
      { corrupt: null, base, lastIndex: 50 },
      { corrupt: null, lastIndex: 10 },
    ],
  })
})

t.test('damagedWatermark: a begin record holds nothing of any group', async t => {
  const { disk, log } = severalSegments(20)
  const begins = recordsIn(disk, 1).filter(({ kind }) => kind === 1)
  disk.flip(segmentName(1), begins[3]!.at + RECORD_HEADER_BYTES + 2, 1)
  const recovered = note(recoverDisk(disk))
  t.same(found(recovered), ['damagedWatermark'])
  t.same(corruptOf(recovered), [null, null])
  t.same(viewOf(disk, reopen(disk).log), viewOf(disk, log))
})

t.test('a damaged trailer harms one record at most', async t => {
  const { disk, log } = severalSegments(20)
  for (const { end, kind } of recordsIn(disk, 1)) {
    const rotten = disk.copy()
    rotten.flip(segmentName(1), end - 1, 1)
    const recovered = note(recoverDisk(rotten))
    const corrupt = corruptOf(recovered).filter(each => each !== null)
    t.ok(corrupt.length <= (kind === 4 || kind === 6 ? 1 : 0), `kind ${kind} at ${end}`)
    if (corrupt.length === 0) t.same(viewOf(rotten, reopen(rotten).log), viewOf(disk, log))
  }
})

t.test('damagedIdentity: what a member looked like is missed', async t => {
  const disk = new MemoryDisk()
  const log = createLog(IDENTITY, OPTIONS)
  const boot = { incarnation: IDENTITY.incarnation, boot: 1, nonce: 5n }
  carryOut(disk, log, planBatch(log, { boot, peers: [peer(2n, 1)], admitted: true }))
  carryOut(disk, log, planBatch(log, batchOf(G1, { hardState: hard(1, 1, 0) })))
  const [, bootRecord, peerRecord, admitted] = recordsIn(disk, 1)
  for (const [record, inDoubt] of [
    [bootRecord!, false],
    [peerRecord!, true],
    [admitted!, false],
  ] as const) {
    const rotten = disk.copy()
    rotten.flip(segmentName(1), record.end - 2, 1)
    const recovered = note(recoverDisk(rotten))
    t.same(found(recovered), ['damagedIdentity'])
    t.match(recovered, { peersInDoubt: inDoubt, groups: [{ corrupt: null }] })
  }
  t.match(recoverDisk(disk), { boot, peers: [peer(2n, 1)], admitted: true, peersInDoubt: false })
})

t.test('lostRecords: a damaged record header does not say whose it was', async t => {
  for (const segment of [1, 2]) {
    const { disk } = severalSegments()
    const target = recordsIn(disk, segment).filter(({ kind }) => kind === 4)[1]!
    disk.flip(segmentName(segment), target.at + 17, 1)
    const recovered = note(recoverDisk(disk))
    t.ok(found(recovered).includes('lostRecords'))
    t.ok(
      corruptOf(recovered).every(each => each !== null),
      'all groups fail',
    )
    t.match(recovered, { groupsInDoubt: true, peersInDoubt: true })
  }
})

t.test('lostRecords: a segment before the newest is shorter than its successor says', async t => {
  const { disk, log } = severalSegments()
  const file = segmentName(2)
  for (const length of [
    64,
    100,
    log.segments[1]!.bytes - 1,
    recordsIn(disk, 2)
      .filter(({ kind }) => kind === 1)
      .at(-1)!.at,
  ]) {
    const cut = disk.copy()
    cut.runSync([
      { kind: 'truncate', file, length },
      { kind: 'sync', file },
    ])
    const recovered = note(recoverDisk(cut))
    t.ok(found(recovered).includes('lostRecords'), `cut to ${length}`)
    t.ok(corruptOf(recovered).every(each => each !== null))
  }
})

t.test('garbage behind the end of a segment that has a successor is nothing', async t => {
  const { disk, log } = severalSegments()
  disk.runSync([
    {
      kind: 'write',
      file: segmentName(1),
      offset: log.segments[0]!.bytes,
      chunks: [Buffer.alloc(700, 0xa5)],
    },
    { kind: 'sync', file: segmentName(1) },
  ])
  const recovered = note(recoverDisk(disk))
  t.same(corruptOf(recovered), [null, null])
  t.same(viewOf(disk, reopen(disk).log), viewOf(disk, log))
})

t.test('damage at the end of the last used segment, when its successor was never used', async t => {
  const { disk, log } = severalSegments(40, false)
  const { number, bytes } = log.segments.at(-1)!
  const next = segmentName(number + 1)
  disk.runSync([{ kind: 'create', file: next }, { kind: 'syncDirectory' }])
  const begin = recordsIn(disk, number)
    .filter(({ kind }) => kind === 1)
    .at(-1)!
  // The last batch is destroyed. It was synced, or the successor would not have been made.
  disk.runSync([
    {
      kind: 'write',
      file: segmentName(number),
      offset: begin.at,
      chunks: [Buffer.alloc(bytes - begin.at, 0x5a)],
    },
    { kind: 'sync', file: segmentName(number) },
  ])
  const recovered = note(recoverDisk(disk))
  t.ok(found(recovered).includes('lostRecords'))
  t.ok(corruptOf(recovered).every(each => each !== null))
  const opened = reopen(disk)
  const G3 = groupId(3)
  carryOut(disk, opened.log, planBatch(opened.log, batchOf(G3, { entries: entriesFrom(1, 1, 1) })))
  const again = reopen(disk)
  t.ok(
    again.groups.filter(({ group }) => group !== G3).every(({ corrupt }) => corrupt !== null),
    'again',
  )
  t.equal(again.groups.at(-1)!.corrupt, null, 'a group made after the damage is whole')
})

t.test('missingSegment: in the middle, and before the first', async t => {
  for (const missing of [1, 2]) {
    const { disk } = severalSegments()
    disk.runSync([{ kind: 'remove', file: segmentName(missing) }, { kind: 'syncDirectory' }])
    const recovered = note(recoverDisk(disk))
    t.ok(found(recovered).includes('missingSegment'))
    t.ok(corruptOf(recovered).every(each => each !== null))
    t.match(recovered, { groupsInDoubt: true })
  }
})

t.test('a missing segment before a damaged header is not overlooked', async t => {
  const { disk } = severalSegments()
  disk.runSync([{ kind: 'remove', file: segmentName(2) }, { kind: 'syncDirectory' }])
  disk.flip(segmentName(3), 20, 1)
  const recovered = note(recoverDisk(disk))
  t.same(found(recovered).slice(0, 2), ['missingSegment', 'damagedHeader'])
  t.match(recovered, { groupsInDoubt: true, peersInDoubt: true })
  t.ok(corruptOf(recovered).every(each => each !== null))
})

t.test('a group whose first records were lost is not whole because later ones look so', async t => {
  const disk = new MemoryDisk()
  const log = createLog(IDENTITY, OPTIONS)
  const fill = (): void => {
    const segment = log.segments.at(-1)?.number ?? 0
    for (let i = 0; (log.segments.at(-1)?.number ?? 0) === segment; i++)
      carryOut(
        disk,
        log,
        planBatch(
          log,
          batchOf(G1, {
            reset: { base: { index: i, term: 1 }, keep: false },
            entries: entriesFrom(i + 1, 1, 1, 500),
          }),
        ),
      )
  }
  fill()
  fill()
  carryOut(
    disk,
    log,
    planBatch(log, batchOf(G2, { entries: entriesFrom(1, 10, 1), hardState: hard(1, 1, 0) })),
  )
  fill()
  carryOut(
    disk,
    log,
    planBatch(
      log,
      batchOf(G2, { reset: { base: { index: 3, term: 1 }, keep: true }, hardState: hard(1, 1, 3) }),
    ),
  )
  carryOut(disk, log, planCover(log))
  t.equal(reopen(disk).groups[1]!.lastIndex, 10)
  disk.runSync([{ kind: 'remove', file: segmentName(2) }, { kind: 'syncDirectory' }])
  t.match(note(recoverDisk(disk)), {
    groups: [{ group: G1 }, { group: G2, corrupt: /entries at the end of its log may be lost/ }],
  })
})

t.test('nothing is purged while damage keeps a group out', async t => {
  const { disk } = severalSegments()
  const target = recordsIn(disk, 1).filter(({ kind }) => kind === 4)[1]!
  disk.flip(segmentName(1), target.at + 17, 1)
  const { log } = reopen(disk)
  const G3 = groupId(3)
  for (let i = 1; i < 40; i++) {
    carryOut(disk, log, planBatch(log, batchOf(G3, { entries: entriesFrom(i, 1, 1, 300) })))
    releaseTo(log, G3, i)
  }
  t.equal(planPurge(log), null)
  carryOut(disk, log, planBatch(log, { removed: [G1, G2] }))
  t.ok(purgeAll(disk, log) > 0)
  const opened = reopen(disk)
  t.match(opened, { groupsInDoubt: false, groups: [{ group: G3, corrupt: null, lastIndex: 39 }] })
})

t.test('damagedHeader: of consequence for nobody while records are whole', async t => {
  const { disk, log } = severalSegments()
  for (const { number } of log.segments)
    for (const offset of [0, 9, 17, 33, 47, 50, 57, 61]) {
      const rotten = disk.copy()
      rotten.flip(segmentName(number), offset, 2)
      const recovered = note(recoverDisk(rotten))
      t.same(found(recovered), ['damagedHeader'])
      t.same(corruptOf(recovered), [null, null])
      t.same(viewOf(rotten, reopen(rotten).log), viewOf(disk, log), `segment ${number}, byte ${offset}`)
    }
})

t.test('headersDamaged: refused', async t => {
  const { disk } = severalSegments(3)
  disk.flip(segmentName(1), 20, 1)
  const recovered = note(recoverDisk(disk))
  t.match(recovered, { kind: 'refused', reason: /header of every segment is damaged/ })
})

t.test('otherCluster, otherNode, mixedSegments: refused in one sentence', async t => {
  const { disk } = severalSegments()
  const open = (expected: {
    clusterId: typeof IDENTITY.clusterId
    nodeId: typeof IDENTITY.nodeId
  }): Recovered =>
    note(recover(disk.listSync(), (...request) => disk.readSync(...request), expected, OPTIONS))
  t.match(open({ ...IDENTITY, clusterId: clusterId(9n) }), {
    kind: 'refused',
    reason: /belongs to another cluster \(cluster c1, not 9\)\.$/,
  })
  t.match(open({ ...IDENTITY, nodeId: nodeId(9n) }), {
    kind: 'refused',
    reason: /another node \(node a1, not 9\)\.$/,
  })
  const any = recover(disk.listSync(), (...request) => disk.readSync(...request), null, OPTIONS)
  t.match(any, { kind: 'recovered', log: { identity: IDENTITY } })
  const other = new MemoryDisk()
  const log = createLog({ ...IDENTITY, incarnation: incarnation(77n) }, OPTIONS)
  carryOut(other, log, planBatch(log, batchOf(G1, {})))
  const strange = other.readSync(segmentName(1), 0, 1 << 20)
  const mixed = disk.copy()
  mixed.runSync([
    { kind: 'truncate', file: segmentName(1), length: 0 },
    { kind: 'write', file: segmentName(1), offset: 0, chunks: [strange] },
  ])
  t.match(note(recoverDisk(mixed)), { kind: 'refused', reason: /segments of different logs/ })
  const swapped = disk.copy()
  swapped.runSync([
    { kind: 'rename', from: segmentName(1), to: 'x.tmp' },
    { kind: 'rename', from: segmentName(2), to: segmentName(1) },
    { kind: 'rename', from: 'x.tmp', to: segmentName(2) },
  ])
  t.match(note(recoverDisk(swapped)), { kind: 'refused', reason: /says that it is segment 2/ })
})

/** Rewrites a record in place, with checksums as a later version would make them. */
function forge(disk: MemoryDisk, at: number, change: (bytes: Buffer) => void): void {
  const file = segmentName(1)
  const bytes = Buffer.from(disk.readSync(file, 0, 1 << 20))
  change(bytes.subarray(at))
  bytes.writeUInt32BE(crc32(bytes.subarray(at + 4, at + 28), segmentSalt(IDENTITY, 1)), at)
  for (let next = at; next < bytes.length;) {
    const end = next + 28 + bytes.readUInt32BE(next + 24)
    if (end > bytes.length) break
    bytes.writeUInt32BE(crc32(bytes.subarray(next, end), bytes.readUInt32BE(next - 4)), end)
    next = end + 4
  }
  disk.runSync([
    { kind: 'write', file, offset: 0, chunks: [bytes] },
    { kind: 'sync', file },
  ])
}

t.test('unknownFormat and unknownKind: refused, never skipped', async t => {
  const { disk } = severalSegments(3)
  const newer = disk.copy()
  const head = Buffer.from(newer.readSync(segmentName(1), 0, 64))
  head.writeUInt16BE(2, 8)
  head.writeUInt32BE(crc32(head.subarray(0, 60)), 60)
  newer.runSync([{ kind: 'write', file: segmentName(1), offset: 0, chunks: [head] }])
  t.match(note(recoverDisk(newer)), { kind: 'refused', reason: /later version wrote it \(format 2 in/ })
  for (const at of [1, 3, 5]) {
    const strange = disk.copy()
    forge(strange, recordsIn(strange, 1)[at]!.at, bytes => bytes.writeUInt8(200, 12))
    t.match(note(recoverDisk(strange)), { kind: 'refused', reason: /record kind 200/ }, `record ${at}`)
  }
  const flags = disk.copy()
  forge(flags, recordsIn(flags, 1)[1]!.at, bytes => bytes.writeUInt8(7, 28 + 16))
  t.match(note(recoverDisk(flags)), { kind: 'refused' }, 'content that no writer of this format produces')
})

t.test('a length is not believed before its checksum', async t => {
  const { disk } = severalSegments(6)
  const target = recordsIn(disk, 1)[4]!
  const length = Buffer.from([0xff, 0xff, 0xff, 0xff])
  disk.runSync([
    { kind: 'write', file: segmentName(1), offset: target.at + 24, chunks: [length] },
    { kind: 'sync', file: segmentName(1) },
  ])
  const recovered = note(recoverDisk(disk))
  t.ok(found(recovered).includes('lostRecords'))
  const huge = severalSegments(6).disk
  forge(huge, recordsIn(huge, 1).at(-1)!.at, bytes => bytes.writeUInt32BE(65 * 1024 * 1024, 24))
  t.same(found(note(recoverDisk(huge))), ['tornTail'], 'bounded even where its checksum is right')
})

t.test('bytes that a client wrote do not pass for records', async t => {
  const { disk, log } = severalSegments(3, false)
  // A value holds the bytes of a log of another incarnation, with a begin record that names a late offset.
  const other = new MemoryDisk()
  const foreign = createLog({ ...IDENTITY, incarnation: incarnation(1n) }, OPTIONS)
  for (let i = 1; i < 5; i++)
    carryOut(other, foreign, planBatch(foreign, batchOf(G1, { entries: entriesFrom(i, 1, 1, 500) })))
  const data = Buffer.from(other.readSync(segmentName(1), 0, 1 << 20))
  const ops = planBatch(log, batchOf(G1, { entries: [{ ...entry(4, 1), data }] }))
  disk.runSync(ops)
  const write = ops.findLast(op => op.kind === 'write')
  if (write?.kind !== 'write') return t.fail('nothing was written')
  disk.flip(write.file, write.offset + 30, 1)
  t.same(found(note(recoverDisk(disk))), ['tornTail'])
  return undefined
})

t.test('purgedSegment: an interrupted purge is finished, damage in what it drops is nothing', async t => {
  const { disk, log } = severalSegments()
  for (const group of [G1, G2]) releaseTo(log, group, 30)
  const step = planPurge(log)
  if (step?.kind !== 'delete') return t.fail('nothing to delete')
  const ops = planDelete(log, step.below)
  t.ok(step.below > 2)
  const removes = ops.findIndex(({ kind }) => kind === 'remove')
  for (let stop = removes; stop <= ops.length; stop++) {
    const half = disk.copy()
    half.runSync(ops.slice(0, stop))
    if (stop < removes + 2) half.flip(segmentName(step.below - 1), 500, 1)
    const recovered = note(recoverDisk(half))
    if (stop < ops.length - 1) t.ok(found(recovered).includes('purgedSegment'))
    t.same(corruptOf(recovered), [null, null])
    const opened = reopen(half)
    t.equal(opened.log.segments[0]!.number, step.below)
    t.same(
      opened.groups.map(({ base }) => base.index),
      [30, 30],
    )
  }
  return undefined
})

t.test('recovery changes nothing the second time', async t => {
  const { disk } = severalSegments()
  disk.crash(chance(4))
  const first = reopen(disk)
  const second = reopen(disk)
  const third = reopen(disk)
  t.same(third.groups, second.groups)
  t.same(third.groups, first.groups)
  t.same(third.repairs, second.repairs)
})

t.test('what raft is told: term runs, configurations, newest entries, time', async t => {
  const disk = new MemoryDisk()
  const log = createLog(IDENTITY, OPTIONS)
  const config = entry(3, 1, 'config-3', 'config')
  carryOut(
    disk,
    log,
    planBatch(log, batchOf(G1, { entries: [entry(1, 1), entry(2, 1), config, entry(4, 2), entry(5, 2)] })),
  )
  carryOut(
    disk,
    log,
    planBatch(
      log,
      batchOf(G1, { entries: [entry(5, 4, 'c5', 'config'), entry(6, 4)], hardState: hard(4, 2, 5) }),
    ),
  )
  const [group] = reopen(disk).groups
  t.match(group, {
    lastIndex: 6,
    termRuns: [
      { first: 1, term: 1 },
      { first: 4, term: 2 },
      { first: 5, term: 4 },
    ],
    configs: [{ index: 3 }, { index: 5 }],
    hardState: hard(4, 2, 5),
    lastTime: 1006,
    corrupt: null,
  })
  t.same(
    group!.configs.map(({ data }) => Buffer.from(data).toString()),
    ['config-3', 'c5'],
  )
  t.same(
    group!.entries.map(({ index, term }) => `${index}/${term}`),
    ['1/1', '2/1', '3/1', '4/2', '5/4', '6/4'],
  )
  releaseTo(log, G1, 3)
  carryOut(disk, log, planBatch(log, batchOf(G1, { reset: { base: { index: 4, term: 2 }, keep: true } })))
  const read = (...request: [string, number, number]): Uint8Array => disk.readSync(...request)
  const small = recover(disk.listSync(), read, IDENTITY, { ...OPTIONS, cacheBytesMax: 60 })
  t.match(small, {
    groups: [
      {
        base: { index: 4, term: 2 },
        termRuns: [{ first: 5, term: 4 }],
        configs: [{ index: 5 }],
        entries: [{ index: 6 }],
      },
    ],
  })
  carryOut(disk, log, planBatch(log, batchOf(G1, { reset: { base: { index: 9, term: 4 }, keep: false } })))
  t.match(reopen(disk).groups, [
    { base: { index: 9, term: 4 }, lastIndex: 9, termRuns: [], configs: [], entries: [], lastTime: 1006 },
  ])
  t.equal(purgeAll(disk, log), 0)
})

t.test('every row of the table was met', async t => {
  t.same(
    Object.keys(RECOVERY_TABLE).filter(row => !met.has(row as Found)),
    [],
  )
})
