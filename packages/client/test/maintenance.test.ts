import { status } from '@grpc/grpc-js'
import t, { type Test } from 'tap'
import { connect, type KvorumClient, type SnapshotPiece } from '@kvorum/client'
import { FakeServer, until } from './fakeServer.js'

const ALARM = 'etcdserverpb.Maintenance/Alarm'
const HASH_KV = 'etcdserverpb.Maintenance/HashKV'
const DEFRAGMENT = 'etcdserverpb.Maintenance/Defragment'
const MOVE_LEADER = 'etcdserverpb.Maintenance/MoveLeader'
const SNAPSHOT = 'etcdserverpb.Maintenance/Snapshot'
const COMPACT = 'etcdserverpb.KV/Compact'

const header = { cluster_id: 1n, member_id: 2n ** 63n, revision: 7, raft_term: 3 }

async function start(t: Test): Promise<{ server: FakeServer; db: KvorumClient }> {
  const server = await FakeServer.start(t)
  const db = await connect({ endpoints: server.endpoint })
  t.teardown(() => db.close())
  return { server, db }
}

t.test('alarms are listed and taken back, one or all', async t => {
  const { server, db } = await start(t)
  const alarms = [
    { memberID: 2n ** 63n, alarm: 1 },
    { memberID: 5n, alarm: 2 },
    { memberID: 6n, alarm: 9 },
  ]
  server.unary(ALARM, request =>
    request.action === 0
      ? { header, alarms }
      : { header, alarms: [{ memberID: request.memberID, alarm: request.alarm }] },
  )
  const shown = [
    { memberId: 2n ** 63n, kind: 'noSpace' },
    { memberId: 5n, kind: 'corrupt' },
    { memberId: 6n, kind: null },
  ]
  t.strictSame(await db.alarms(), shown)
  t.strictSame(await db.disarm(), shown)
  t.equal(server.count(ALARM), 1 + 1 + alarms.length)
  t.strictSame(await db.disarm({ memberId: 5n, kind: 'corrupt' }), [shown[1]])
  t.strictSame(await db.disarm({ memberId: 5n, kind: 'noSpace' }), [])
  server.unary(ALARM, () => ({
    code: status.PERMISSION_DENIED,
    details: 'etcdserver: permission denied',
  }))
  await t.rejects(db.disarm(), { code: 'ERR_KV_PERMISSION_DENIED', retryable: false })
})

t.test('what concerns one server goes to that server', async t => {
  const { server, db } = await start(t)
  const other = await FakeServer.start(t)
  other.unary(HASH_KV, ({ revision }) => ({
    header,
    hash: 4_000_000_000,
    compact_revision: -1,
    hash_revision: revision,
  }))
  t.strictSame(await db.hashKv(other.endpoint, { revision: 6 }), {
    memberId: 2n ** 63n,
    hash: 4_000_000_000,
    hashRevision: 6,
    compactRevision: -1,
  })
  await db.defragment(other.endpoint)
  other.unary(MOVE_LEADER, ({ targetID }) =>
    targetID === 5n
      ? { header }
      : { code: status.FAILED_PRECONDITION, details: 'etcdserver: bad leader transferee' },
  )
  await db.moveLeader(other.endpoint, 5n)
  await t.rejects(db.moveLeader(other.endpoint, 6n), { code: 'ERR_KV_BAD_TRANSFEREE' })
  t.strictSame(other.calls, [HASH_KV, DEFRAGMENT, MOVE_LEADER, MOVE_LEADER])
  t.strictSame(server.calls, [])
  server.unary(HASH_KV, () => ({
    code: status.OUT_OF_RANGE,
    details: 'etcdserver: mvcc: required revision has been compacted',
  }))
  await t.rejects(db.hashKv(server.endpoint, { revision: 1 }), { code: 'ERR_KV_COMPACTED' })
  other.unary(DEFRAGMENT, () => ({ code: status.UNAVAILABLE, details: 'lost' }))
  await t.rejects(db.defragment(other.endpoint), {
    name: 'KvorumError',
    indeterminate: true,
    retryable: false,
  })
})

t.test('compaction says whether to wait for the disk', async t => {
  const { server, db } = await start(t)
  const asked: unknown[] = []
  server.unary(COMPACT, request => {
    asked.push({ ...request })
    return { header }
  })
  await db.compact(5)
  await db.compact(6, { physical: true })
  t.strictSame(asked, [
    { revision: 5, physical: false },
    { revision: 6, physical: true },
  ])
})

t.test('a snapshot comes in pieces, and can be given up', async t => {
  const { server, db } = await start(t)
  server.duplex(SNAPSHOT, stream => {
    stream.on('data', () => {
      stream.write({ blob: Buffer.from('one'), remaining_bytes: 3 })
      stream.write({ blob: Buffer.from('two'), remaining_bytes: 0 })
      stream.end()
    })
  })
  const pieces: SnapshotPiece[] = []
  for await (const piece of db.snapshot()) pieces.push(piece)
  t.match(pieces, [
    { bytes: Buffer.from('one'), remaining: 3 },
    { bytes: Buffer.from('two'), remaining: 0 },
  ])

  let cancelled = 0
  server.duplex(SNAPSHOT, stream => {
    stream.on('data', () => stream.write({ blob: Buffer.from('one'), remaining_bytes: 3 }))
    stream.on('cancelled', () => cancelled++)
  })
  const controller = new AbortController()
  const reason = new Error('no longer wanted')
  const drain = async (signal?: AbortSignal): Promise<unknown> => {
    try {
      for await (const { bytes } of db.snapshot(signal === undefined ? {} : { signal })) {
        t.equal(Buffer.from(bytes).toString(), 'one')
        controller.abort(reason)
      }
      return 'ended'
    } catch (error) {
      return error
    }
  }
  t.equal(await drain(controller.signal), reason, 'the reason passes untouched')
  await until(() => cancelled === 1, 'the server is told')
  t.equal(await drain(controller.signal), reason)

  const closed = drain()
  await until(() => server.count(SNAPSHOT) === 3, 'the third is under way')
  await db.close()
  t.match(await closed, { code: 'ERR_KV_CLOSED' })
  const fresh = await connect({ endpoints: server.endpoint })
  t.teardown(() => fresh.close())
  server.duplex(SNAPSHOT, stream => void stream.on('data', () => server.cut()))
  await t.rejects(fresh.snapshot().next(), { name: 'KvorumError', retryable: true })
})
