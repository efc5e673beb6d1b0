import t from 'tap'
import {
  ALL_KEYS,
  compareBytes,
  encodeShardCommand,
  groupId,
  leaseId,
  type Op,
  pointRange,
  toHex,
  toKeyString,
  utf8,
} from '@kvorum/model'
import {
  applyCommand,
  applyConfig,
  applyNoop,
  beginInstall,
  checkCommand,
  checkOp,
  clearScans,
  CorruptRecordError,
  finishInstall,
  hashKv,
  inSnapshot,
  leaseKeys,
  loadMachine,
  readHistory,
  readRange,
  runStep,
  snapshotScans,
} from '@kvorum/machine'
import { mergePage } from '#src/mergePage.js'
import { createOverlay, overlayDrop, overlayFreeze, overlaySnapshot } from '#src/overlay.js'
import { overlayPut } from '#src/overlay.js'
import { attachmentRows, escapeKey, pastKey, readDescending, unescapeKey } from '#src/rowKeys.js'
import { MemoryStore } from './memoryStore.js'
import { createRandom, type Random } from './random.js'
import { parseCommand, PLAIN_GET, showOutcome } from './script.js'
import {
  applyNext,
  catchUp,
  checksum,
  createShard,
  execute,
  fetchAhead,
  flush,
  GROUP,
  purge,
  read,
  restart,
  type Shard,
  toOutcome,
} from './shard.js'

const randomBytes = (random: Random, max: number): Uint8Array =>
  Uint8Array.from({ length: random.below(max + 1) }, () => random.pick([0, 0, 1, 2, 0x61, 0xfe, 0xff, 0xff]))

t.test('escaped keys sort like the keys, whatever follows them, and come back', async t => {
  const random = createRandom(1)
  for (let i = 0; i < 20_000; i++) {
    const a = randomBytes(random, 6)
    const b = randomBytes(random, 6)
    const tail = Buffer.from([random.below(256)])
    const order = compareBytes(a, b)
    const rows = [Buffer.concat([escapeKey(a), tail]), Buffer.concat([escapeKey(b), Buffer.from([7])])]
    if (order !== 0 && compareBytes(rows[0]!, rows[1]!) !== order) t.fail(`${toHex(a)} and ${toHex(b)}`)
    const back = unescapeKey(rows[0]!, 0)
    if (back === null || compareBytes(back.key, a) !== 0 || back.end !== rows[0]!.length - 1) t.fail(toHex(a))
  }
  t.equal(unescapeKey(Buffer.from('6100', 'hex'), 0), null, 'no end')
  t.equal(unescapeKey(Buffer.from('610005', 'hex'), 0), null, 'not an escape')
  t.ok(compareBytes(pastKey(utf8('a'), 2 ** 40 + 5), pastKey(utf8('a'), 2 ** 40 + 4)) < 0, 'newest first')
  t.equal(readDescending(pastKey(utf8('a'), 2 ** 52 + 3), 4), 2 ** 52 + 3)
  const { gte, lt } = attachmentRows(ALL_KEYS, leaseId(-1n))
  t.ok(compareBytes(gte, lt) < 0, 'attachments of the last lease id')
})

t.test('a merged page is what the store would say with the layers written', async t => {
  const random = createRandom(2)
  for (let run = 0; run < 3000; run++) {
    const store = new MemoryStore()
    const overlay = createOverlay()
    const key = (): Uint8Array => Buffer.from([random.below(4), random.below(4)])
    store.write(Array.from({ length: random.below(12) }, () => ({ key: key(), value: Buffer.from('s') })))
    const written = store.copy()
    for (let layer = 0; layer < 1 + random.below(3); layer++) {
      for (let i = random.below(6); i > 0; i--) {
        const write = { key: key(), value: random.chance(0.5) ? null : Buffer.from(`${layer}`) }
        overlayPut(overlay, write)
        written.write([write])
      }
      if (random.chance(0.5)) overlayFreeze(overlay)
    }
    const reverse = random.chance(0.5)
    let bounds = { gte: key(), lt: random.chance(0.3) ? Buffer.from([9]) : key() }
    if (compareBytes(bounds.gte, bounds.lt) >= 0) continue
    const whole = { ...bounds, reverse, values: true, rowsMax: 100, bytesMax: 1000 }
    const wanted = written.page(whole).rows.map(row => `${toHex(row.key)}=${toHex(row.value)}`)
    const found: string[] = []
    for (let pages = 0; pages < 50; pages++) {
      const scan = { ...bounds, reverse, values: true, rowsMax: 1 + random.below(3), bytesMax: 1000 }
      const page = mergePage(overlaySnapshot(overlay).layers, scan, store.page(scan))
      found.push(...page.rows.map(row => `${toHex(row.key)}=${toHex(row.value)}`))
      if (page.next === null) break
      bounds = reverse
        ? { ...bounds, lt: Buffer.from(page.next) }
        : { ...bounds, gte: Buffer.from(page.next) }
    }
    if (found.join() !== wanted.join()) t.same(found, wanted, `run ${run}`)
  }
  t.pass('3000 runs')
})

t.test('a layer snapshot does not see later writes, and knows when it is stale', async t => {
  const overlay = createOverlay()
  overlayPut(overlay, { key: utf8('a'), value: utf8('1') })
  const snapshot = overlaySnapshot(overlay)
  t.equal(overlaySnapshot(overlay), snapshot, 'shared until the next write')
  overlayPut(overlay, { key: utf8('a'), value: utf8('2') })
  t.equal(toKeyString(snapshot.layers[0]!.get('a')!.value!), '1')
  const batch = overlayFreeze(overlay)!
  t.throws(() => overlayDrop(overlay, batch.id + 1), { name: 'InvariantError' })
  overlayDrop(overlay, batch.id)
  t.equal(overlayFreeze(overlay), null)
})

t.test('what was fetched ahead is not used when a later layer has come and gone', async t => {
  for (const drop of [false, true]) {
    const shard = createShard()
    execute(shard, parseCommand('put a 1'))
    flush(shard)
    const data = encodeShardCommand(parseCommand('put a 3 prev'))
    const ahead = fetchAhead(shard, data)
    execute(shard, parseCommand('put a 2'))
    if (drop) flush(shard)
    shard.log.push(data)
    const step = applyCommand(shard.machine, shard.overlay, { index: 3, term: 1, data }, ahead)
    const outcome = toOutcome(runStep(step, need => shard.store.answer(need)))
    t.equal(showOutcome(outcome), '4 put was a=2[2 3 2]', drop ? 'dropped' : 'still a layer')
  }
})

t.test('commands on single keys need no fetch beyond the one ahead', async t => {
  const shard = createShard()
  shard.atFetch = () => t.fail('it fetched')
  execute(shard, parseCommand('put a 1'), true)
  execute(shard, parseCommand('del a'), true)
  const txn = 'if mod b = 0 then put b 1 ; del a ; get a else get b end'
  t.equal(showOutcome(execute(shard, parseCommand(txn), true)), '4 yes@4 (put; deleted 0; of 0)')
})

/** A short history and its rows. They are on disks: a difference here is a change of format. */
const GOLDEN_HISTORY = ['grant 7 60', 'put a one lease=7', 'put a two', 'put b x lease=7', 'del b']
const GOLDEN_ROWS = [
  '43610001=3849be6e010002030274776f',
  '470000000143=f287f5ff0101636f6e666967',
  '47000000014c0000000000000007=4bf0d9de013c',
  '47000000014d=d8aeb6670107010500018b0887f87121000000000001',
  '48000000000000000200000000610001=e212100501010000',
  '48000000000000000300000000610001=cd79389a0101028402',
  '48000000000000000400000000620001=3cc7af7801010000',
  '48000000000000000500000000620001=a371947e0102048202',
  '50610001fffffffffffffffd=f4f2960c01030202010000000000000007036f6e65',
  '50620001fffffffffffffffa=d6d3cd9b0104000500',
  '50620001fffffffffffffffb=a4196151010304040100000000000000070578',
]
/** The group's own row before keys were counted. */
const GOLDEN_UNCOUNTED = '445ebf0d0107010500018b0887f8712100000000'
const GOLDEN_PURGED = [
  '43610001=3849be6e010002030274776f',
  '470000000143=f287f5ff0101636f6e666967',
  '47000000014c0000000000000007=4bf0d9de013c',
  '47000000014d=84ff3b330108010504018b08dd6ad0e7000000000001',
  '470000000150=75a26545010400094800000000000000058402',
  '48000000000000000400000000620001=3cc7af7801010000',
  '48000000000000000500000000620001=a371947e0102048202',
  '50620001fffffffffffffffa=d6d3cd9b0104000500',
  '50620001fffffffffffffffb=a4196151010304040100000000000000070578',
]

function goldenShard(): Shard {
  const shard = createShard()
  applyConfig(shard.machine, shard.overlay, { index: 1, term: 1 }, utf8('config'))
  applyNoop(shard.machine, shard.overlay, { index: 2, term: 2 })
  shard.log.push(utf8(''), utf8(''))
  for (const line of GOLDEN_HISTORY) execute(shard, parseCommand(line))
  flush(shard)
  return shard
}

t.test('golden rows', async t => {
  const shard = goldenShard()
  t.same(shard.store.dump(), GOLDEN_ROWS)
  execute(shard, parseCommand('compact 4'))
  purge(shard)
  flush(shard)
  t.same(shard.store.dump(), GOLDEN_PURGED)
})

t.test('a row that does not count the keys is read', async t => {
  const { store, machine } = goldenShard()
  const row = Buffer.from('47000000014d', 'hex').toString('latin1')
  t.ok(store.rows.has(row))
  store.rows.set(row, Buffer.from(GOLDEN_UNCOUNTED, 'hex'))
  const loaded = runStep(loadMachine({ group: machine.group, checksum }), need => store.answer(need))
  t.match(loaded, { keys: 0, revision: machine.revision, digest: machine.digest })
})

t.test('a machine comes back from its rows', async t => {
  const shard = goldenShard()
  const before = { ...shard.machine }
  restart(shard)
  // What is counted for the operator begins with the process.
  t.same({ ...shard.machine, counts: before.counts }, before)
  t.equal(toKeyString(shard.machine.config), 'config')
  t.equal(shard.machine.configIndex, 1)
  t.equal(
    runStep(loadMachine({ group: groupId(2), checksum }), need => shard.store.answer(need)),
    null,
  )
})

t.test('a flipped bit in any row is noticed by whoever reads it, and names no key', async t => {
  const { store } = goldenShard()
  for (const [text, value] of store.rows) {
    if (value.length === 0) continue
    for (const at of [0, 4, value.length - 1]) {
      const shard = { ...goldenShard(), store: store.copy() }
      const broken = Buffer.from(value)
      broken[at]! ^= 0x10
      shard.store.rows.set(text, broken)
      const row = Buffer.from(text, 'latin1').toString('hex')
      t.throws(() => readEverything(shard), CorruptRecordError, `${row} at ${at}`)
    }
  }
  const error = new CorruptRecordError(Buffer.from('C0123456789abcdef'), 'checksum mismatch')
  t.equal(error.table, 'C')
  t.equal(error.message, 'corrupt row C:3031323334353637: checksum mismatch')
})

t.test('a row under another key is noticed', async t => {
  const shard = goldenShard()
  execute(shard, parseCommand('put c two'))
  flush(shard)
  const { rows } = shard.store
  rows.set('Cc\0\x01', rows.get('Ca\0\x01')!)
  t.throws(() => readEverything(shard), CorruptRecordError)
})

t.test('history without its version is corruption, not an event less', async t => {
  const shard = goldenShard()
  shard.store.rows.delete(toKeyString(pastKey(utf8('a'), 2)))
  t.throws(() => readEverything(shard), CorruptRecordError)
})

function readEverything(shard: Shard): void {
  restart(shard)
  const limits = { revisionsMax: 100, bytesMax: 1e6 }
  read(shard, reader => readRange(reader, { ...PLAIN_GET, range: ALL_KEYS }))
  read(shard, reader => hashKv(reader, 0))
  read(shard, reader => leaseKeys(reader, leaseId(7n)))
  read(shard, reader => readHistory(reader, 1, 100, limits, { prev: true }))
}

t.test('a snapshot being installed is known after a restart, and cleared', async t => {
  const shard = goldenShard()
  const whole = shard.store.dump()
  const config = utf8('where the log begins')
  shard.store.write(beginInstall({ group: GROUP, range: ALL_KEYS }, config, checksum))
  const clear = (): void => {
    for (const scan of clearScans(shard.machine)) {
      const { rows } = shard.store.page({ ...scan, rowsMax: 1000, bytesMax: 1e6 })
      for (const row of rows) {
        if (inSnapshot(shard.machine, row.key)) shard.store.write([{ key: row.key, value: null }])
      }
    }
  }
  const source = goldenShard()
  restart(shard)
  t.ok(shard.machine.installing)
  t.same(shard.machine.config, config)
  t.throws(() => applyNoop(shard.machine, shard.overlay, { index: 1, term: 1 }), { name: 'InvariantError' })
  clear()
  t.equal(shard.store.rows.size, 1, 'only the mark is left')
  for (const scan of snapshotScans(source.machine)) {
    const { rows } = source.store.page({ ...scan, rowsMax: 1000, bytesMax: 1e6 })
    shard.store.write(rows.filter(row => inSnapshot(source.machine, row.key)))
  }
  shard.store.write(finishInstall(GROUP))
  t.same(shard.store.dump(), whole)
  restart(shard)
  t.notOk(shard.machine.installing)
})

t.test('history rows of other shards stay out of a snapshot', async t => {
  const shard = goldenShard()
  const left = { group: GROUP, range: { start: utf8(''), end: utf8('b') } }
  const keys = [...shard.store.rows.keys()]
    .filter(key => key.startsWith('H'))
    .map(key => Buffer.from(key, 'latin1'))
  t.equal(keys.filter(key => inSnapshot(left, key)).length, 2, 'the puts of a')
  t.equal(keys.length, 4)
})

const CHECKS = `
put a 1                                                     | ok
put a x keepValue                                           | valueProvided
put a lease=3 keepLease                                     | leaseProvided
if then put a 1 ; put b 1 else put a 1 end                  | ok
if then put a 1 ; put a 1 else end                          | duplicateKey
if then else put a 1 ; put a 1 end                          | duplicateKey
if then put b 1 ; del a c else end                          | duplicateKey
if then del a c ; put b 1 else end                          | duplicateKey
if then del a c ; put c 1 else end                          | ok
if then del a * ; put c 1 else end                          | duplicateKey
if then put b 1 else del b end                              | ok
if then del a c ; del b d ; del b else end                  | ok
if then if then put a 1 else put a 2 end else end           | ok
if then if then put a 1 else del a end else end             | ok
if then put a 1 ; if then put a 1 else end else end         | duplicateKey
if then put a 1 ; if then else del a end else end           | duplicateKey
if then del a ; if then else put a 1 end else end           | duplicateKey
if then if then put a 1 else end ; if then put a 1 else end else end | duplicateKey
if then if then del a else end ; if then put a 1 else end else end   | duplicateKey
if then if then put a 1 else end ; if then del a else end else end   | duplicateKey
if then if then put a 1 else del b end ; put b 1 else end   | duplicateKey
if then get a ; put a 1 ; get a * else end                  | ok
if then if then if then put a 1 else end else end ; put b 1 else end | ok
if then get a ; get b ; get c ; get d else end              | ok
if then get a ; get b ; get c ; get d ; get e else end      | tooManyOps
if then else get a ; get b ; get c ; get d ; get e end      | tooManyOps
if mod a = 1 , mod b = 1 , mod c = 1 , mod d = 1 , mod e = 1 then else end | tooManyOps
if then get a ; if then get a ; get b else end else end     | ok
if then get a ; if then get a ; get b ; get c else end else end | tooManyOps
if then if then if then if then get a else end else end else end else end | tooManyOps
`
t.test('static checks', async t => {
  const limits = { txnOpsMax: 4, txnDepthMax: 3, leaseTtlMax: 9_000_000_000 }
  for (const line of CHECKS.trim().split('\n')) {
    const [text, expected] = line.split('|').map(part => part.trim())
    t.equal(checkCommand(parseCommand(text!), limits)?.code ?? 'ok', expected, text!)
  }
  const nameless: Op[] = [
    {
      kind: 'put',
      key: utf8(''),
      value: utf8(''),
      lease: leaseId(0n),
      prevKv: false,
      ignoreValue: false,
      ignoreLease: false,
    },
    { kind: 'delete', range: { start: utf8(''), end: null }, prevKv: false },
    { ...PLAIN_GET, range: pointRange(utf8('')) },
  ]
  for (const op of nameless) {
    t.equal(checkOp(op)?.code, 'emptyKey')
    t.equal(checkOp({ kind: 'txn', compares: [], success: [], failure: [op] })?.code, 'emptyKey')
  }
  const compare = { range: pointRange(utf8('')), result: 'equal', target: 'mod', operand: 0 } as const
  t.equal(checkOp({ kind: 'txn', compares: [compare], success: [], failure: [] })?.code, 'emptyKey')
  t.equal(checkOp({ ...PLAIN_GET, range: ALL_KEYS, limit: -1 })?.code, 'emptyKey')
  t.equal(checkOp({ ...PLAIN_GET, range: pointRange(utf8('a')), limit: -1 })?.code, 'malformed')
  const grant = (id: bigint, ttl: number) => checkCommand({ kind: 'leaseGrant', id: leaseId(id), ttl })?.code
  t.equal(grant(1n, 9_000_000_000), undefined)
  t.equal(grant(1n, 9_000_000_001), 'leaseTtlTooLarge')
  t.equal(grant(0n, 1), 'leaseNotFound')
})

t.test('a tree of transactions has a bound as a whole', async t => {
  const tree = (depth: number): Op =>
    depth === 0
      ? { ...PLAIN_GET, range: pointRange(utf8('a')) }
      : {
          kind: 'txn',
          compares: [],
          success: [tree(depth - 1), tree(depth - 1)],
          failure: [tree(depth - 1), tree(depth - 1)],
        }
  t.equal(checkOp(tree(5)), null)
  t.equal(checkOp(tree(6))?.code, 'tooManyOps')
})

t.test('an unknown command stops the replica and is not skipped', async t => {
  const shard = createShard()
  shard.log.push(Buffer.from([1, 99, 0]))
  t.throws(() => applyNext(shard), { name: 'MalformedError' })
  t.equal(shard.machine.applied, 0)
  shard.log = [encodeShardCommand(parseCommand('put a 1'))]
  const at = { index: 2, term: 1, data: shard.log[0]! }
  const gap = applyCommand(shard.machine, shard.overlay, at, null)
  t.throws(() => gap.next(), { name: 'InvariantError' }, 'an entry that does not follow')
  catchUp(shard)
  t.equal(shard.machine.applied, 1)
})
