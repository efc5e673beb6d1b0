import t, { type Test } from 'tap'
import { credentials, status, type Client, type ServiceError } from '@grpc/grpc-js'
import {
  compare,
  connect,
  KvorumError,
  op,
  systemClock,
  type ConnectOptions,
  type KvorumClient,
} from '@kvorum/client'
import { backoffMs } from '#src/backoff.js'
import { classify } from '#src/classify.js'
import { Endpoint, parseEndpoint } from '#src/endpoint.js'
import { requestKeys } from '#src/keys.js'
import { FakeServer, until } from './fakeServer.js'
import { HastyClock } from './manualClock.js'

const PUT = 'etcdserverpb.KV/Put'
const RANGE = 'etcdserverpb.KV/Range'

async function clientOf(
  t: Test,
  servers: readonly FakeServer[],
  options: Partial<ConnectOptions> = {},
): Promise<KvorumClient> {
  const db = await connect({ endpoints: servers.map(({ endpoint }) => endpoint), ...options })
  t.teardown(() => db.close())
  return db
}

async function failure(promise: Promise<unknown>): Promise<KvorumError> {
  const error = await promise.then(
    () => null,
    (caught: unknown) => caught,
  )
  if (!(error instanceof KvorumError)) throw new Error(`rejected with ${String(error)}`)
  return error
}

const header = { cluster_id: 1n, member_id: 2n, revision: 7, raft_term: 3 }
const kv = (key: string, value: string, mod: number) => ({
  key: Buffer.from(key),
  value: Buffer.from(value),
  create_revision: 2,
  mod_revision: mod,
  version: mod - 1,
  lease: 9n,
})

t.test('requests and answers say what was meant', async t => {
  const server = await FakeServer.start(t)
  const db = await clientOf(t, [server])
  server.unary(PUT, request => {
    t.match(request, { key: Buffer.from('k'), value: Buffer.from('v'), lease: 5n, prev_kv: true })
    return { header, prev_kv: kv('k', '{"a":1}', 4) }
  })
  const put = await db.put('k', 'v', { lease: { id: 5n }, prevKv: true })
  t.equal(put.revision, 7)
  t.same(put.previous?.json(), { a: 1 })
  t.match(put.previous, { modRevision: 4, createRevision: 2, version: 3, lease: 9n, name: 'k' })

  server.unary(RANGE, request => {
    t.match(request, { limit: 2, sort_order: 2, sort_target: 3, range_end: Buffer.from('q') })
    return { header, kvs: [kv('p1', 'x', 3)], more: true, count: 12 }
  })
  const range = await db.range({ prefix: 'p' }, { limit: 2, order: 'descending', sortBy: 'mod' })
  t.match(range, { more: true, count: 12, revision: 7 })
  t.equal(range.entries[0]?.text(), 'x')

  server.unary('etcdserverpb.KV/Txn', request => {
    t.match(request.compare, [
      { target: 1, result: 0, create_revision: 0 },
      { target: 3, result: 3 },
    ])
    t.match(request.success[0]?.request_put, { key: Buffer.from('a') })
    t.match(request.failure[0]?.request_range, { key: Buffer.from('a') })
    return {
      header,
      succeeded: true,
      responses: [{ response_put: { header } }, { response_delete_range: { header, deleted: 3 } }],
    }
  })
  const txn = await db
    .txn()
    .if(compare.missing('a'), compare.value('b', '!=', 'x'))
    .do(op.put('a', '1'), op.delete({ prefix: 'c' }))
    .else(op.get('a'))
    .commit()
  t.match(txn, { succeeded: true, results: [{ kind: 'put' }, { kind: 'delete', deleted: 3 }] })

  server.unary('etcdserverpb.Maintenance/Status', () => ({
    header,
    version: '3.5.0',
    leader: 2n,
    dbSize: 10,
  }))
  t.match(await db.status(server.endpoint), { memberId: 2n, isLeader: true, version: '3.5.0' })
  server.unary('etcdserverpb.Cluster/MemberList', request => {
    t.equal(request.linearizable, true)
    return { header, members: [{ ID: 2n ** 63n, name: 'n1', clientURLs: ['http://x'] }] }
  })
  t.match(await db.members(), [{ id: 2n ** 63n, name: 'n1', clientUrls: ['http://x'] }])
})

t.test('key ranges are those of the protocol', async t => {
  const hex = (keys: Parameters<typeof requestKeys>[0]): string[] =>
    Object.values(requestKeys(keys)).map(bytes => Buffer.from(bytes as Uint8Array).toString('hex'))
  t.same(hex('a'), ['61', ''])
  t.same(hex({ prefix: 'a' }), ['61', '62'])
  t.same(hex({ prefix: new Uint8Array([0x61, 0xff]) }), ['61ff', '62'])
  t.same(hex({ prefix: new Uint8Array([0xff]) }), ['ff', '00'])
  t.same(hex({ prefix: '' }), ['00', '00'])
  t.same(hex({ start: 'b' }), ['62', '00'])
  t.same(hex({ start: 'b', end: 'd' }), ['62', '64'])
  t.same(hex({ all: true }), ['00', '00'])
  t.throws(() => requestKeys(''), { code: 'ERR_KV_INVALID_ARGUMENT' })
})

t.test('pages follow each other at one revision', async t => {
  const server = await FakeServer.start(t)
  const db = await clientOf(t, [server])
  const asked: [string, number][] = []
  server.unary(RANGE, request => {
    asked.push([Buffer.from(request.key).toString(), request.revision])
    const from = request.key.length === 1 ? 0 : Number(Buffer.from(request.key).toString().slice(1, 2)) + 1
    const kvs = [from, from + 1].map(i => kv(`k${i}`, `${i}`, 3))
    return { header: { ...header, revision: 7 + from }, kvs, more: from < 4, count: 6 }
  })
  const names: string[] = []
  for await (const entry of db.entries({ prefix: 'k' }, { pageSize: 2 })) names.push(entry.name)
  t.same(names, ['k0', 'k1', 'k2', 'k3', 'k4', 'k5'])
  t.same(asked, [
    ['k', 0],
    ['k1\0', 7],
    ['k3\0', 7],
  ])
})

t.test('reads are repeated with capped, jittered pauses', async t => {
  const server = await FakeServer.start(t)
  const clock = new HastyClock()
  const db = await clientOf(t, [server], { clock, retry: { initialMs: 100, maxMs: 300 } })
  let failures = 5
  server.unary(RANGE, () =>
    failures-- > 0
      ? { code: status.UNAVAILABLE, details: 'etcdserver: leader changed' }
      : { header, kvs: [kv('k', 'v', 2)], count: 1 },
  )
  t.equal((await db.get('k'))?.text(), 'v')
  t.equal(server.count(RANGE), 6)
  t.same(clock.pauses, [50, 100, 150, 150, 150])

  failures = 1_000
  const error = await failure(db.get('k', { retry: { attemptsMax: 3 } }))
  t.match(error, { code: 'ERR_KV_LEADER_CHANGED', retryable: true, indeterminate: false, grpcStatus: 14 })
  t.equal(server.count(RANGE), 9)
  t.equal(backoffMs({ attemptsMax: 9, initialMs: 10, maxMs: 1_000 }, 1_000, 0.999), 999)
})

t.test('a write whose outcome is unknown is sent once', async t => {
  const servers = [await FakeServer.start(t), await FakeServer.start(t)]
  const db = await clientOf(t, servers, { clock: new HastyClock() })
  const sent = (): number => servers.reduce((sum, server) => sum + server.count(PUT), 0)
  const refuse = (code: number, details: string): void =>
    servers.forEach(server => server.unary(PUT, () => ({ code, details })))

  for (const [code, text] of [
    [status.UNAVAILABLE, 'etcdserver: request timed out'],
    [status.UNAVAILABLE, 'etcdserver: leader changed'],
    [status.UNKNOWN, 'whatever'],
    [status.INTERNAL, 'broken'],
    [status.DATA_LOSS, 'etcdserver: corrupt cluster'],
  ] as const) {
    const before = sent()
    refuse(code, text)
    const error = await failure(db.put('k', 'v'))
    t.match(error, { indeterminate: true, retryable: false, grpcStatus: code }, text)
    t.equal(sent(), before + 1, text)
  }

  servers.forEach(server => server.unary(PUT, () => 'silence'))
  const late = await failure(db.put('k', 'v', { timeoutMs: 50 }))
  t.match(late, { code: 'ERR_KV_DEADLINE_EXCEEDED', indeterminate: true })

  const before = sent()
  const cut = failure(db.put('k', 'v'))
  await until(() => sent() === before + 1, 'the put arrives')
  servers.forEach(server => server.stop())
  t.match(await cut, { indeterminate: true, retryable: false })
})

t.test('a write that was turned down says so, by a stable code', async t => {
  const server = await FakeServer.start(t)
  const db = await clientOf(t, [server], { clock: new HastyClock() })
  for (const [code, details, expected] of [
    [status.INVALID_ARGUMENT, 'etcdserver: key is not provided', 'ERR_KV_EMPTY_KEY'],
    [status.NOT_FOUND, 'etcdserver: requested lease not found', 'ERR_KV_LEASE_NOT_FOUND'],
    [status.RESOURCE_EXHAUSTED, 'etcdserver: mvcc: database space exceeded', 'ERR_KV_NO_SPACE'],
    [status.PERMISSION_DENIED, 'etcdserver: permission denied', 'ERR_KV_PERMISSION_DENIED'],
    [status.OUT_OF_RANGE, 'etcdserver: mvcc: required revision has been compacted', 'ERR_KV_COMPACTED'],
  ] as const) {
    server.unary(PUT, () => ({ code, details }))
    const error = await failure(db.put('k', 'v'))
    t.match(error, { code: expected, indeterminate: false, retryable: false, grpcStatus: code })
  }
  let refusals = 2
  server.unary(PUT, () =>
    refusals-- > 0
      ? { code: status.RESOURCE_EXHAUSTED, details: 'etcdserver: too many requests' }
      : { header },
  )
  t.equal((await db.put('k', 'v')).revision, 7, 'not applied and passing: tried again')
})

t.test('a write that no server can have seen is repeated', async t => {
  const server = await FakeServer.start(t)
  const db = await clientOf(t, [server])
  server.unary(PUT, () => ({ header }))
  await db.put('k', 'v')
  server.stop()
  // Until the client knows, a write could still have gone out on the old connection.
  const noticed = async (): Promise<boolean> =>
    (await failure(db.get('k', { retry: { attemptsMax: 1 } }))).code === 'ERR_KV_NOT_CONNECTED'
  while (!(await noticed()));
  const error = await failure(db.put('k', 'v', { timeoutMs: 300 }))
  t.match(error, { code: 'ERR_KV_NOT_CONNECTED', indeterminate: false, retryable: true, grpcStatus: null })
  const waiting = db.put('k', 'v')
  await server.listen()
  t.equal((await waiting).revision, 7)
  t.equal(server.count(PUT), 2)
})

t.test('calls take the servers in turn, and go on without one that is gone or mute', async t => {
  const servers = [await FakeServer.start(t), await FakeServer.start(t), await FakeServer.start(t)]
  for (const server of servers) server.unary(RANGE, () => ({ header, kvs: [], count: 0 }))
  const db = await clientOf(t, servers, { attemptTimeoutMs: 100 })
  const [first, second, third] = servers as [FakeServer, FakeServer, FakeServer]
  const reach = async (server: FakeServer, count: number): Promise<void> => {
    for (let i = 0; i < 200 && server.count(RANGE) < count; i++) await db.get('k')
  }
  for (const server of servers) await reach(server, 5)
  t.ok(
    servers.every(server => server.count(RANGE) >= 5),
    'everybody had a turn',
  )
  first.stop()
  for (let i = 0; i < 10; i++) t.equal(await db.get('k'), null)
  second.unary(RANGE, () => 'silence')
  const before = second.count(RANGE)
  for (let i = 0; i < 10; i++) t.equal(await db.get('k'), null)
  t.ok(second.count(RANGE) <= before + 2, 'a mute server is left alone for a while')
  third.stop()
  await first.listen()
  t.equal(await db.get('k', { timeoutMs: 20_000, retry: { attemptsMax: 100 } }), null, 'it is back')
})

t.test('a token is fetched once, goes with every call, and is renewed when refused', async t => {
  const server = await FakeServer.start(t)
  let serial = 0
  let valid = 'token1'
  server.unary('etcdserverpb.Auth/Authenticate', request => {
    if (request.password !== 'secret') {
      return {
        code: status.INVALID_ARGUMENT,
        details: 'etcdserver: authentication failed, invalid user ID or password',
      }
    }
    return { header, token: (valid = `token${++serial}`) }
  })
  server.unary(PUT, (_, metadata) =>
    metadata.get('token')[0] === valid
      ? { header }
      : { code: status.UNAUTHENTICATED, details: 'etcdserver: invalid auth token' },
  )
  const db = await clientOf(t, [server], { auth: { username: 'root', password: 'secret' } })
  await Promise.all([1, 2, 3].map(() => db.put('k', 'v')))
  t.equal(serial, 1)
  valid = 'another'
  await Promise.all([1, 2, 3].map(() => db.put('k', 'v')))
  t.equal(serial, 2)
  const wrong = await clientOf(t, [server], { auth: { username: 'root', password: 'wrong' } })
  t.match(await failure(wrong.put('k', 'v')), { grpcStatus: status.INVALID_ARGUMENT, retryable: false })
  const stale = await clientOf(t, [server], { auth: { token: 'stale' } })
  t.match(await failure(stale.put('k', 'v')), { code: 'ERR_KV_AUTH_TOKEN_INVALID', indeterminate: false })
})

t.test('signals, limits and closing end what is pending', async t => {
  const server = await FakeServer.start(t)
  server.unary(RANGE, () => 'silence')
  const db = await clientOf(t, [server], { inFlightMax: 2 })
  const reason = new Error('no longer wanted')
  const controller = new AbortController()
  const aborted = db.get('k', { signal: controller.signal })
  const pending = failure(db.get('k'))
  await until(() => server.count(RANGE) === 2, 'both arrive')
  t.match(await failure(db.get('k')), { code: 'ERR_KV_TOO_MANY_REQUESTS', retryable: true })
  controller.abort(reason)
  t.equal(await aborted.catch((error: unknown) => error), reason, 'the reason passes untouched')
  t.equal(await db.get('k', { signal: controller.signal }).catch((error: unknown) => error), reason)
  await db.close()
  t.match(await pending, { code: 'ERR_KV_CLOSED' })
  t.match(await failure(db.get('k')), { code: 'ERR_KV_CLOSED' })
})

t.test('the library says by these texts that it sent nothing', async t => {
  const server = await FakeServer.start(t)
  const { client } = new Endpoint(server.endpoint.slice(7), credentials.createInsecure(), {}, systemClock)
  const nowhere = new Endpoint('no-such-host.invalid:1', credentials.createInsecure(), {}, systemClock).client
  server.stop()
  const attempt = (from: Client): Promise<ServiceError> =>
    new Promise((resolve, reject) => {
      const done = (error: ServiceError | null): void =>
        error === null ? reject(new Error('answered')) : resolve(error)
      from.makeUnaryRequest<Buffer, Buffer>(
        '/x',
        bytes => bytes,
        bytes => bytes,
        Buffer.alloc(0),
        done,
      )
    })
  const refused = await attempt(client)
  t.match(refused.details, /^No connection established/)
  t.match(classify(refused, 'write'), { code: 'ERR_KV_NOT_CONNECTED', indeterminate: false, retryable: true })
  const unresolved = await attempt(nowhere)
  t.match(
    classify(unresolved, 'write'),
    { code: 'ERR_KV_NOT_CONNECTED', indeterminate: false },
    unresolved.details,
  )
  const dropped = Object.assign(new Error(), { code: status.UNAVAILABLE, details: 'Connection dropped' })
  t.match(classify(dropped as ServiceError, 'write'), { code: 'ERR_KV_UNAVAILABLE', indeterminate: true })
  t.match(classify(dropped as ServiceError, 'read'), { indeterminate: false, retryable: true })
  client.close()
  nowhere.close()
})

t.test('connecting', async t => {
  const server = await FakeServer.start(t)
  server.stop()
  const options = { endpoints: [server.endpoint], timeoutMs: 500 }
  t.match(await failure(connect(options)), { code: 'ERR_KV_NOT_CONNECTED', retryable: true })
  t.match(await failure(connect({ endpoints: 'http://a/b' })), { code: 'ERR_KV_INVALID_ARGUMENT' })
  t.match(await failure(connect({ endpoints: [] })), { code: 'ERR_KV_INVALID_ARGUMENT' })
  t.match(await failure(connect({ ...options, timeoutMs: 0 })), { code: 'ERR_KV_INVALID_ARGUMENT' })
  const reason = new Error('stop')
  t.equal(await connect({ ...options, signal: AbortSignal.abort(reason) }).catch((e: unknown) => e), reason)
  t.same(parseEndpoint('https://[::1]:1/'), { hostPort: '[::1]:1', scheme: 'https' })
  t.same(parseEndpoint('db.example'), { hostPort: 'db.example:2379', scheme: null })
  const refused = { code: 'ERR_KV_INVALID_ARGUMENT', message: /asks for no TLS/ }
  t.match(await failure(connect({ ...options, tls: true })), refused)
  const broken = { endpoints: 'https://127.0.0.1:1', tls: { ca: 'x', cert: 'y', key: 'z' } }
  t.match(await failure(connect(broken)), { code: 'ERR_KV_INVALID_ARGUMENT', message: /TLS options/ })
})
