import t from 'tap'
import {
  encodeShardCommand,
  groupId,
  leaseId,
  pointRange,
  rangeContains,
  toHex,
  utf8,
  type KeyRange,
  type LeaseId,
  type Op,
  type TransactionWork,
} from '@kvorum/model'
import {
  attachedLocks,
  chooseBranches,
  createMachine,
  leaseKeys,
  refusalOf,
  showCommand,
  workTransaction,
  type TransactionTask,
} from '@kvorum/machine'
import { leaseRow } from '#src/groupRows.js'
import { checksum, createShard, drive, execute, flush, read, restart, type Shard } from './shard.js'

/** What the shards of a transaction do with leases. */

const LEASE = leaseId(7n)
const HOME: KeyRange = { start: utf8(''), end: utf8('m') }
const OTHER: KeyRange = { start: utf8('m'), end: null }
const DATA = encodeShardCommand({ kind: 'endDense' })

function shardOf(range: KeyRange, rows?: number): Shard {
  const shard = createShard()
  const longCommand = rows === undefined ? {} : { longCommand: { rows, bytes: 10_000 } }
  shard.machine = createMachine({ group: groupId(1), checksum, range, ...longCommand })
  return shard
}

function apply(shard: Shard, task: TransactionTask) {
  const at = { index: shard.machine.applied + 1, term: 1, data: DATA }
  shard.log.push(DATA)
  const entry = { task, remembered: null, commit: () => undefined }
  return showCommand(drive(shard, workTransaction(shard.machine, shard.overlay, at, null, entry)))
}

const carryOut = (shard: Shard, work: TransactionWork, revision: number) =>
  apply(shard, { kind: 'carryOut', work, branches: [], revision, reply: { kind: 'done' } })

const put = (key: string, lease: LeaseId = LEASE): Op => ({
  kind: 'put',
  key: utf8(key),
  value: utf8('1'),
  lease,
  prevKv: false,
  ignoreValue: false,
  ignoreLease: false,
})

const attach = (key: string): TransactionWork => ({
  kind: 'attach',
  op: put(key),
  leases: [LEASE, leaseId(99n)],
  ranges: [OTHER],
})

const attachedIn = (shard: Shard): string[] => {
  const keys = read(shard, reader => leaseKeys(reader, LEASE))
  return keys.ok ? keys.value.map(key => Buffer.from(key).toString()) : []
}
const locksIn = (shard: Shard): readonly KeyRange[] =>
  drive(shard, attachedLocks(shard.machine, shard.overlay, null, LEASE))

t.test('the home says whether there is the lease, the other shard whether there is the key', async t => {
  const [home, other] = [shardOf(HOME), shardOf(OTHER)]
  const refusal = (op: Op): string | null => {
    const judgements = [home, other].map(shard => {
      let judged: Parameters<Extract<TransactionTask, { kind: 'prepare' }>['reply']>[0] | null = null
      const work = { kind: 'attach', op, leases: [LEASE], ranges: [OTHER] } as const
      apply(shard, {
        kind: 'prepare',
        work,
        reply: judgement => {
          judged = judgement
          return { kind: 'done' }
        },
      })
      return judged!
    })
    return refusalOf(op, chooseBranches(op, judgements), judgements, 5)?.code ?? null
  }
  t.equal(refusal(put('z')), 'leaseNotFound')
  t.equal(refusal({ ...put('z'), ignoreValue: true } as Op), 'leaseNotFound', 'alone, the lease comes first')
  const both: Op = {
    kind: 'txn',
    compares: [],
    success: [put('a'), { ...put('z'), ignoreValue: true } as Op],
    failure: [put('b', leaseId(50n))],
  }
  execute(home, { kind: 'leaseGrant', id: LEASE, ttl: 60 })
  t.equal(refusal(put('z')), null)
  t.equal(refusal(both), 'keyNotFound')
  carryOut(other, { kind: 'op', op: put('z', leaseId(0n)) }, 5)
  t.equal(refusal(both), null, 'the branch that is not taken is not asked')
})

t.test('the home remembers where keys are attached, also after a restart', async t => {
  const home = shardOf(HOME)
  execute(home, { kind: 'leaseGrant', id: LEASE, ttl: 60 })
  const before = home.machine.digest
  carryOut(home, attach('z'), 5)
  t.strictSame(home.machine.leases.get(LEASE), { id: LEASE, ttl: 60, elsewhere: [OTHER] })
  t.notOk(home.machine.leases.has(leaseId(99n)), 'of what is no lease nothing')
  t.strictSame(attachedIn(home), [], 'the key is not its own')
  t.not(home.machine.digest, before)
  flush(home)
  const known = toHex(home.machine.leases.get(LEASE)!.elsewhere![0]!.start)
  restart(home)
  t.equal(toHex(home.machine.leases.get(LEASE)!.elsewhere![0]!.start), known)
  t.equal(
    toHex(leaseRow(home.machine, home.machine.leases.get(LEASE)!).write.value!),
    'f9087e14013c01016d00',
    'its bytes are on disks',
  )
  const other = shardOf(OTHER)
  carryOut(other, attach('z'), 5)
  t.strictSame(attachedIn(other), ['z'])
  t.equal(other.machine.leases.size, 0, 'records are the home’s')
})

t.test('every attached key is locked, and goes at the one revision', async t => {
  for (const rows of [undefined, 40]) {
    const other = shardOf(OTHER, rows)
    for (let i = 10; i < 40; i++) carryOut(other, attach(`n${i}`), i)
    carryOut(other, { kind: 'op', op: put('n20', leaseId(0n)) }, 50)
    const points = locksIn(other)
    t.equal(points.length, 29)
    t.strictSame(points[0], pointRange(utf8('n10')))
    t.notOk(
      points.some(lock => rangeContains(lock, utf8('n20'))),
      'one that was detached is free',
    )
    for (let i = 100; i < 150; i++) carryOut(other, attach(`o${i}`), i)
    const wide = locksIn(other)
    t.ok(wide.length <= 64, 'so many that they are locked together')
    for (const key of attachedIn(other)) t.ok(wide.some(lock => rangeContains(lock, utf8(key))))
    const ended = carryOut(other, { kind: 'revoke', lease: LEASE, ranges: [] }, 200)
    t.strictSame([ended.changed, ended.revision], [true, 200])
    t.strictSame(attachedIn(other), [])
    t.strictSame(locksIn(other), [])
    const again = carryOut(other, { kind: 'revoke', lease: LEASE, ranges: [] }, 201)
    t.equal(again.changed, false, 'there is nothing left')
  }
})
