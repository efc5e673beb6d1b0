import t from 'tap'
import { encodeShardCommand, leaseId, successor, toKeyString, utf8, type KeyRange } from '@kvorum/model'
import {
  applyCommand,
  createReader,
  hasPhysicalCompaction,
  hashKv,
  isLong,
  inSnapshot,
  leaseKeys,
  overlayFreeze,
  overlaySnapshot,
  readHistory,
  readPage,
  readRange,
  runStep,
  showCommand,
  snapshotScans,
  workCommand,
} from '@kvorum/machine'
import { MemoryStore } from './memoryStore.js'
import { createRandom } from './random.js'
import { parseCommand, PLAIN_GET, showOutcome } from './script.js'
import {
  applyNext,
  catchUp,
  createShard,
  execute,
  flush,
  purge,
  read,
  restart,
  type Shard,
  toOutcome,
} from './shard.js'

const KEYS = 3000
const name = (i: number): string => `k${String(i).padStart(5, '0')}`
const ALL: KeyRange = { start: utf8('\0'), end: null }
const LEASE = leaseId(7n)

/** Many keys, some of them leased, overwritten or deleted again, in log and store. */
function prepare(responseBytesMax?: number): Shard {
  const shard = createShard(responseBytesMax)
  execute(shard, parseCommand('grant 7 60'))
  execute(shard, parseCommand('grant 8 60'))
  const put = (i: number, text: string): void => {
    const lease = i % 4 === 3 ? '' : i % 4 === 2 ? 'lease=8' : 'lease=7'
    execute(shard, parseCommand(`put ${name(i)} ${text} ${lease}`))
  }
  for (let i = 0; i < KEYS; i++) put(i, `v${i}`)
  for (let i = 0; i < KEYS; i += 50) put(i, 'again')
  for (let i = 10; i < KEYS; i += 100) execute(shard, parseCommand(`del ${name(i)}`))
  flush(shard)
  return shard
}

const PREPARED = prepare()
const fork = (): Shard => {
  const shard = { ...PREPARED, store: PREPARED.store.copy(), log: [...PREPARED.log] }
  restart(shard)
  return shard
}

const COMMANDS: Record<string, string> = {
  'delete a range': `del a *`,
  'delete with previous pairs': `del ${name(3)} ${name(2900)} prev`,
  'a transaction that deletes, puts and reads': `if version a = 0 , mod ${name(0)} l > 1 then put a new lease=7 ; get a * count ; del ${name(20)} ${name(1900)} ; get ${name(10)} * limit=20 ; if mod ${name(30)} > 0 then del ${name(1700)} ${name(2990)} prev ; put ${name(5)} 5 lease=8 else end ; get a * desc limit=3 ; get a * count rev=40 else end`,
  'revoke a lease': `revoke 7`,
}

/** Everything a client could ask, in short. */
function observe(shard: Shard): unknown {
  const range = read(shard, reader => readRange(reader, { ...PLAIN_GET, range: ALL }))
  const counted = read(shard, reader => readRange(reader, { ...PLAIN_GET, range: ALL, countOnly: true }))
  const last = read(shard, reader =>
    readRange(reader, { ...PLAIN_GET, range: ALL, order: 'descend', limit: 2 }),
  )
  const keys = read(shard, reader => leaseKeys(reader, LEASE))
  if (!range.ok || !counted.ok || !last.ok || !keys.ok) throw new Error('a read was refused')
  return {
    revision: range.value.revision,
    count: [range.value.reply.count, counted.value.reply.count],
    last: last.value.reply.kvs.map(kv => toKeyString(kv.key)),
    kvs: range.value.reply.kvs.map(kv => `${toKeyString(kv.key)} ${kv.mod} ${kv.version} ${kv.lease}`).join(),
    attached: keys.value.map(toKeyString).join(),
    hash: read(shard, reader => hashKv(reader, 0)),
  }
}

const recent = (shard: Shard): unknown => {
  const { revision } = shard.machine
  return read(shard, reader =>
    readHistory(reader, revision - 3, revision + 5, { revisionsMax: 9, bytesMax: 1e9 }, { prev: true }),
  )
}

class PowerLoss extends Error {
  override readonly message = 'power loss'
}

for (const [title, text] of Object.entries(COMMANDS)) {
  const command = parseCommand(text)
  const calm = fork()
  const before = observe(calm)
  const expected = showOutcome(execute(calm, command))
  flush(calm)
  const after = observe(calm)
  const history = JSON.stringify(recent(calm), bigints)

  t.test(`${title}: all or nothing for readers, whatever is flushed`, async t => {
    const shard = fork()
    const random = createRandom(11)
    let long = 0
    shard.atFetch = () => {
      if (random.chance(0.6)) flush(shard)
      if (shard.machine.applying !== 0) long++
      if (long % 3 === 1) t.same(observe(shard), before, 'the state before, at every step')
    }
    const outcome = execute(shard, command)
    t.ok(long > 2, `the command is long: ${long} steps after its first writes left it`)
    t.equal(outcome.events, null, 'too many events to hold')
    t.equal(showOutcome(outcome), expected)
    t.same(observe(shard), after)
    t.equal(JSON.stringify(recent(shard), bigints), history, 'watchers get them from the history')
    flush(shard)
    t.same(shard.store.dump(), calm.store.dump(), 'the same rows')
  })

  t.test(`${title}: applied again after a power loss at every step`, async t => {
    let half = 0
    for (let step = 1; ; step += step < 12 ? 1 : 8) {
      const shard = fork()
      shard.log.push(encodeShardCommand(command))
      if (!dieAt(shard, step, step)) break
      if (shard.machine.applying !== 0) half++
      t.same(observe(shard), before, `the state before, after a loss at step ${step}`)
      // And once more while it is applied again.
      if (step % 2 === 0) dieAt(shard, Math.ceil(step / 2), step + 1000)
      shard.atFetch = () => {}
      catchUp(shard)
      flush(shard)
      t.equal(shard.machine.digest, calm.machine.digest, 'digest')
      t.equal(shard.machine.logicalBytes, calm.machine.logicalBytes, 'logical bytes')
      t.same(shard.store.dump(), calm.store.dump(), 'the same rows')
    }
    t.ok(half > 1, `${half} times half of the command was in the store`)
  })

  t.test(`${title}: worked out, not shown, and lost with the power`, async t => {
    const shard = fork()
    shard.log.push(encodeShardCommand(command))
    const at = { index: shard.machine.applied + 1, term: 1, data: shard.log.at(-1)! }
    const worked = runStep(workCommand(shard.machine, shard.overlay, at, null), need =>
      shard.store.answer(need),
    )
    t.ok(isLong(worked))
    flush(shard)
    t.same(observe(shard), before, 'nobody sees it')
    restart(shard)
    t.not(shard.machine.applying, 0, 'known to be long from the start')
    t.same(observe(shard), before)
    catchUp(shard)
    flush(shard)
    t.equal(shard.machine.digest, calm.machine.digest, 'digest')
    t.same(shard.store.dump(), calm.store.dump(), 'the same rows')
  })

  t.test(`${title}: a snapshot taken in the middle, and the log from there`, async t => {
    const shard = fork()
    shard.log.push(encodeShardCommand(command))
    let half = 0
    shard.atFetch = () => {
      if (shard.machine.applying === 0) return
      flush(shard)
      if (++half === 2) throw new PowerLoss()
    }
    t.throws(() => applyNext(shard), { message: 'power loss' })
    restart(shard)
    t.not(shard.machine.applying, 0, 'half of the command is in the store')
    const copy = { ...createShard(), log: shard.log }
    for (const scan of snapshotScans(shard.machine)) {
      const { rows } = shard.store.page({ ...scan, rowsMax: Infinity, bytesMax: Infinity })
      copy.store.write(rows.filter(row => inSnapshot(shard.machine, row.key)))
    }
    restart(copy)
    catchUp(copy)
    flush(copy)
    t.equal(copy.machine.digest, calm.machine.digest, 'digest')
    t.same(copy.store.dump(), calm.store.dump(), 'the same rows')
  })
}

function bigints(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}

/** Applies the next entry until its n-th fetch, flushing at some of them; true if it did not get to its end. */
function dieAt(shard: Shard, step: number, seed: number): boolean {
  const random = createRandom(seed)
  let steps = 0
  shard.atFetch = () => {
    if (random.chance(0.7)) flush(shard)
    if (++steps === step) throw new PowerLoss()
  }
  try {
    applyNext(shard)
    return false
  } catch (error) {
    if (!(error instanceof PowerLoss)) throw error
    restart(shard)
    return true
  }
}

t.setTimeout(240_000)

t.test('what is long follows from the log alone, not from the pages it was worked on', async t => {
  // Each key is a row of the current table, two of the past one and one of the history.
  for (const [keys, rows, long] of [
    [5, 19, true],
    [5, 20, false],
    [200, 799, true],
    [200, 800, false],
  ] as const) {
    for (const flushed of [false, true]) {
      const shard = createShard()
      Object.assign(shard.machine, { longCommand: { rows, bytes: 1_000_000 } })
      for (let i = 0; i < keys; i++) execute(shard, parseCommand(`put ${name(i)} v`))
      if (flushed) flush(shard)
      const data = encodeShardCommand(parseCommand('del a *'))
      const at = { index: shard.machine.applied + 1, term: 1, data }
      const worked = runStep(workCommand(shard.machine, shard.overlay, at, null), need =>
        shard.store.answer(need),
      )
      t.equal(isLong(worked), long, `${keys} keys, ${rows} rows`)
      t.equal(shard.machine.applying !== 0, long)
      t.equal(showCommand(worked).revision, keys + 2)
      t.equal(shard.machine.applying, 0)
    }
  }
})

t.test('a fetch may be answered before or after layers reach the store', async t => {
  const command = parseCommand(COMMANDS['a transaction that deletes, puts and reads']!)
  const calm = fork()
  execute(calm, command)
  const random = createRandom(5)
  for (let run = 0; run < 4; run++) {
    const shard = fork()
    shard.log.push(encodeShardCommand(command))
    const at = { index: shard.machine.applied + 1, term: 1, data: shard.log.at(-1)! }
    const applied = runStep(applyCommand(shard.machine, shard.overlay, at, null), need => {
      const early = random.chance(0.5) ? shard.store.answer(need) : null
      if (random.chance(0.7)) flush(shard)
      return early ?? shard.store.answer(need)
    })
    t.ok(toOutcome(applied).changed)
    t.equal(shard.machine.digest, calm.machine.digest)
  }
})

t.test('a reader keeps its view while the shard moves on', async t => {
  const shard = fork()
  const before = observe(shard)
  const pinned = shard.store.copy()
  const reader = createReader(shard.machine, overlaySnapshot(shard.overlay))
  execute(shard, parseCommand('del a *'))
  flush(shard)
  execute(shard, parseCommand('compact 1700'))
  purge(shard)
  const found = runStep(hashKv(reader, 0), need => pinned.answer(need))
  t.same(found, (before as { hash: unknown }).hash)
})

t.test(
  'a compaction interrupted inside a revision leaves nothing behind when a later one takes over',
  async t => {
    const shards = [fork(), fork()]
    for (const [i, shard] of shards.entries()) {
      execute(shard, parseCommand('del a *'))
      execute(shard, parseCommand(`compact ${shard.machine.revision}`))
      const pages = i === 0 ? Infinity : Math.ceil(KEYS / 512) + 5
      purge(shard, pages)
      t.equal(hasPhysicalCompaction(shard.machine), i === 1, 'one of the two is in the middle')
      flush(shard)
      restart(shard)
      execute(shard, parseCommand('put z 1'))
      execute(shard, parseCommand(`compact ${shard.machine.revision}`))
      purge(shard)
      flush(shard)
    }
    t.same(shards[1]!.store.dump(), shards[0]!.store.dump())
    const history = [...shards[1]!.store.rows.keys()].filter(
      key => key.startsWith('H') || key.startsWith('P'),
    )
    t.equal(history.length, 1, 'the change at the compact revision')
  },
)

t.test('a transaction of very many operations pauses', async t => {
  const shard = createShard()
  const some = (from: number): string =>
    Array.from({ length: 100 }, (_, i) => `put ${name(from + i)} 1`).join(' ; ')
  const nested = [0, 100, 200, 300, 400, 500].map(from => `if then ${some(from)} else end`).join(' ; ')
  let pauses = 0
  shard.atFetch = () => pauses++
  const outcome = execute(shard, parseCommand(`if then ${nested} else end`))
  t.equal(outcome.revision, 2)
  t.equal(pauses, 3, 'one fetch for all keys, two pauses')
  t.equal(outcome.events?.events.length, 600)
})

t.test('an answer that is too large is refused before anything is written', async t => {
  const range = `${name(0)} * rev=1500`
  for (const text of ['del a * prev', `if then put a 1 ; del b * ; get ${range} else end`]) {
    const shard = fork()
    const before = observe(shard)
    const rows = shard.store.dump(withoutMeta)
    shard.responseBytesMax = 100_000
    restart(shard)
    let begun = 0
    shard.atFetch = () => {
      flush(shard)
      begun = Math.max(begun, shard.machine.applying)
    }
    const outcome = execute(shard, parseCommand(text))
    t.equal(outcome.error?.code, 'responseTooLarge', text)
    t.equal(begun, 0, 'nothing had left the command')
    flush(shard)
    t.same(shard.store.dump(withoutMeta), rows, 'only the position moved')
    t.equal(shard.machine.applied, shard.log.length)
    shard.responseBytesMax = undefined
    restart(shard)
    t.same(observe(shard), before)
  }
})

const withoutMeta = (key: Uint8Array): boolean => !(key[0] === 0x47 && key[5] === 0x4d)

t.test('frozen layers are written in order, the newest wins', async t => {
  const shard = createShard()
  execute(shard, parseCommand('put a 1'))
  const first = overlayFreeze(shard.overlay)!
  execute(shard, parseCommand('put a 2'))
  const second = overlayFreeze(shard.overlay)!
  execute(shard, parseCommand('put a 3'))
  t.equal(showOutcome(execute(shard, parseCommand('get a *'))), '4 a=3[2 4 3] of 1')
  const store = new MemoryStore()
  store.write(first.writes)
  store.write(second.writes)
  shard.store = store
  restart(shard)
  t.equal(shard.machine.revision, 3)
  shard.log.length = shard.machine.applied
  t.equal(showOutcome(execute(shard, parseCommand('get a *'))), '3 a=2[2 3 2] of 1')
})

t.test('a range in pages is the range', async t => {
  const shard = fork()
  const whole = read(shard, reader => readRange(reader, { ...PLAIN_GET, range: ALL }))
  if (!whole.ok) throw new Error('a read was refused')
  for (const bytes of [1, 1000, 40_000, 1e9]) {
    const kvs = []
    let range = ALL
    for (;;) {
      const page = read(shard, reader => readPage(reader, { ...PLAIN_GET, range }, bytes))
      if (!page.ok) throw new Error('a page was refused')
      const { reply } = page.value
      if (reply.count !== reply.kvs.length || reply.kvs.length === 0) t.fail('a page counts itself')
      kvs.push(...reply.kvs)
      if (!reply.more) break
      range = { ...range, start: successor(reply.kvs.at(-1)!.key) }
    }
    t.strictSame(kvs, whole.value.reply.kvs, `${bytes} bytes`)
  }
  const three = read(shard, reader => readPage(reader, { ...PLAIN_GET, range: ALL, limit: 3 }, 1e9))
  t.match(three, { value: { reply: { more: true, count: 3 } } })
  const future = read(shard, reader => readPage(reader, { ...PLAIN_GET, range: ALL, revision: 1e9 }, 1e9))
  t.match(future, { error: { code: 'futureRevision' } })
})
