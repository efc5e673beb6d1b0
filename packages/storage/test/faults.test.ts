import t from 'tap'
import { groupId } from '@kvorum/model'
import {
  abandon,
  confirm,
  createLog,
  MemoryDisk,
  planBatch,
  planCover,
  planReleaseReserve,
  planRestoreReserve,
  releaseTo,
  segmentName,
} from '@kvorum/storage'
import { applyBatch, copyModel, emptyModel, modelView, randomBatch } from './model.js'
import {
  attempt,
  batchOf,
  carryOut,
  chance,
  entriesFrom,
  G1,
  G2,
  hard,
  IDENTITY,
  OPTIONS,
  persist,
  pick,
  purgeAll,
  readGroup,
  recoverDisk,
  reopen,
  viewOf,
} from './rig.js'

const SHAPE = { groups: 4, entryBytesMax: 300 }
const json = (value: unknown): string =>
  JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? `${each}` : each))

/** A log with some segments of random content, all of it acknowledged. */
function grown(
  seed: number,
  steps: number,
): { disk: MemoryDisk; log: ReturnType<typeof createLog>; model: ReturnType<typeof emptyModel> } {
  const random = chance(seed)
  const disk = new MemoryDisk()
  const log = createLog(IDENTITY, OPTIONS)
  const model = emptyModel()
  for (let step = 0; step < steps; step++) {
    const batch = randomBatch(model, random, SHAPE)
    carryOut(disk, log, planBatch(log, batch))
    applyBatch(model, batch)
    if (step % 6 === 5) purgeAll(disk, log)
  }
  carryOut(disk, log, planCover(log))
  return { disk, log, model }
}

t.test('a flipped bit below the watermark never yields wrong data (I20)', async t => {
  let corrupt = 0
  let identical = 0
  let refused = 0
  for (let seed = 1; seed <= 40; seed++) {
    const { disk, log, model } = grown(seed, 30)
    const random = chance(seed * 1000)
    const truth = modelView(model)
    for (let flips = 0; flips < 40; flips++) {
      const rotten = disk.copy()
      const files = rotten.listSync().filter(({ name }) => name.endsWith('.wal'))
      const file = files[pick(random, files.length)]!
      const offset = pick(random, file.bytes)
      // The cover itself is the last thing in the log: nothing behind it can show that it was synced.
      if (file === files.at(-1) && offset >= file.bytes - 48) continue
      rotten.flip(file.name, offset, 1 << pick(random, 8))
      const recovered = recoverDisk(rotten)
      if (recovered.kind === 'refused') {
        refused++
        continue
      }
      if (recovered.kind === 'fresh')
        throw new Error(`seed ${seed}: fresh after a flip at ${file.name}:${offset}`)
      rotten.runSync(recovered.repairs)
      for (const [id, expected] of Object.entries(truth.groups)) {
        const group = recovered.groups.find(each => `${each.group}` === id)
        if (group === undefined) {
          t.ok(
            recovered.groupsInDoubt,
            `seed ${seed}: group ${id} vanished silently at ${file.name}:${offset}`,
          )
          continue
        }
        if (group.corrupt !== null) {
          corrupt++
          continue
        }
        identical++
        const entries = readGroup(rotten, recovered.log, group.group, group.base.index + 1, group.lastIndex)
        const found = {
          hardState: group.hardState,
          base: group.base,
          entries: typeof entries === 'string' ? entries : viewOf(rotten, recovered.log).groups[id]!.entries,
        }
        if (json(found) !== json(expected))
          throw new Error(
            `seed ${seed} ${file.name}:${offset} group ${id}: ${json(found)} is not ${json(expected)}`,
          )
      }
      for (const group of recovered.groups)
        if (group.corrupt === null && truth.groups[group.group] === undefined)
          throw new Error(`seed ${seed}: removed group ${group.group} came back at ${file.name}:${offset}`)
      t.ok(recovered.log.segments.length === log.segments.length)
    }
  }
  t.ok(corrupt > 300, `${corrupt} corrupt`)
  t.ok(identical > 1000, `${identical} identical`)
  t.ok(refused < 100, `${refused} refused`)
})

t.test('a flipped bit while running is damage, never data', async t => {
  const { disk, log, model } = grown(7, 30)
  const random = chance(99)
  let damaged = 0
  for (let flips = 0; flips < 600; flips++) {
    const rotten = disk.copy()
    const files = rotten.listSync()
    const file = files[pick(random, files.length)]!
    rotten.flip(file.name, pick(random, file.bytes), 1 << pick(random, 8))
    for (const [id, group] of model.groups) {
      const entries = readGroup(rotten, log, id, group.base.index + 1, log.groups.get(id)!.last)
      if (typeof entries === 'string') damaged++
      else if (json(entries.map(String)) !== json(group.entries.map(String))) throw new Error('wrong data')
      else if (!entries.every((entry, at) => Buffer.compare(entry.data, group.entries[at]!.data) === 0))
        throw new Error('wrong data')
    }
  }
  t.ok(damaged > 50, `${damaged} reads found damage`)
})

t.test('a flip in the uncovered last batch may cut it, and nothing else', async t => {
  const disk = new MemoryDisk()
  const log = createLog(IDENTITY, OPTIONS)
  carryOut(
    disk,
    log,
    planBatch(log, batchOf(G1, { entries: entriesFrom(1, 3, 1), hardState: hard(1, 1, 0) })),
  )
  const before = log.segments[0]!.bytes
  carryOut(disk, log, planBatch(log, batchOf(G1, { entries: entriesFrom(4, 3, 1) })))
  for (let offset = before; offset < log.segments[0]!.bytes; offset++) {
    const rotten = disk.copy()
    rotten.flip(segmentName(1), offset, 0x10)
    const { log: found, groups } = reopen(rotten)
    t.equal(groups[0]!.corrupt, null)
    t.equal(found.groups.get(G1)!.last, 3)
    if (offset > before + 4) continue
    carryOut(rotten, found, planBatch(found, batchOf(G1, { entries: entriesFrom(4, 1, 2) })))
    t.equal(reopen(rotten).groups[0]!.lastIndex, 4)
  }
  carryOut(disk, log, planCover(log))
  disk.flip(segmentName(1), before + 100, 0x10)
  t.match(reopen(disk).groups[0]!.corrupt, /damaged at/, 'covered, the same flip is corruption')
})

t.test('the disk fills up at every byte (pitfall 72)', async t => {
  const random = chance(5)
  const { disk: start, model: before } = grown(11, 6)
  const batch = randomBatch(before, random, { groups: 4, entryBytesMax: 1500 })
  const later = copyModel(before)
  applyBatch(later, batch)
  const smaller = batchOf(groupId(9), { hardState: hard(3, 1, 0) })
  for (let room = 0; room < 6000; room += room < 300 ? 1 : 37) {
    const disk = start.copy()
    const { log } = reopen(disk)
    disk.setCapacity(disk.usedBytes + room)
    const written = attempt(disk, log, planBatch(log, batch))
    t.equal(log.planned, null)
    const crashed = disk.copy()
    crashed.crash(random)
    const survivor = viewOf(crashed, reopen(crashed).log)
    const candidates = written ? [later] : [before, later]
    t.ok(
      candidates.some(model => json(modelView(model)) === json(survivor)),
      `a crash with ${room} bytes of room`,
    )
    if (written) {
      t.same(viewOf(disk, log), modelView(later))
      break
    }
    t.same(viewOf(disk, log), modelView(before), 'what was abandoned does not count')
    // Something smaller may fit where the batch did not; then there is room and the batch is tried again.
    const fits = attempt(disk, log, planBatch(log, smaller))
    disk.setCapacity(Number.POSITIVE_INFINITY)
    carryOut(disk, log, planBatch(log, batch))
    const expected = copyModel(before)
    if (fits) applyBatch(expected, smaller)
    applyBatch(expected, batch)
    t.same(viewOf(disk, log), modelView(expected))
    disk.crash(random)
    t.same(viewOf(disk, reopen(disk).log), modelView(expected), `${room} bytes, then room again`)
  }
})

t.test('an abandoned roll leaves no segment behind that would seal the one before', async t => {
  const disk = new MemoryDisk()
  const log = createLog(IDENTITY, OPTIONS)
  carryOut(disk, log, planBatch(log, batchOf(G1, { entries: entriesFrom(1, 10, 1, 350) })))
  for (const room of [0, 10, 64, 200]) {
    disk.setCapacity(disk.usedBytes + room)
    t.notOk(attempt(disk, log, planBatch(log, batchOf(G1, { entries: entriesFrom(11, 10, 1, 350) }))))
    t.equal(log.segments.length, 1)
  }
  disk.setCapacity(Number.POSITIVE_INFINITY)
  const ops = planBatch(log, batchOf(G1, { entries: entriesFrom(11, 1, 1) }))
  t.same(ops.slice(0, 2), [{ kind: 'remove', file: segmentName(2) }, { kind: 'syncDirectory' }])
  carryOut(disk, log, ops)
  t.same(
    disk.listSync().map(({ name }) => name),
    [segmentName(1)],
  )
  const next = planBatch(log, batchOf(G1, { entries: entriesFrom(12, 10, 1, 350) }))
  carryOut(disk, log, next)
  t.equal(reopen(disk).groups[0]!.lastIndex, 21)
})

t.test('the reserve makes room for votes once', async t => {
  const disk = new MemoryDisk()
  const log = createLog(IDENTITY, OPTIONS)
  carryOut(disk, log, planRestoreReserve(log))
  t.equal(planRestoreReserve(log), null, 'it is there')
  carryOut(disk, log, planBatch(log, batchOf(G1, { entries: entriesFrom(1, 2, 1) })))
  disk.setCapacity(disk.usedBytes)
  const vote = batchOf(G1, { hardState: hard(2, 2, 1) })
  t.notOk(attempt(disk, log, planBatch(log, vote)))
  t.ok(attempt(disk, log, planReleaseReserve(log)))
  t.equal(planReleaseReserve(log), null, 'it is gone')
  t.ok(attempt(disk, log, planBatch(log, vote)), 'a vote fits now')
  t.notOk(attempt(disk, log, planRestoreReserve(log)), 'no room for a new one yet')
  t.equal(log.reserve, false)
  disk.setCapacity(Number.POSITIVE_INFINITY)
  t.ok(attempt(disk, log, planRestoreReserve(log)))
  t.ok(log.reserve)
  disk.crash(chance(1))
  const { log: found, groups } = reopen(disk)
  t.ok(found.reserve)
  t.same(groups[0]!.hardState, hard(2, 2, 1))
})

t.test(
  'purging with a full disk: the reserve is given up, segments go, and the reserve comes back',
  async t => {
    const disk = new MemoryDisk()
    const log = createLog(IDENTITY, OPTIONS)
    carryOut(disk, log, planRestoreReserve(log))
    for (let i = 0; i < 30; i++)
      carryOut(
        disk,
        log,
        planBatch(log, batchOf(G1, { entries: entriesFrom(i * 3 + 1, 3, 1, 200), hardState: hard(1, 1, i) })),
      )
    t.ok(log.segments.length > 4)
    disk.setCapacity(disk.usedBytes)
    releaseTo(log, G1, 85)
    t.notOk(attempt(disk, log, planBatch(log, { groups: [] })))
    t.ok(attempt(disk, log, planReleaseReserve(log)))
    t.ok(purgeAll(disk, log) > 0)
    t.ok(log.segments.length < 4)
    t.ok(attempt(disk, log, planRestoreReserve(log)))
    t.equal(reopen(disk).groups[0]!.base.index, 85)
  },
)

t.test(
  'a failed sync is never confirmed, and what it left can be believed only after it was written again',
  async t => {
    for (const operation of ['sync', 'write', 'create', 'syncDirectory'] as const) {
      const disk = new MemoryDisk()
      const log = createLog(IDENTITY, OPTIONS)
      if (operation === 'sync' || operation === 'write')
        carryOut(
          disk,
          log,
          planBatch(log, batchOf(G1, { entries: entriesFrom(1, 2, 1), hardState: hard(1, 1, 0) })),
        )
      disk.failNext({ code: 'EIO', operation })
      const ops = planBatch(log, batchOf(G1, { entries: entriesFrom(log.groups.size * 2 + 1, 2, 1) }))
      t.throws(() => disk.runSync(ops), { name: 'DiskError', code: 'EIO', operation })
      t.throws(() => planBatch(log, { groups: [] }), /neither confirmed nor abandoned/)
      disk.kill()
      const recovered = recoverDisk(disk)
      if (recovered.kind !== 'recovered') {
        t.equal(recovered.kind, 'fresh')
        continue
      }
      disk.runSync(recovered.repairs)
      const last = recovered.log.groups.get(G1)?.last ?? 0
      const next = batchOf(G1, { entries: entriesFrom(last + 1, 1, 2) })
      carryOut(disk, recovered.log, planBatch(recovered.log, next))
      // With the tail only read and not written again, this crash would leave damage below a watermark.
      disk.crash(() => 0.999)
      const { groups } = reopen(disk)
      t.same(
        groups.map(({ corrupt, lastIndex }) => ({ corrupt, lastIndex })),
        [{ corrupt: null, lastIndex: last + 1 }],
      )
    }
  },
)

t.test('the process is killed with a batch unsynced, goes on, and then the power fails', async t => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = chance(seed)
    const disk = new MemoryDisk()
    const log = createLog(IDENTITY, OPTIONS)
    carryOut(
      disk,
      log,
      planBatch(log, batchOf(G1, { entries: entriesFrom(1, 3, 1, 700), hardState: hard(1, 1, 0) })),
    )
    const ops = planBatch(log, batchOf(G1, { entries: entriesFrom(4, 3, 1, 700) }))
    disk.runSync(ops.slice(0, -1))
    disk.kill()
    const { log: second } = reopen(disk)
    t.equal(second.groups.get(G1)!.last, 6, 'the page cache has it')
    carryOut(disk, second, planBatch(second, batchOf(G2, { hardState: hard(1, 1, 0) })))
    disk.crash(random)
    const { groups } = reopen(disk)
    t.same(
      groups.map(({ corrupt }) => corrupt),
      [null, null],
    )
    t.equal(groups[0]!.lastIndex, 6)
  }
})

t.test('a corrupt group takes nothing until it is removed; the others go on', async t => {
  const disk = new MemoryDisk()
  const log = createLog(IDENTITY, OPTIONS)
  const both = (index: number): Parameters<typeof planBatch>[1] => ({
    groups: [
      persist(G1, { entries: entriesFrom(index, 1, 1, 100), hardState: hard(1, 1, index) }),
      persist(G2, { entries: entriesFrom(index, 1, 1, 100), hardState: hard(1, 2, index) }),
    ],
  })
  for (let i = 1; i <= 40; i++) carryOut(disk, log, planBatch(log, both(i)))
  const row = log.groups.get(G1)!.rows
  disk.flip(segmentName(row.segment[3]!), row.offset[3]! + 60, 1)
  const { log: found, groups, findings } = reopen(disk)
  t.match(groups, [{ corrupt: /entry at 1 is lost: .*damaged at/ }, { corrupt: null, lastIndex: 40 }])
  t.same(
    findings.map(({ found: what, decision }) => `${what} ${decision}`),
    ['damagedRecord failGroup', 'incompleteGroup failGroup'],
  )
  t.throws(() => planBatch(found, batchOf(G1, { hardState: hard(2, 1, 0) })), /corrupt: remove it first/)
  t.same(readGroup(disk, found, G1, 41, 41), [], 'and gives nothing')
  releaseTo(found, G2, 40)
  t.equal(purgeAll(disk, found), 0, 'the evidence stays')
  carryOut(disk, found, planBatch(found, batchOf(G2, { entries: entriesFrom(41, 1, 1) })))
  disk.crash(chance(3))
  const second = reopen(disk)
  t.match(second.groups, [{ corrupt: /lost/ }, { corrupt: null, lastIndex: 41 }], 'a restart forgets nothing')
  carryOut(disk, second.log, planBatch(second.log, { removed: [G1] }))
  const base = { index: 40, term: 1 }
  carryOut(
    disk,
    second.log,
    planBatch(second.log, batchOf(G1, { reset: { base, keep: false }, hardState: hard(3, 0, 40) })),
  )
  const third = reopen(disk)
  t.match(third.groups, [{ corrupt: null, base, lastIndex: 40 }, { corrupt: null }])
  releaseTo(third.log, G2, 41)
  t.ok(purgeAll(disk, third.log) > 0, 'and now the damage may go')
  confirmNothing(third.log)
})

function confirmNothing(log: ReturnType<typeof createLog>): void {
  t.throws(() => confirm(log), /nothing was planned/)
  t.throws(() => abandon(log), /nothing was planned/)
}
