import t from 'tap'
import {
  encodeShardCommand,
  leaseId,
  NO_HEADER,
  NO_LEASE,
  TRUSTED,
  utf8,
  type CommandHeader,
  type KeyRange,
  type ShardCommand,
} from '@kvorum/model'
import { applyNext, createShard, execute, flush, restart, type Shard } from './shard.js'

const put = (key: string, lease = 0): ShardCommand => ({
  kind: 'write',
  op: {
    kind: 'put',
    key: utf8(key),
    value: utf8('v'),
    lease: lease === 0 ? NO_LEASE : leaseId(BigInt(lease)),
    prevKv: false,
    ignoreValue: false,
    ignoreLease: false,
  },
})
const fence = (revision: number, enabled = true): ShardCommand => ({
  kind: 'authFence',
  fence: { revision, enabled },
})

function allowed(shard: Shard, command: ShardCommand, header: Partial<CommandHeader>): string {
  shard.log.push(encodeShardCommand(command, { ...NO_HEADER, ...header }))
  return applyNext(shard).error?.code ?? 'applied'
}

t.test('behind a fence nothing older is carried out', async t => {
  const shard = createShard()
  const by = (authRevision: number | null, command = put('a')): string =>
    allowed(shard, command, { authRevision })
  t.equal(by(null), 'applied', 'authentication was never on')
  execute(shard, fence(3))
  t.equal(by(null), 'authOutdated')
  t.equal(by(2), 'authOutdated')
  t.equal(by(3), 'applied')
  t.equal(by(4), 'applied', 'whoever knows more than this shard')
  t.equal(by(TRUSTED.fence), 'applied')
  for (const command of [
    { kind: 'compact', revision: 2 },
    { kind: 'leaseGrant', id: leaseId(1n), ttl: 9 },
    { kind: 'leaseRevoke', id: leaseId(1n) },
  ] as const)
    t.equal(by(2, command), 'authOutdated', command.kind)
  execute(shard, fence(2, false))
  t.equal(by(null), 'authOutdated', 'an older fence that comes late changes nothing')
  const { revision } = shard.machine
  flush(shard)
  restart(shard)
  t.strictSame(shard.machine.authFence, { revision: 3, enabled: true }, 'after a restart, too')
  t.equal(by(2), 'authOutdated')
  t.equal(shard.machine.revision, revision, 'what is refused makes no revision')
  execute(shard, fence(5, false))
  t.equal(by(null), 'applied', 'off again')
  t.equal(by(4), 'authOutdated')
})

t.test('the keys of a lease must be writable: to attach another one, and to end it', async t => {
  const shard = createShard()
  execute(shard, { kind: 'leaseGrant', id: leaseId(7n), ttl: 60 })
  execute(shard, put('mine/1', 7))
  const mine: KeyRange[] = [{ start: utf8('mine/'), end: utf8('mine0') }]
  const by = (command: ShardCommand, writable: KeyRange[] = mine): string =>
    allowed(shard, command, { writable })
  const inTxn = (command: ShardCommand): ShardCommand =>
    command.kind === 'write'
      ? { kind: 'write', op: { kind: 'txn', compares: [], success: [], failure: [command.op] } }
      : command
  t.equal(by(put('mine/2', 7)), 'applied')
  execute(shard, put('theirs', 7))
  t.equal(by(put('mine/3', 7)), 'permissionDenied')
  t.equal(by(inTxn(inTxn(put('mine/3', 7)))), 'permissionDenied', 'nested, in the branch not taken')
  t.equal(by(put('mine/3')), 'applied', 'without the lease')
  t.equal(by({ kind: 'leaseRevoke', id: leaseId(7n) }), 'permissionDenied')
  t.equal(by({ kind: 'leaseRevoke', id: leaseId(8n) }), 'leaseNotFound')
  t.ok(shard.machine.leases.has(leaseId(7n)))
  execute(shard, put('theirs'))
  t.equal(by({ kind: 'leaseRevoke', id: leaseId(7n) }), 'applied', 'the other key is no longer attached')
})
