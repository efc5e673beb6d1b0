import t from 'tap'
import { ALL_KEYS, EMPTY, type KeyValue, leaseId, NO_LEASE } from '@kvorum/model'
import {
  beginRestore,
  createReader,
  finishRestore,
  hashKv,
  leaseKeys,
  loadOldVersions,
  nextChanges,
  nextOldVersions,
  type NumberedChange,
  openChanges,
  openOldVersions,
  overlaySnapshot,
  restoreChanges,
} from '@kvorum/machine'
import { randomCommand } from './generate.js'
import { createRandom } from './random.js'
import {
  checksum,
  createShard,
  drive,
  execute,
  flush,
  GROUP,
  purge,
  read,
  restart,
  type Shard,
} from './shard.js'

/** Everything a backup holds, in its order. */
function backup(shard: Shard): NumberedChange[] {
  const reader = createReader(shard.machine, overlaySnapshot(shard.overlay))
  const old = openOldVersions(reader)
  const found: NumberedChange[] = []
  for (
    let page = drive(shard, nextOldVersions(old));
    page !== null;
    page = drive(shard, nextOldVersions(old))
  ) {
    const rows = page.map(({ row }) => row)
    const versions = drive(shard, loadOldVersions(reader, rows))
    page.forEach(({ revision, sub }, i) => found.push({ revision, sub, kind: 'put', kv: versions[i]! }))
  }
  found.sort((a, b) => a.revision - b.revision || a.sub - b.sub)
  const changes = openChanges(reader)
  for (
    let page = drive(shard, nextChanges(changes));
    page !== null;
    page = drive(shard, nextChanges(changes))
  ) {
    found.push(...page)
  }
  return found
}

function restored(from: Shard, changes: readonly NumberedChange[], pageRows: number): Shard {
  const shard = createShard()
  const { compactRevision, leases } = from.machine
  const options = { group: GROUP, range: ALL_KEYS, checksum }
  const restore = beginRestore(shard.overlay, { ...options, compactRevision, leases: [...leases.values()] })
  for (let at = 0; at < changes.length; at += pageRows) {
    const taken = drive(shard, restoreChanges(restore, changes.slice(at, at + pageRows)))
    if (!taken.ok) throw new Error(taken.reason)
    if (at % 3 === 0) flush(shard)
  }
  const { applied, appliedTerm, revision } = from.machine
  const at = { revision, compacted: false, index: applied, term: appliedTerm, config: Buffer.of(1) }
  shard.machine = finishRestore(restore, at)
  shard.log = [...from.log]
  flush(shard)
  restart(shard)
  return shard
}

const plain = ({ revision, sub, kind, kv }: NumberedChange) => ({
  revision,
  sub,
  kind,
  key: Buffer.from(kv.key).toString('hex'),
  create: kv.create,
  version: kv.version,
  lease: kv.lease,
  value: Buffer.from(kv.value).toString('hex'),
})

t.test('a shard that is built from its backup goes on like the one it came from', async t => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = createRandom(seed)
    const shard = createShard()
    const step = (): void => {
      execute(shard, randomCommand(random, shard.machine.revision))
      if (random.chance(0.1)) flush(shard)
      if (random.chance(0.1)) purge(shard, 1)
    }
    for (let i = 0; i < 150; i++) step()
    const changes = backup(shard)
    const twin = restored(shard, changes, 1 + random.below(9))
    t.same(backup(twin).map(plain), changes.map(plain), `seed ${seed}: the same backup`)
    const { compactRevision, revision } = shard.machine
    // What is compacted is not in a backup: the bytes are those of a shard that has removed it all.
    purge(shard)
    const logicalBytes = shard.machine.logicalBytes - shard.machine.purge.freed
    t.match(twin.machine, { compactRevision, revision, logicalBytes, keys: shard.machine.keys })
    for (let at = Math.max(1, compactRevision); at <= revision; at++) {
      const [wanted, found] = [shard, twin].map(one => read(one, reader => hashKv(reader, at)))
      t.same(found, wanted, `seed ${seed}: revision ${at}`)
    }
    for (const id of shard.machine.leases.keys()) {
      const [wanted, found] = [shard, twin].map(one => read(one, reader => leaseKeys(reader, id)))
      t.same(found, wanted, `seed ${seed}: lease ${id}`)
    }
    for (let i = 0; i < 60; i++) {
      const command = randomCommand(random, shard.machine.revision)
      const [wanted, found] = [execute(shard, command), execute(twin, command)]
      t.same(found, wanted, `seed ${seed}: command ${i}`)
      if (random.chance(0.1)) for (const one of [shard, twin]) purge(one)
    }
    t.same(backup(twin).map(plain), backup(shard).map(plain), `seed ${seed}: the same in the end`)
  }
})

t.test(
  'changes of one revision are numbered as they were carried out, also when it is compacted',
  async t => {
    const shard = createShard()
    const put = (key: string) => ({
      kind: 'put' as const,
      key: Buffer.from(key),
      value: Buffer.from(key),
      lease: NO_LEASE,
      prevKv: false,
      ignoreValue: false,
      ignoreLease: false,
    })
    const txn = (...success: ReturnType<typeof put>[]) =>
      execute(shard, { kind: 'write', op: { kind: 'txn', compares: [], success, failure: [] } })
    txn(put('c'), put('a'), put('b'))
    txn(put('c'))
    execute(shard, { kind: 'compact', revision: 3, physical: false } as never)
    purge(shard)
    t.same(
      backup(shard).map(({ revision, sub, kv }) => [revision, sub, Buffer.from(kv.key).toString()]),
      [
        [2, 1, 'a'],
        [2, 2, 'b'],
        [3, 0, 'c'],
      ],
    )
  },
)

t.test('a restored shard may begin at a higher revision with everything before it compacted', async t => {
  const shard = createShard()
  const restore = beginRestore(shard.overlay, {
    group: GROUP,
    range: ALL_KEYS,
    checksum,
    compactRevision: 0,
    leases: [{ id: leaseId(7n), ttl: 30 }],
  })
  const kv = (mod: number, version: number): KeyValue => ({
    key: Buffer.from('k'),
    create: 2,
    mod,
    version,
    value: EMPTY,
    lease: leaseId(7n),
  })
  const changes = [1, 2].map(n => ({ revision: n + 1, sub: 0, kind: 'put' as const, kv: kv(n + 1, n) }))
  t.ok(drive(shard, restoreChanges(restore, changes)).ok)
  const at = { revision: 1000, compacted: true, index: 1, term: 1, config: Buffer.of(1) }
  shard.machine = finishRestore(restore, at)
  flush(shard)
  restart(shard)
  purge(shard)
  t.match(shard.machine, { revision: 1000, compactRevision: 1000, applied: 1 })
  t.same(backup(shard).map(plain), [plain(changes[1]!)])
  t.equal(read(shard, reader => leaseKeys(reader, leaseId(7n))).ok, true)
})

t.test('a backup that contradicts itself is refused', async t => {
  const kv = (mod: number, version: number, create = 2): KeyValue => ({
    key: Buffer.from('k'),
    create,
    mod,
    version,
    value: EMPTY,
    lease: NO_LEASE,
  })
  const put = (revision: number, version: number, create = 2, sub = 0): NumberedChange => ({
    revision,
    sub,
    kind: 'put',
    kv: kv(revision, version, create),
  })
  const refused = (...changes: NumberedChange[]): string | null => {
    const shard = createShard()
    const options = { group: GROUP, range: ALL_KEYS, checksum, compactRevision: 0, leases: [] }
    const taken = drive(shard, restoreChanges(beginRestore(shard.overlay, options), changes))
    return taken.ok ? null : taken.reason
  }
  t.equal(refused(put(2, 1), put(3, 2)), null)
  t.match(refused(put(3, 1, 3), put(2, 2)), /does not follow/)
  t.match(refused(put(2, 1), put(2, 2, 2, 1)), /twice/)
  t.match(refused(put(2, 1), put(3, 3)), /does not follow the one before/)
  t.match(refused(put(3, 2)), /does not follow the one before/)
  t.match(refused({ ...put(2, 1), revision: 4 }), /holds a key of revision 2/)
  t.match(refused({ ...put(2, 1), kind: 'delete' }), /not there/)
})
