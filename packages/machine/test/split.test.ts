import t from 'tap'
import {
  encodeShardCommand,
  groupId,
  leaseId,
  NO_LEASE,
  sessionId,
  toHex,
  utf8,
  type LeaseId,
  type Op,
  type ShardCommand,
} from '@kvorum/model'
import {
  applySplit,
  clearScans,
  inSnapshot,
  leaseKeys,
  loadMachine,
  readRange,
  reclaimable,
  runStep,
  snapshotScans,
  showCommand,
  SPLIT_BASE,
  workTransaction,
  type Machine,
} from '@kvorum/machine'
import {
  applyNext,
  checksum,
  createShard,
  drive,
  execute,
  flush,
  purge,
  read,
  restart,
  toOutcome,
  type Outcome,
  type Shard,
} from './shard.js'

const RIGHT = groupId(7)
const LEASE = leaseId(9n)

const put = (key: string, value = 'v', lease: LeaseId = NO_LEASE): Op => ({
  kind: 'put',
  key: utf8(key),
  value: utf8(value),
  lease,
  prevKv: false,
  ignoreValue: false,
  ignoreLease: false,
})
const write = (op: Op): ShardCommand => ({ kind: 'write', op })
const rangeOf = (start: string, end: string | null) => ({
  start: utf8(start),
  end: end === null ? null : utf8(end),
})

/** The entry after the last one splits the shard. */
function split(shard: Shard, at: string, mayNot: string | null = null, epoch = 2, right = RIGHT) {
  const index = shard.machine.applied + 1
  shard.log.push(encodeShardCommand({ kind: 'split', at: utf8(at), right, epoch }))
  const step = { at: utf8(at), right, epoch }
  const { applied, right: half } = applySplit(shard.machine, shard.overlay, { index, term: 1 }, step, {
    mayNot,
    left: new Uint8Array(0),
    right: new Uint8Array(0),
  })
  return { outcome: toOutcome(applied), right: half === null ? null : besides(shard, half) }
}

/** Another shard on the same store. */
const besides = (shard: Shard, machine: Machine): Shard => ({
  ...shard,
  machine,
  log: [new Uint8Array(0)],
})

const keysOf = (shard: Shard): string[] => {
  const op = {
    kind: 'range',
    range: rangeOf('', null),
    limit: 0,
    revision: 0,
    order: 'none',
    target: 'key',
    keysOnly: false,
    countOnly: false,
    minMod: 0,
    maxMod: 0,
    minCreate: 0,
    maxCreate: 0,
  } as const
  const { start, end } = shard.machine.range
  const reply = read(shard, reader => readRange(reader, { ...op, range: { start, end } }))
  if (!reply.ok || reply.value.reply.kind !== 'range') throw new Error('no range')
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
  return reply.value.reply.kvs.map(kv => `${text(kv.key)}=${text(kv.value)}@${kv.mod}`)
}

const attachedTo = (shard: Shard, lease: LeaseId): string[] => {
  const keys = read(shard, reader => leaseKeys(reader, lease))
  return keys.ok ? keys.value.map(key => Buffer.from(key).toString()) : []
}

function filled(): Shard {
  const shard = createShard()
  execute(shard, { kind: 'leaseGrant', id: LEASE, ttl: 60 })
  for (const key of ['a', 'g', 'm', 'z']) execute(shard, write(put(key, key, LEASE)))
  execute(shard, write(put('g', 'again')))
  execute(shard, { kind: 'authFence', fence: { revision: 4, enabled: false } })
  execute(shard, { kind: 'guard', guard: { version: 3, quota: 2 ** 30, noSpace: false, corrupt: false } })
  return shard
}

const error = ({ error }: Outcome): string | undefined => error?.code
/** A Buffer is already JSON of its own when a replacer sees it. */
const plain = (machine: Machine): string =>
  JSON.stringify(
    { ...machine, checksum: 0, counts: 0, sessions: 0, leases: [...machine.leases.values()] },
    (_, each: unknown) => {
      if (each instanceof Uint8Array) return toHex(each)
      const { type, data } = (each ?? {}) as { type?: unknown; data?: number[] }
      if (type === 'Buffer' && data !== undefined) return toHex(Uint8Array.from(data))
      return typeof each === 'bigint' ? String(each) : each
    },
  )

t.test('each half has its keys, their history, the leases, and what is refused', async t => {
  const shard = filled()
  const { revision, logicalBytes } = shard.machine
  const { outcome, right } = split(shard, 'm')
  t.equal(outcome.reply?.kind, 'done')
  t.notOk(outcome.changed, 'no key changes')
  t.strictSame(keysOf(shard), ['a=a@2', 'g=again@6'])
  t.strictSame(keysOf(right!), ['m=m@4', 'z=z@5'])
  t.strictSame(attachedTo(shard, LEASE), ['a'])
  t.strictSame(attachedTo(right!, LEASE), ['m', 'z'])
  t.equal(right!.machine.revision, revision)
  t.equal(right!.machine.applied, SPLIT_BASE.index)
  t.strictSame([shard.machine.epoch, right!.machine.epoch], [2, 2])
  t.strictSame(right!.machine.guard, shard.machine.guard)
  t.strictSame(right!.machine.authFence, shard.machine.authFence)
  t.equal(shard.machine.logicalBytes + right!.machine.logicalBytes, logicalBytes, 'the sum is what it was')
  t.equal(shard.machine.keys + right!.machine.keys, 4)
})

t.test('both are there after a crash, or none is', async t => {
  const shard = filled()
  flush(shard)
  const before = shard.store.dump()
  const { right } = split(shard, 'm')
  t.strictSame(shard.store.dump(), before)
  flush(shard)
  const [left, half] = [plain(shard.machine), plain(right!.machine)]
  restart(shard)
  t.equal(plain(shard.machine), left)
  const loaded = runStep(loadMachine({ group: RIGHT, checksum }), need => shard.store.answer(need))
  t.equal(plain(loaded!), half)
})

t.test('commands whose keys have moved are refused, and nothing is remembered of them', async t => {
  const shard = filled()
  execute(shard, { kind: 'sessionOpen', lease: LEASE })
  const session = [...shard.machine.sessions.byId.keys()][0] ?? sessionId(0n)
  const tagged = (on: Shard, sequence: number, key: string): Outcome => {
    const header = { authRevision: null, session: { session, sequence, acknowledgedBelow: 1 } }
    on.log.push(encodeShardCommand(write(put(key)), header))
    return applyNext(on)
  }
  t.equal(tagged(shard, 1, 'z').error, null)
  const { right } = split(shard, 'm')
  const { revision } = shard.machine
  t.equal(error(execute(shard, write(put('m')))), 'staleRoute')
  t.equal(error(execute(shard, write(put('z')))), 'staleRoute')
  t.equal(error(execute(right!, write(put('a')))), 'staleRoute')
  const wide: Op = { kind: 'delete', range: rangeOf('a', 'n'), prevKv: false }
  t.equal(error(execute(shard, write(wide))), 'staleRoute')
  const compare = { range: rangeOf('z', 'z\0'), result: 'equal', target: 'version', operand: 0 } as const
  const txn: Op = { kind: 'txn', compares: [compare], success: [], failure: [] }
  t.equal(error(execute(shard, write(txn))), 'staleRoute')
  const nested: Op = {
    kind: 'txn',
    compares: [],
    success: [{ kind: 'txn', compares: [], success: [put('a')], failure: [put('z')] }],
    failure: [],
  }
  t.equal(error(execute(shard, write(nested))), 'staleRoute')
  t.equal(shard.machine.revision, revision)
  t.equal(error(tagged(shard, 2, 'm')), 'staleRoute')
  t.equal(error(tagged(right!, 2, 'm')), 'staleRoute', 'what a session has written, its home decides')
  t.equal(right!.machine.sessions.byId.size, 0)
  t.equal(tagged(shard, 2, 'a').error, null, 'nothing was remembered of it')
  t.equal(execute(shard, write(put('a'))).error, null)
})

t.test('revoking a lease in one half leaves the keys of the other alone', async t => {
  const shard = filled()
  const { right } = split(shard, 'm')
  t.equal(error(execute(right!, { kind: 'leaseRevoke', id: LEASE })), 'leaseNotFound', 'its home has it')
  t.equal(error(execute(right!, write(put('z', 'z', LEASE)))), 'leaseNotFound')
  t.strictSame(shard.machine.leases.get(LEASE)?.elsewhere, [right!.machine.range], 'and knows where else')
  const part = { index: right!.machine.applied + 1, term: 1, data: encodeShardCommand({ kind: 'endDense' }) }
  const task = {
    kind: 'carryOut',
    work: { kind: 'revoke', lease: LEASE, ranges: [] },
    branches: [],
    revision: 9,
    reply: { kind: 'done' },
  } as const
  const entry = { task, remembered: null, commit: () => undefined }
  showCommand(drive(right!, workTransaction(right!.machine, right!.overlay, part, null, entry)))
  t.strictSame(keysOf(right!), [])
  t.strictSame(keysOf(shard), ['a=a@2', 'g=again@6'])
  execute(shard, { kind: 'leaseRevoke', id: LEASE })
  t.strictSame(keysOf(shard), ['g=again@6'], 'a key put again without the lease stays')
})

t.test('the rows of the halves are all rows, once', async t => {
  const shard = filled()
  const { right } = split(shard, 'm')
  flush(shard)
  const rowsIn = (half: Shard): string[] =>
    snapshotScans(half.machine)
      .flatMap(scan => shard.store.page({ ...scan, rowsMax: 1000 }).rows)
      .filter(({ key }) => inSnapshot(half.machine, key))
      .map(({ key }) => toHex(key))
  const both = [...rowsIn(shard), ...rowsIn(right!)].sort()
  t.strictSame(
    both,
    shard.store.dump().map(row => row.slice(0, row.indexOf('='))),
  )
  t.equal(new Set(both).size, both.length)
  for (const scan of clearScans(right!.machine)) {
    const rows = shard.store
      .page({ ...scan, rowsMax: 1000 })
      .rows.filter(({ key }) => inSnapshot(right!.machine, key))
    shard.store.write(rows.map(({ key }) => ({ key, value: null })))
  }
  restart(shard)
  t.strictSame(keysOf(shard), ['a=a@2', 'g=again@6'], 'clearing one half leaves the other')
  t.strictSame(attachedTo(shard, LEASE), ['a'])
})

t.test('what is refused has no effect, and a split that was done is done', async t => {
  const shard = filled()
  for (const [at, why] of [
    ['', 'splitKeyInvalid'],
    ['m', 'shardBusy'],
  ] as const) {
    const { outcome, right } = split(shard, at, at === 'm' ? 'for a reason' : null)
    t.equal(error(outcome), why)
    t.equal(right, null)
  }
  t.equal(shard.machine.epoch, 1)
  split(shard, 'm')
  const again = split(shard, 'm')
  t.equal(again.outcome.error, null)
  t.equal(again.right, null)
  t.equal(error(split(shard, 'z', null, 3).outcome), 'splitKeyInvalid', 'not its key any more')
})

t.test('compaction: a split waits until it is accounted for, and the halves go on by themselves', async t => {
  const totals = ['early', 'late'].map(when => {
    const shard = filled()
    execute(shard, { kind: 'compact', revision: shard.machine.revision })
    t.equal(error(split(shard, 'm').outcome), 'shardBusy', when)
    const leader = filled()
    execute(leader, { kind: 'compact', revision: leader.machine.revision })
    purge(leader)
    execute(shard, { kind: 'reclaim', ...reclaimable(leader.machine)! })
    // One replica has removed the rows by now, the other has still to.
    if (when === 'early') purge(shard)
    const { right } = split(shard, 'm')
    for (const half of [shard, right!]) {
      purge(half)
      execute(half, write(put(half === shard ? 'a' : 'z', 'newer')))
      execute(half, { kind: 'compact', revision: half.machine.revision })
      purge(half)
    }
    flush(shard)
    return [reclaimable(shard.machine), reclaimable(right!.machine), shard.store.dump().length]
  })
  t.strictSame(totals[0], totals[1], 'what replicas free does not depend on their pace')
})
