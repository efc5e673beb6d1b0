import t from 'tap'
import { fromUtf8, type Guard, NO_GUARD, type ShardCommand } from '@kvorum/model'
import {
  hashKv,
  hasPhysicalCompaction,
  mayBeRefused,
  measureShard,
  reclaimable,
  spaceWanted,
  versionCharge,
} from '@kvorum/machine'
import { decodeCurrent, decodePast } from '#src/record.js'
import { TABLES, unescapeKey } from '#src/rowKeys.js'
import { randomCommand } from './generate.js'
import { createRandom } from './random.js'
import { parseCommand } from './script.js'
import { catchUp, checksum, createShard, execute, flush, purge, read, restart, type Shard } from './shard.js'

/**
 * What the rows of versions that are really there would be charged, read one by one. Deletions at the revision of
 * the last compaction are given back with it, although they stay.
 */
function chargeOfRows(shard: Shard): number {
  flush(shard)
  let sum = 0
  for (const [text, value] of shard.store.rows) {
    const rowKey = Buffer.from(text, 'latin1')
    if (rowKey[0] !== TABLES.current && rowKey[0] !== TABLES.past) continue
    const { key } = unescapeKey(rowKey, 1)!
    const isCurrent = rowKey[0] === TABLES.current
    const { kv, tombstone } = isCurrent
      ? { kv: decodeCurrent(checksum, rowKey, key, value), tombstone: false }
      : decodePast(checksum, rowKey, key, value)
    if (tombstone && kv.mod <= shard.machine.reclaimed) continue
    sum += versionCharge(key.length, kv.value.length)
  }
  return sum
}

const keysInRows = (shard: Shard): number =>
  [...shard.store.rows.keys()].filter(text => text.charCodeAt(0) === TABLES.current).length

/** What the leader would propose; returns whether there was anything. */
function reclaim(shard: Shard): boolean {
  const freed = reclaimable(shard.machine)
  if (freed === null) return false
  execute(shard, { kind: 'reclaim', ...freed })
  return true
}

const guard = (change: Partial<Guard>): ShardCommand => ({
  kind: 'guard',
  guard: { ...NO_GUARD, version: 1, ...change },
})

t.test('where the bytes of a shard lie is known by a bounded number of its keys', async t => {
  const shard = createShard()
  const keys = Array.from({ length: 4_000 }, (_, at) => `k${String(at).padStart(5, '0')}`)
  for (const key of keys) execute(shard, parseCommand(`put ${key} ${'v'.repeat(1_000)}`))
  const { bytes, points } = read(shard, measureShard)
  t.equal(bytes, shard.machine.logicalBytes)
  t.ok(points.length > 200 && points.length <= 512, `${points.length} points`)
  const each = bytes / keys.length
  for (const { key, before } of points) t.equal(before, keys.indexOf(fromUtf8(key)) * each)
})

t.test('the number is what the rows are, whenever and in whatever steps compaction came', async t => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = createRandom(seed)
    const [eager, lazy] = [createShard(), createShard()]
    for (let step = 0; step < 120; step++) {
      const command = randomCommand(random, eager.machine.revision)
      execute(eager, command)
      execute(lazy, command)
      purge(eager)
      // Pages are small rows here: a purge is often interrupted by the next compaction.
      if (random.chance(0.1)) purge(lazy, 1)
      if (random.chance(0.05)) {
        flush(lazy)
        restart(lazy)
      }
    }
    purge(lazy)
    t.equal(hasPhysicalCompaction(lazy.machine), false)
    t.same(reclaimable(lazy.machine), reclaimable(eager.machine), `seed ${seed}: freed`)
    reclaim(eager)
    reclaim(lazy)
    t.equal(eager.machine.logicalBytes, chargeOfRows(eager), `seed ${seed}: eager`)
    t.equal(lazy.machine.logicalBytes, chargeOfRows(lazy), `seed ${seed}: lazy`)
    t.equal(lazy.machine.keys, keysInRows(lazy), `seed ${seed}: keys`)
    t.equal(read(lazy, measureShard).bytes, lazy.machine.logicalBytes, `seed ${seed}: measured`)
    t.equal(lazy.machine.digest, eager.machine.digest, `seed ${seed}: digest`)
    t.same(
      read(eager, reader => hashKv(reader, 0)),
      read(lazy, reader => hashKv(reader, 0)),
    )
  }
})

t.test('a purge that is interrupted in the middle of a revision counts every version once', async t => {
  const shard = createShard()
  for (let i = 0; i < 400; i++) execute(shard, parseCommand(`put key${i} value`))
  execute(shard, parseCommand('del key kez'))
  execute(shard, { kind: 'compact', revision: shard.machine.revision })
  purge(shard, 5)
  t.ok(hasPhysicalCompaction(shard.machine), 'in the middle')
  flush(shard)
  restart(shard)
  execute(shard, parseCommand('put other value'))
  execute(shard, { kind: 'compact', revision: shard.machine.revision })
  purge(shard)
  t.ok(reclaim(shard))
  t.equal(shard.machine.logicalBytes, versionCharge(5, 5))
  t.equal(chargeOfRows(shard), versionCharge(5, 5))
})

t.test('a full space is recovered by deleting and compacting', async t => {
  const shard = createShard()
  execute(shard, guard({ quota: 2000 }))
  const value = 'x'.repeat(100)
  let writes = 0
  while (execute(shard, parseCommand(`put k ${value}`)).error === null) writes++
  t.equal(writes, Math.floor(2000 / versionCharge(1, 100)))
  const before = { ...shard.machine }
  const refused = execute(shard, parseCommand(`put k ${value}`))
  t.match(refused, { error: { code: 'noSpace', outcome: 'notApplied' }, changed: false })
  t.equal(shard.machine.revision, before.revision)
  t.equal(shard.machine.logicalBytes, before.logicalBytes)
  t.equal(execute(shard, parseCommand('del k')).error, null, 'deletes need no room')
  t.equal(execute(shard, { kind: 'compact', revision: shard.machine.revision }).error, null)
  t.equal(execute(shard, parseCommand(`put k ${value}`)).error?.code, 'noSpace', 'not removed yet')
  purge(shard)
  t.ok(reclaim(shard))
  t.notOk(reclaim(shard), 'once')
  t.equal(execute(shard, parseCommand(`put k ${value}`)).error, null)
})

t.test('everything deleted at once leaves room, although the deletions at that revision stay', async t => {
  const shard = createShard()
  execute(shard, guard({ quota: 20 * versionCharge(3, 1) }))
  let writes = 0
  while (execute(shard, parseCommand(`put k${10 + writes} v`)).error === null) writes++
  t.equal(writes, 20)
  t.equal(execute(shard, parseCommand('del k l')).error, null)
  execute(shard, { kind: 'compact', revision: shard.machine.revision })
  purge(shard)
  t.ok(reclaim(shard))
  t.equal(shard.machine.logicalBytes, 0)
  t.equal(execute(shard, parseCommand('put k10 v')).error, null)
  execute(shard, { kind: 'compact', revision: shard.machine.revision })
  purge(shard)
  t.ok(reclaim(shard))
  t.equal(shard.machine.logicalBytes, versionCharge(3, 1), 'each is given back once')
  t.equal(chargeOfRows(shard), versionCharge(3, 1))
})

t.test('an alarm refuses what needs room and nothing else; it goes with a newer guard only', async t => {
  const shard = createShard()
  execute(shard, parseCommand('put k v'))
  execute(shard, parseCommand('grant 7 60'))
  execute(shard, guard({ version: 5, noSpace: true }))
  for (const text of ['put k w', 'grant 8 60']) {
    t.equal(execute(shard, parseCommand(text)).error?.code, 'noSpace', text)
  }
  const put = parseCommand('put k w')
  const nested: ShardCommand = {
    kind: 'write',
    op: {
      kind: 'txn',
      compares: [],
      success: [],
      failure: put.kind === 'write' ? [{ kind: 'txn', compares: [], success: [put.op], failure: [] }] : [],
    },
  }
  t.equal(execute(shard, nested).error?.code, 'noSpace', 'a put in a branch that is not taken')
  t.equal(execute(shard, guard({ version: 4 })).error, null)
  t.equal(execute(shard, put).error?.code, 'noSpace', 'an older guard changes nothing')
  flush(shard)
  restart(shard)
  t.equal(execute(shard, put).error?.code, 'noSpace', 'after a restart')
  t.equal(execute(shard, parseCommand('revoke 7')).error, null)
  t.equal(execute(shard, parseCommand('del k')).error, null)
  t.equal(execute(shard, parseCommand('compact 2')).error, null)
  execute(shard, guard({ version: 6, corrupt: true }))
  for (const text of ['put k w', 'del k', 'compact 3', 'revoke 7', 'grant 8 60']) {
    t.equal(execute(shard, parseCommand(text)).error?.code, 'corrupt', text)
  }
  execute(shard, guard({ version: 7 }))
  t.equal(execute(shard, put).error, null)
})

t.test('a log with refusals comes to the same state again', async t => {
  const shard = createShard()
  execute(shard, guard({ quota: 20_000 }))
  const random = createRandom(5)
  for (let i = 0; i < 400; i++) execute(shard, randomCommand(random, shard.machine.revision))
  const again = createShard()
  again.log = shard.log
  catchUp(again)
  t.equal(again.machine.digest, shard.machine.digest)
  t.ok(shard.machine.logicalBytes <= 20_000 + 40 * 300, 'only deletions go beyond')
})

t.test('the short question never passes what the long one refuses', async t => {
  const random = createRandom(9)
  const shard = createShard()
  execute(shard, guard({ quota: 3000 }))
  for (let i = 0; i < 2000; i++) {
    const command = randomCommand(random, 5)
    const before = shard.log.length
    const { error } = execute(shard, command)
    const bytes = shard.log[before]!.length
    if (error?.code === 'noSpace' && !mayBeRefused(shard.machine, bytes)) t.fail(`${bytes} bytes passed`)
  }
  t.equal(spaceWanted(parseCommand('put ab cde')), versionCharge(2, 3))
})
