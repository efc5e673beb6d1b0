import t from 'tap'
import { KvorumError, RawClient } from '@kvorum/client'
import { FakeServer } from './fakeServer.js'

const RANGE = 'etcdserverpb.KV/Range'
const PUT = 'etcdserverpb.KV/Put'
const WATCH = 'etcdserverpb.Watch/Watch'

t.test('messages as the server sent them, headers and all', async t => {
  const server = await FakeServer.start(t)
  const header = { cluster_id: 2n ** 64n - 1n, member_id: 7n, revision: 9, raft_term: 3 }
  server.unary(RANGE, request => ({ header, count: request.limit }))
  const raw = new RawClient({ endpoints: server.endpoint })
  t.teardown(() => raw.close())
  await raw.ready()
  t.match(await raw.call(RANGE, { key: Buffer.from('k'), limit: 5 }), { header, count: 5 })
})

t.test('reads are repeated, writes of unknown outcome are not', async t => {
  const server = await FakeServer.start(t)
  const raw = new RawClient({ endpoints: server.endpoint })
  t.teardown(() => raw.close())
  const failure = { code: 14, details: 'etcdserver: leader changed' }
  server.unary(RANGE, () => (server.count(RANGE) < 3 ? failure : { count: 1 }))
  t.match(await raw.call(RANGE, {}), { count: 1 })
  t.equal(server.count(RANGE), 3)
  server.unary(PUT, () => failure)
  await t.rejects(raw.call(PUT, {}), { name: 'KvorumError', indeterminate: true })
  t.equal(server.count(PUT), 1)
})

t.test('a stream carries requests and responses; a lost server is a KvorumError', async t => {
  const server = await FakeServer.start(t)
  server.duplex(WATCH, stream => {
    stream.on('data', request => stream.write({ watch_id: request.create_request?.watch_id ?? 0n }))
  })
  const raw = new RawClient({ endpoints: [server.endpoint] })
  t.teardown(() => raw.close())
  const stream = await raw.stream(WATCH)
  stream.send({ create_request: { watch_id: 5n } })
  const ids: bigint[] = []
  let failure: unknown
  try {
    for await (const { watch_id } of stream) {
      ids.push(watch_id)
      server.cut()
    }
  } catch (error) {
    failure = error
  }
  t.strictSame(ids, [5n])
  t.ok(failure instanceof KvorumError && failure.retryable, 'another stream may do better')
})

t.test('what it cannot do it says', async t => {
  t.throws(() => new RawClient({ endpoints: [] }), { code: 'ERR_KV_INVALID_ARGUMENT' })
  const server = await FakeServer.start(t)
  const raw = new RawClient({ endpoints: server.endpoint })
  t.throws(() => raw.call('etcdserverpb.Maintenance/Hash', {}), {
    message: /has no etcdserverpb.Maintenance\/Hash/,
  })
  await raw.close()
  await t.rejects(raw.call(RANGE, {}), { code: 'ERR_KV_CLOSED' })
})
