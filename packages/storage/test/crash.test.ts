import t from 'tap'
import { confirm, createLog, MemoryDisk, planBatch, planCover, planPurge, releaseTo } from '@kvorum/storage'
import type { DiskOp, LogState } from '@kvorum/storage'
import { applyBatch, copyModel, emptyModel, modelView, randomBatch, release } from './model.js'
import type { Model } from './model.js'
import { chance, IDENTITY, OPTIONS, pick, purgeOps, recoverDisk, reopen, viewOf } from './rig.js'
import type { View } from './rig.js'

const SHAPE = { groups: 4, entryBytesMax: 300 }

/** Bases that were only released in memory may go back at a restart: entries below the newer base come back. */
function coversModel(found: View, model: View): boolean {
  if (JSON.stringify({ ...found, groups: {} }, big) !== JSON.stringify({ ...model, groups: {} }, big))
    return false
  const ids = Object.keys(model.groups)
  if (ids.join() !== Object.keys(found.groups).join()) return false
  return ids.every(id => {
    const a = found.groups[id]!
    const b = model.groups[id]!
    const extra = b.base.index - a.base.index
    return (
      extra >= 0 &&
      JSON.stringify(a.hardState) === JSON.stringify(b.hardState) &&
      JSON.stringify(a.entries.slice(a.entries.length - b.entries.length)) === JSON.stringify(b.entries) &&
      a.entries.length === b.entries.length + extra
    )
  })
}

const big = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? `${value}` : value)

/** How often a purge did something. */
const steps = { move: 0, delete: 0 }

interface Life {
  readonly disk: MemoryDisk
  log: LogState
  model: Model
}

/** One step of a node's life: what it writes, and what is true when it has been written. */
function nextStep(life: Life, random: () => number): { ops: readonly DiskOp[] | null; after: Model } {
  const dice = random()
  if (dice < 0.1) return { ops: planCover(life.log), after: life.model }
  if (dice < 0.3) {
    const released = release(life.model, life.log, random)
    if (released !== null) releaseTo(life.log, released.group, released.index)
    const step = planPurge(life.log)
    if (step !== null) steps[step.kind]++
    return { ops: purgeOps(life.disk, life.log), after: life.model }
  }
  const batch = randomBatch(life.model, random, SHAPE)
  const after = copyModel(life.model)
  applyBatch(after, batch)
  return { ops: planBatch(life.log, batch), after }
}

/** After a crash the log must hold everything acknowledged, and may hold the batch that was under way. */
function checkAfterCrash(disk: MemoryDisk, acked: Model, underWay: Model, where: string): Life {
  const { log, groups } = reopen(disk)
  const corrupt = groups.filter(group => group.corrupt !== null)
  if (corrupt.length > 0) throw new Error(`${where}: corrupt ${JSON.stringify(corrupt, big)}`)
  const found = viewOf(disk, log)
  const hit = [acked, underWay].find(model => coversModel(found, modelView(model)))
  if (hit === undefined)
    throw new Error(
      `${where}: found ${JSON.stringify(found, big)}\nacked ${JSON.stringify(modelView(acked), big)}\nor ${JSON.stringify(modelView(underWay), big)}`,
    )
  return { disk, log, model: modelFrom(found, hit) }
}

/** The model goes on from what was found, older bases included. */
function modelFrom(found: View, hit: Model): Model {
  const model = copyModel(hit)
  for (const [id, group] of model.groups) {
    const seen = found.groups[id]!
    group.base = seen.base
    const missing = seen.entries.slice(0, seen.entries.length - group.entries.length)
    group.entries = [...missing.map(parse), ...group.entries]
  }
  return model
}

function parse(text: string): Model['groups'] extends Map<unknown, { entries: (infer E)[] }> ? E : never {
  const [index, term, kind, time, ...data] = text.split('/')
  return {
    index: Number(index),
    term: Number(term),
    kind: kind as 'normal',
    time: Number(time),
    data: Buffer.from(data.join('/'), 'latin1'),
  }
}

t.test('a crash at every operation loses nothing that was acknowledged (I11, I18)', async t => {
  let crashes = 0
  for (let seed = 1; seed <= 40; seed++) {
    const random = chance(seed)
    let life: Life = { disk: new MemoryDisk(), log: createLog(IDENTITY, OPTIONS), model: emptyModel() }
    for (let turn = 0; turn < 40; turn++) {
      const { ops, after } = nextStep(life, random)
      if (ops === null) continue
      // A crash before each operation, each on a disk of its own; the life itself goes on.
      for (let stop = 0; stop <= ops.length; stop++) {
        const disk = life.disk.copy()
        disk.runSync(ops.slice(0, stop))
        // Mostly the power fails; sometimes only the process ends, and what it wrote is there, but not synced.
        if (random() < 0.7) disk.crash(random)
        else disk.kill()
        crashes++
        if (!disk.listSync().some(({ name }) => name.endsWith('.wal')) && life.log.segments.length === 0)
          continue
        const recovered = recoverDisk(disk)
        if (recovered.kind === 'fresh') {
          if (life.log.segments.length > 0) throw new Error(`seed ${seed}: a log became fresh`)
          continue
        }
        crashInRecovery(disk, life.model, after, random, `seed ${seed} step ${turn} op ${stop}`)
      }
      life.disk.runSync(ops)
      confirm(life.log)
      life.model = after
      if (random() < 0.1) {
        life.disk.crash(random)
        life = checkAfterCrash(life.disk, life.model, life.model, `seed ${seed} step ${turn}`)
      }
    }
  }
  t.ok(crashes > 4000, `${crashes} crashes`)
  t.ok(steps.move > 10 && steps.delete > 20, `purges: ${JSON.stringify(steps)}`)
})

/** Recovery itself is interrupted, at a random operation, a few times over. */
function crashInRecovery(
  disk: MemoryDisk,
  acked: Model,
  after: Model,
  random: () => number,
  where: string,
): void {
  for (let times = pick(random, 3); times > 0; times--) {
    const recovered = recoverDisk(disk)
    if (recovered.kind === 'fresh' && acked.groups.size === 0) return
    if (recovered.kind !== 'recovered') throw new Error(`${where}: ${recovered.kind}`)
    disk.runSync(recovered.repairs.slice(0, pick(random, recovered.repairs.length + 1)))
    disk.crash(random)
  }
  // Where nothing was acknowledged yet, the first segment may go with the last of these crashes.
  if (acked.groups.size === 0 && recoverDisk(disk).kind === 'fresh') return
  const life = checkAfterCrash(disk, acked, after, where)
  // What was recovered is durable: another crash changes nothing any more, and the log can be written to.
  const before = JSON.stringify(viewOf(disk, life.log), big)
  disk.crash(random)
  const again = reopen(disk)
  if (JSON.stringify(viewOf(disk, again.log), big) !== before) throw new Error(`${where}: not durable`)
  const batch = randomBatch(life.model, random, SHAPE)
  disk.runSync(planBatch(again.log, batch))
  confirm(again.log)
  applyBatch(life.model, batch)
  disk.crash(random)
  checkAfterCrash(disk, life.model, life.model, `${where} (gone on)`)
}
