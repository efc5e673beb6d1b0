import t, { type Test } from 'tap'
import {
  compareBytes,
  encodeShardCommand,
  type KeyValue,
  type OpReply,
  toKeyString,
  type WatchEvent,
} from '@kvorum/model'
import { hashKv, leaseKeys, overlayFreeze, readHistory, readRange, readTxn } from '@kvorum/machine'
import { applyingRow } from '#src/groupRows.js'
import { GROUP_ROWS, TABLES, unescapeKey } from '#src/rowKeys.js'
import { randomCommand, randomRange, randomTxn } from './generate.js'
import { createRandom, type Random } from './random.js'
import { createReference, latest, query, type Reference, run } from './reference.js'
import {
  applyNext,
  catchUp,
  createShard,
  execute,
  flush,
  type Outcome,
  purge,
  read,
  restart,
  type Shard,
} from './shard.js'

const SEEDS = 60
const COMMANDS = 120

/** Records as plain data, so that views and buffers compare by content. */
const plainKv = (kv: KeyValue) => ({
  key: Buffer.from(kv.key).toString('hex'),
  create: kv.create,
  mod: kv.mod,
  version: kv.version,
  value: Buffer.from(kv.value).toString('hex'),
  lease: kv.lease.toString(),
})
const plainEvent = ({ kind, kv, prev }: WatchEvent) => ({
  kind,
  kv: plainKv(kv),
  prev: prev === null ? null : plainKv(prev),
})
function plainOp(reply: OpReply): unknown {
  switch (reply.kind) {
    case 'put':
      return { put: reply.prev === null ? null : plainKv(reply.prev) }
    case 'delete':
      return { deleted: reply.deleted, prevs: reply.prevs.map(plainKv) }
    case 'range':
      return { kvs: reply.kvs.map(plainKv), more: reply.more, count: reply.count }
    case 'txn':
      return {
        succeeded: reply.succeeded,
        revision: reply.revision,
        before: reply.before,
        parts: reply.responses.map(plainOp),
      }
  }
}

function compareOutcome(
  reference: Reference,
  expected: ReturnType<typeof run>,
  outcome: Outcome,
  before: number,
) {
  const changed = latest(reference) > before
  const op = outcome.reply?.kind === 'op' ? plainOp(outcome.reply.op) : null
  return {
    wanted: {
      code: expected.ok ? null : expected.code,
      op: expected.ok && expected.op !== null ? plainOp(expected.op) : null,
      revision: latest(reference),
      changed,
      events: changed ? reference.changes[latest(reference)]!.map(plainEvent) : null,
    },
    found: {
      code: outcome.error?.code ?? null,
      op,
      revision: outcome.revision,
      changed: outcome.changed,
      events: outcome.events?.events.map(plainEvent) ?? null,
    },
  }
}

/** A disturbance that must not be visible. */
function disturb(shard: Shard, random: Random): void {
  if (random.chance(0.3)) flush(shard)
  if (random.chance(0.2)) purge(shard, 1)
  if (random.chance(0.05)) {
    restart(shard)
    catchUp(shard)
  }
}

for (let seed = 1; seed <= SEEDS; seed++) {
  t.test(`seed ${seed}`, async t => {
    const random = createRandom(seed)
    const reference = createReference()
    const shard = createShard()
    const calm = createShard()
    for (let i = 0; i < COMMANDS; i++) {
      const before = latest(reference)
      const command = randomCommand(random, before)
      const expected = run(reference, command)
      const outcome = execute(shard, command, random.chance(0.5))
      const { wanted, found } = compareOutcome(reference, expected, outcome, before)
      if (!t.same(found, wanted, `command ${i}: ${command.kind}`)) return
      disturb(shard, random)
      checkReads(t, shard, reference, random)

      calm.log.push(encodeShardCommand(command))
      applyNext(calm)
      if (shard.machine.digest !== calm.machine.digest) t.fail(`digests part at command ${i}`)
    }
    purge(shard)
    checkHistory(t, shard, reference, 1 + reference.compacted)
    const hash = (of: Shard, at: number) => read(of, reader => hashKv(reader, at))
    for (const at of [0, Math.max(reference.compacted, latest(reference) - 5)]) {
      t.same(hash(shard, at), hash(calm, at), 'the same hash, whatever is flushed and purged')
    }
  })
}

/**
 * Any part of a command's writes may be in the store when it is applied again: here for every command, also
 * short ones, and for any set of keys, not only those that come first.
 */
for (let seed = 1; seed <= SEEDS / 2; seed++) {
  t.test(`seed ${seed}, torn`, async t => {
    const random = createRandom(1000 + seed)
    const reference = createReference()
    const shard = createShard()
    const calm = createShard()
    for (let i = 0; i < COMMANDS; i++) {
      const before = latest(reference)
      const command = randomCommand(random, before)
      const data = encodeShardCommand(command)
      calm.log.push(data)
      const wanted = applyNext(calm)
      if (wanted.changed && random.chance(0.7)) {
        tear(shard, data, random)
        for (let reads = 0; reads < 3; reads++) checkReads(t, shard, reference, random)
      }
      run(reference, command)
      shard.log.push(data)
      const found = applyNext(shard)
      t.same({ ...found, events: null }, { ...wanted, events: null }, `command ${i}: ${command.kind}`)
      checkReads(t, shard, reference, random)
      if (shard.machine.digest !== calm.machine.digest) return t.fail(`digests part at command ${i}`)
    }
    flush(shard)
    flush(calm)
    t.same(shard.store.dump(), calm.store.dump(), 'the same rows')
    return undefined
  })
}

/** Leaves the writes of the command for some keys in the store, as a power loss in its middle would. */
function tear(shard: Shard, data: Uint8Array, random: Random): void {
  flush(shard)
  const whole: Shard = { ...shard, store: shard.store.copy(), log: [...shard.log, data] }
  restart(whole)
  applyNext(whole)
  const keep = new Map<string, boolean>()
  for (const write of overlayFreeze(whole.overlay)!.writes) {
    const key = userKeyOf(write.key)
    if (key === null) continue
    if (!keep.has(key)) keep.set(key, random.chance(0.5))
    if (keep.get(key) === true) shard.store.write([write])
  }
  shard.store.write([applyingRow(shard.machine, shard.machine.revision + 1)])
  restart(shard)
}

function userKeyOf(rowKey: Uint8Array): string | null {
  const table = rowKey[0]
  const isAttachment = table === TABLES.group && rowKey[5] === GROUP_ROWS.attachment
  if (table === TABLES.group && !isAttachment) return null
  const at = isAttachment ? 14 : table === TABLES.history ? 13 : 1
  return toKeyString(unescapeKey(rowKey, at)!.key)
}

function checkReads(t: Test, shard: Shard, reference: Reference, random: Random): void {
  const op = random.chance(0.6)
    ? randomRange(random, latest(reference))
    : randomTxn(random, latest(reference), 1, true)
  const expected = query(reference, op)
  const found =
    op.kind === 'range'
      ? read(shard, reader => readRange(reader, op))
      : read(shard, reader => readTxn(reader, op))
  t.same(
    found.ok ? plainOp(found.value.reply) : found.error.code,
    expected.ok ? plainOp(expected.op!) : expected.code,
    `read ${op.kind}`,
  )
  if (random.chance(0.2)) checkHistory(t, shard, reference, random.below(latest(reference) + 2))
  for (const id of reference.leases.keys()) {
    const attached = reference.states[latest(reference)]!.filter(kv => kv.lease === id).map(kv => kv.key)
    const keys = read(shard, reader => leaseKeys(reader, id as never))
    if (
      !keys.ok ||
      keys.value.length !== attached.length ||
      attached.some((key, i) => compareBytes(key, keys.value[i]!) !== 0)
    ) {
      t.fail(`lease ${id} has other keys`)
    }
  }
}

function checkHistory(t: Test, shard: Shard, reference: Reference, from: number): void {
  const limits = { revisionsMax: 3, bytesMax: 1000 }
  const { compacted } = reference
  if (from < compacted) {
    const found = read(shard, reader => readHistory(reader, from, latest(reference), limits))
    t.equal(found.ok ? 'ok' : found.error.code, 'compacted')
    return
  }
  const events: unknown[] = []
  for (let next = from; next <= latest(reference);) {
    const found = read(shard, reader => readHistory(reader, next, latest(reference), limits, { prev: true }))
    if (!found.ok) throw new Error(found.error.code)
    for (const { revision, events: some } of found.value.events) {
      events.push({ revision, events: some.map(plainEvent) })
    }
    if (found.value.next <= next) throw new Error('history does not move on')
    next = found.value.next
  }
  const wanted = []
  for (let revision = Math.max(from, 2); revision <= latest(reference); revision++) {
    const changes = reference.changes[revision]!.map(plainEvent)
    wanted.push({ revision, events: changes.map(e => (revision === compacted ? { ...e, prev: null } : e)) })
  }
  t.same(events, wanted, `history from ${from}`)
}
