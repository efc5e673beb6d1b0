import { Metadata, type ServiceError } from '@grpc/grpc-js'
import { commandHeader, LIMITS, type WatchEvent } from '@kvorum/model'
import { codec, pb, rpcNamed } from '@kvorum/protocol'
import t from 'tap'
import { fragments } from '#src/rpc/watch.js'
import { bytes, Caller, fails, raw, withServer } from './caller.js'
import { running, until } from './harness.js'

t.setTimeout(300_000)

const WATCH = 'etcdserverpb.Watch/Watch'
const KEEP_ALIVE = 'etcdserverpb.Lease/LeaseKeepAlive'
const RANGE = 'etcdserverpb.KV/Range'
const PUT = 'etcdserverpb.KV/Put'
const key = bytes('k')

t.test('keys and values, transactions, headers', t =>
  withServer(t, async (caller, { node }) => {
    await caller.call(PUT, { key, value: bytes('1') })
    const put = await caller.call(PUT, { key, value: bytes('2'), prev_kv: true })
    t.match(put, {
      header: { cluster_id: node.cluster, member_id: node.self, revision: 3, raft_term: 7 },
      prev_kv: { value: bytes('1'), version: 1 },
    })
    const range = await caller.call(RANGE, { key, serializable: true })
    t.match(range, {
      kvs: [{ key, value: bytes('2'), create_revision: 2, mod_revision: 3 }],
      count: 1,
      more: false,
    })
    t.match(node.seen.at(-1)!.request, { kind: 'read', serializable: true })
    const txn = await caller.call('etcdserverpb.KV/Txn', {
      compare: [{ key, target: pb.CompareCompareTarget.VERSION, version: 2 }],
      success: [{ request_delete_range: { key } }, { request_range: { key } }],
    })
    t.match(txn, {
      succeeded: true,
      responses: [{ response_delete_range: { deleted: 1 } }, { response_range: { count: 0 } }],
    })
    await caller.call('etcdserverpb.KV/Txn', { success: [{ request_range: { key, serializable: true } }] })
    t.match(node.seen.at(-1)!.request, { kind: 'read', serializable: true }, 'reads only: served as a read')
    await caller.call('etcdserverpb.KV/Compact', { revision: 1, physical: true })
    t.match(node.seen.at(-1)!.request, { kind: 'compact', revision: 1, physical: true })
  }),
)

t.test('the term of headers never falls', t =>
  withServer(t, async (caller, { node }) => {
    const term = async () => (await caller.call(RANGE, { key })).header!.raft_term
    t.equal(await term(), 7)
    node.term = 3
    t.equal(await term(), 7)
    t.equal((await caller.call('etcdserverpb.Maintenance/Status', {})).raftTerm, 7)
    node.term = 9
    t.equal(await term(), 9)
  }),
)

t.test('refusals have their status and their exact text', t =>
  withServer(t, async (caller, { node }) => {
    await fails(t, caller.call(PUT, {}), 3, 'etcdserver: key is not provided')
    await fails(t, caller.call(RANGE, { key, sort_order: 9 }), 3, 'etcdserver: invalid sort option')
    await fails(
      t,
      caller.call(RANGE, { key, revision: 99 }),
      11,
      'etcdserver: mvcc: required revision is a future revision',
    )
    const many = Array.from({ length: 129 }, () => ({ request_range: { key } }))
    await fails(
      t,
      caller.call('etcdserverpb.KV/Txn', { success: many }),
      3,
      'etcdserver: too many operations in txn request',
    )
    const nested = { success: [{ request_txn: { failure: many.slice(1) } }] }
    await fails(
      t,
      caller.call('etcdserverpb.KV/Txn', nested),
      3,
      'etcdserver: too many operations in txn request',
    )
    const twice = [{ request_put: { key } }, { request_put: { key } }]
    await fails(
      t,
      caller.call('etcdserverpb.KV/Txn', { success: twice }),
      3,
      'etcdserver: duplicate key given in txn request',
    )
    node.refusal = 'timeout'
    await fails(t, caller.call(RANGE, { key }), 14, 'etcdserver: request timed out')
    node.refusal = null
    await fails(
      t,
      caller.call('etcdserverpb.Cluster/MemberAdd', {}),
      3,
      'etcdserver: given member URLs are invalid',
    )
    await fails(
      t,
      caller.call('etcdserverpb.Maintenance/Downgrade', {}),
      3,
      'etcdserver: wrong downgrade target version format',
    )
    await fails(t, caller.bytes('/no.Such/Method', bytes('')), 12, /does not implement/)
    const snapshot = caller.client.makeServerStreamRequest(
      rpcNamed('etcdserverpb.Maintenance/Snapshot').path,
      raw,
      raw,
      Buffer.alloc(0),
    )
    const error = await new Promise<ServiceError>(resolve => snapshot.on('error', resolve).resume())
    t.match(
      error,
      { code: 14, details: 'etcdserver: request timed out' },
      'a node without a state has no snapshot',
    )
  }),
)

t.test('malformed and oversize requests', t =>
  withServer(t, async (caller, { node }) => {
    const { path } = rpcNamed(PUT)
    await fails(t, caller.bytes(path, Buffer.from([0x0a, 0x7f, 1])), 3, /^kvorum: malformed request: /)
    const sized = (value: number) => caller.call(PUT, { key, value: Buffer.alloc(value) })
    await sized(LIMITS.requestBytesMax - 100)
    await fails(t, sized(LIMITS.requestBytesMax), 3, 'etcdserver: request is too large')
    await fails(t, sized(LIMITS.requestBytesMax + LIMITS.requestOverheadBytes), 8, /larger than max/)
    t.equal(node.seen.length, 1, 'only the first reached the node')
    const stream = caller.open(WATCH)
    stream.call.write(Buffer.from([0x0a, 0x7f, 1]))
    await until(() => stream.ended() !== null, 'the end of the stream')
    t.match(stream.ended(), { code: 3, details: /malformed/ })
  }),
)

t.test('--max-request-bytes and --max-txn-ops', t =>
  withServer(
    t,
    async caller => {
      await fails(
        t,
        caller.call(PUT, { key, value: Buffer.alloc(3000) }),
        3,
        'etcdserver: request is too large',
      )
      const two = [{ request_range: { key } }, { request_range: { key } }]
      await fails(t, caller.call('etcdserverpb.KV/Txn', { success: two }), 3, /too many operations/)
    },
    ['--max-request-bytes=2048', '--max-txn-ops=1'],
  ),
)

t.test('without a leader: a client that requires one is refused, its streams end', t =>
  withServer(
    t,
    async (caller, { node }) => {
      const requiring = new Metadata()
      requiring.set('hasleader', 'true')
      const patient = caller.open(WATCH)
      const stream = caller.open(WATCH, requiring)
      for (const each of [patient, stream]) each.send({ create_request: { key } })
      await until(() => stream.got.length === 1 && patient.got.length === 1, 'both watches')
      node.leader = 0n
      await fails(t, caller.call(RANGE, { key }, requiring), 14, 'etcdserver: no leader')
      await caller.call(RANGE, { key })
      await until(() => stream.ended() !== null, 'the end of the stream that requires a leader')
      t.strictSame(stream.ended(), { code: 14, details: 'etcdserver: no leader' })
      t.equal(patient.ended(), null)
      const status = await caller.call('etcdserverpb.Maintenance/Status', {})
      t.match(status, { leader: 0n, errors: ['etcdserver: no leader', 'no leader is known'] })
      patient.call.cancel()
    },
    ['--heartbeat-interval=5', '--election-timeout=25'],
  ),
)

t.test('cancellation and deadlines reach the node', t =>
  withServer(t, async (caller, { node }) => {
    let release = (): void => {}
    node.held = new Promise(resolve => (release = resolve))
    const { path } = rpcNamed(RANGE)
    const request = codec('etcdserverpb.RangeRequest').encode({ key })
    await fails(t, caller.bytes(path, request, new Metadata(), new Date(Date.now() + 100)), 4, /[Dd]eadline/)
    await until(() => node.seen[0]?.options?.signal?.aborted === true, 'the abort')
    t.equal(node.seen[0]!.options?.timeoutMs, 7000)
    release()
  }),
)

t.test('at most so many requests under way', async t => {
  const { createEdge, closeEdge, edgeLimits } = await import('#src/edge/edge.js')
  const { runUnary } = await import('#src/edge/unary.js')
  const { REGISTRY } = await import('#src/rpc/registry.js')
  const { FakeNode } = await import('./fakeNode.js')
  const { configOf } = await import('./harness.js')
  const { SILENT } = await import('@kvorum/server')
  const { ok } = await import('@kvorum/model')
  const node = new FakeNode()
  let release = (): void => {}
  node.held = new Promise(resolve => (release = resolve))
  const slow: object[] = []
  const logger = { ...SILENT, warn: (fields: object) => slow.push(fields) }
  const limits = { ...edgeLimits(configOf()), pendingRequestsMax: 2, slowRequestMs: 0 }
  const edge = createEdge(node, limits, logger, 1000, t.testdir())
  const range = REGISTRY.find(handler => handler.name === RANGE)
  if (range?.kind !== 'unary') throw new Error('Range is unary')
  const request = range.request.decode(codec('etcdserverpb.RangeRequest').encode({ key }))
  const call = {
    meta: {
      requireLeader: false,
      clientVersion: '',
      remote: '',
      host: '',
      certificateName: null,
      session: '',
      token: '',
    },
    signal: new AbortController().signal,
  }
  const run = (meta = call.meta) =>
    runUnary(edge, range, { ...call, meta }, { decode: () => ok(request), encode: value => value })
  const first = [run(), run()]
  t.match(await run(), { ok: false, error: { code: 'tooManyRequests' } })
  release()
  for (const result of await Promise.all(first)) t.match(result, { ok: true })
  t.match(await run(), { ok: true }, 'there is room again')
  t.match(await run({ ...call.meta, clientVersion: 'a\u0000b' }), {
    error: { code: 'invalidClientApiVersion' },
  })
  t.match(slow[0], { rpc: RANGE, code: 'RESOURCE_EXHAUSTED' }, 'and slow ones are logged')
  edge.state.stopping = true
  t.match(await run(), { ok: false, error: { code: 'stopped' } })
  closeEdge(edge)
})

t.test('leases', t =>
  withServer(t, async (caller, { node }) => {
    const granted = await caller.call('etcdserverpb.Lease/LeaseGrant', { TTL: 1 })
    t.ok(granted.ID > 0n, 'the server picks a positive id')
    t.equal(granted.TTL, 2, 'raised to the minimum')
    const own = { ID: 2n ** 62n + 1n, TTL: 60 }
    t.match(await caller.call('etcdserverpb.Lease/LeaseGrant', own), own)
    await fails(t, caller.call('etcdserverpb.Lease/LeaseGrant', own), 9, 'etcdserver: lease already exists')
    await fails(
      t,
      caller.call('etcdserverpb.Lease/LeaseGrant', { TTL: 9_000_000_001 }),
      11,
      /too large lease TTL/,
    )
    t.match(await caller.call('etcdserverpb.Lease/LeaseTimeToLive', { ID: own.ID, keys: true }), {
      ID: own.ID,
      TTL: 60,
      grantedTTL: 60,
    })
    t.match(await caller.call('etcdserverpb.Lease/LeaseTimeToLive', { ID: 5n }), { TTL: -1, grantedTTL: 0 })
    t.equal((await caller.call('etcdserverpb.Lease/LeaseLeases', {})).leases.length, 2)

    const alive = caller.open(KEEP_ALIVE)
    for (let i = 0; i < 300; i++) alive.send({ ID: i % 2 === 0 ? own.ID : 5n })
    await until(() => alive.got.length === 300, 'all renewals, more than may be under way')
    t.strictSame(
      alive.got.slice(0, 2).map(({ ID, TTL }) => ({ ID, TTL })),
      [
        { ID: own.ID, TTL: 60 },
        { ID: 5n, TTL: 0 },
      ],
    )
    alive.call.end()
    await until(() => alive.ended() !== null, 'the end')
    t.equal(alive.ended()!.code, 0)

    await caller.call('etcdserverpb.Lease/LeaseRevoke', { ID: own.ID })
    await fails(
      t,
      caller.call('etcdserverpb.Lease/LeaseRevoke', { ID: own.ID }),
      5,
      /requested lease not found/,
    )
    node.refusal = 'noLeader'
    const refused = caller.open(KEEP_ALIVE)
    refused.send({ ID: 5n })
    await until(() => refused.ended() !== null, 'the refusal')
    t.match(refused.ended(), { code: 14, details: 'etcdserver: no leader' })
  }),
)

t.test('watch: order, history, filters, cancel, progress', t =>
  withServer(t, async (caller, { node }) => {
    const put = (name: string) => caller.call(PUT, { key: bytes(name), value: bytes('v') })
    await put('a')
    const stream = caller.open(WATCH)
    stream.send({ create_request: { key: bytes('a'), range_end: bytes('z') } })
    stream.send({ create_request: { key: bytes('b'), range_end: bytes('b') } })
    stream.send({ create_request: { key: bytes('a'), start_revision: 1, watch_id: 77n, prev_kv: true } })
    await until(() => stream.got.length === 4, 'the answers')
    t.match(stream.got, [
      { watch_id: 0n, created: true, canceled: false, header: { revision: 2 } },
      { watch_id: -1n, created: true, canceled: true, cancel_reason: 'mvcc: watcher range is empty' },
      { watch_id: 77n, created: true },
      { watch_id: 77n, events: [{ type: pb.EventEventType.PUT, kv: { key: bytes('a') } }] },
    ])
    await caller.call('etcdserverpb.KV/DeleteRange', { key: bytes('a') })
    await until(() => stream.got.length === 6, 'the deletion, twice')
    t.match(stream.got[5], { events: [{ type: pb.EventEventType.DELETE, prev_kv: { value: bytes('v') } }] })
    stream.send({ cancel_request: { watch_id: 12n } })
    stream.send({ cancel_request: { watch_id: 0n } })
    stream.send({ progress_request: {} })
    await until(() => stream.got.length === 8, 'cancelled and progress')
    t.match(stream.got[6], { watch_id: 0n, canceled: true, created: false })
    t.match(stream.got[7], { watch_id: -1n, canceled: false, events: [] })
    await until(() => [...node.streams].every(watch => watch.waitingBytes === 0), 'everything to be consumed')
    t.equal(stream.ended(), null)
    stream.call.cancel()
    await until(() => node.streams.size === 0, 'the hub to hear that the client has gone')
  }),
)

t.test('watch: half-closed streams live as long as their watches', t =>
  withServer(t, async caller => {
    const stream = caller.open(WATCH)
    stream.send({ create_request: { key } })
    stream.call.end()
    await until(() => stream.got.length === 1, 'created')
    await caller.call(PUT, { key, value: bytes('1') })
    await until(() => stream.got.length === 2, 'an event after the half-close')
    t.equal(stream.ended(), null)
    stream.call.cancel()

    const done = caller.open(WATCH)
    done.send({ create_request: { key } })
    done.send({ cancel_request: { watch_id: 0n } })
    done.call.end()
    await until(() => done.ended() !== null, 'the end after the last watch')
    t.equal(done.ended()!.code, 0)
    t.match(done.got, [{ created: true }, { canceled: true }])
  }),
)

t.test('watch: a client that does not read holds back its own stream only', t =>
  withServer(t, async (caller, { node }) => {
    const slow = caller.open(WATCH)
    slow.send({ create_request: { key } })
    await until(() => slow.got.length === 1, 'created')
    slow.call.pause()
    const [stream] = node.streams
    const value = Buffer.alloc(1024 * 1024)
    const kv = { key, value, create: 1, mod: 1, version: 1, lease: 0n as never }
    const event = { kind: 'put' as const, kv, prev: null }
    const burst = () =>
      stream!.deliver({ kind: 'events', header: node.header, watchId: 0, events: [event], fragment: false })
    for (let i = 0; i < 8; i++) burst()
    await caller.call(PUT, { key: bytes('other'), value: bytes('1') })
    t.ok(stream!.waitingBytes > 4 * 1024 * 1024, 'most of it is not consumed')
    slow.call.resume()
    await until(() => stream!.waitingBytes === 0, 'the client to catch up')
    t.equal(slow.got.length, 9)
    slow.call.pause()
    // A hub that does not stop where it should.
    for (let i = 0; i < 24 && !stream!.closed; i++) burst()
    t.ok(stream!.closed, 'the stream was cut')
    slow.call.cancel()
  }),
)

t.test('watch: fragments', async t => {
  const event = (size: number): WatchEvent => ({
    kind: 'put',
    kv: { key, value: Buffer.alloc(size), create: 1, mod: 1, version: 1, lease: 0n as never },
    prev: null,
  })
  const events = [event(400), event(400), event(5000), event(10)]
  const header = { revision: 1, term: 1 }
  const split = (fragment: boolean) =>
    fragments({ kind: 'events', header, watchId: 3, events, fragment }, 1200).map(piece =>
      piece.kind === 'events' ? [piece.events.length, piece.fragment] : [],
    )
  t.strictSame(split(false), [[4, false]], 'only for watches that take them')
  t.strictSame(split(true), [
    [2, true],
    [1, true],
    [1, false],
  ])
})

t.test('watch: so many on one stream', t =>
  withServer(t, async caller => {
    const stream = caller.open(WATCH)
    for (let i = 0; i <= LIMITS.watchersPerStreamMax; i++)
      stream.send({ create_request: { key: bytes(`k${i}`), watch_id: BigInt(i + 1) } })
    await until(() => stream.ended() !== null, 'the refusal')
    t.match(stream.ended(), { code: 8, details: 'etcdserver: too many requests' })
  }),
)

t.test('cluster, status, health, groups', t =>
  withServer(t, async (caller, { node }) => {
    const list = await caller.call('etcdserverpb.Cluster/MemberList', { linearizable: true })
    t.match(list, { header: { revision: 0 }, members: [{ ID: node.self, name: 'one' }] })
    t.equal(node.seen.at(-1)!.request.kind, 'barrier')
    node.seen.length = 0
    await caller.call('etcdserverpb.Cluster/MemberList', {})
    t.equal(node.seen.length, 0, 'local without the flag')
    t.match(await caller.call('etcdserverpb.Maintenance/Status', {}), {
      version: '3.5.21',
      leader: node.self,
      raftIndex: 42,
      raftAppliedIndex: 41,
      dbSize: 5000,
      dbSizeInUse: 1000,
      errors: [],
    })
    t.match(await caller.call('etcdserverpb.Maintenance/Alarm', {}), { alarms: [] })
    t.match(await caller.call('kvorum.v1.Admin/Groups', {}), { groups: [] })
    t.equal((await caller.call('grpc.health.v1.Health/Check', {})).status, 1)
    t.equal((await caller.call('grpc.health.v1.Health/Check', { service: 'none' })).status, 3)
  }),
)

t.test('stopping ends streams and refuses requests', async t => {
  await using server = await running()
  const caller = new Caller(server)
  const stream = caller.open(WATCH)
  stream.send({ create_request: { key } })
  await until(() => stream.got.length === 1, 'created')
  await server.server.stop()
  await until(() => stream.ended() !== null, 'the end of the stream')
  t.match(stream.ended(), { code: 14 })
  caller.client.close()
})

t.test('the metadata of a session goes with the write, and only with a write of keys', async t => {
  await withServer(t, async (caller, server) => {
    const grant = { ID: 5n, TTL: 60 }
    await caller.call('etcdserverpb.Lease/LeaseGrant', grant)
    const opened = await caller.call('kvorum.v1.Sessions/Open', { lease: 5n })
    t.equal(opened.session, 2n ** 63n + 7n)
    const tagged = (text: string): Metadata => {
      const metadata = new Metadata()
      metadata.set('kvorum-session', text)
      return metadata
    }
    const put = { key: Buffer.from('k'), value: Buffer.from('v') }
    await caller.call('etcdserverpb.KV/Put', put, tagged(`${opened.session}:3:2`))
    const written = server.node.seen.map(({ request }) => request).findLast(({ kind }) => kind === 'write')
    if (written?.kind !== 'write') throw new Error('no write arrived')
    t.strictSame(commandHeader(written.command), {
      authRevision: null,
      session: { session: opened.session, sequence: 3, acknowledgedBelow: 2 },
    })
    for (const wrong of ['1', '1:2', '1:0:0', '1:2:3', '-1:2:1', 'a:1:1', `${2n ** 64n}:1:1`, '1:1:1:1']) {
      await t.rejects(caller.call('etcdserverpb.KV/Put', put, tagged(wrong)), { code: 3 }, wrong)
    }
    const revoke = { ID: 5n }
    await t.rejects(caller.call('etcdserverpb.Lease/LeaseRevoke', revoke, tagged('1:1:1')), { code: 3 })
    t.equal(server.node.seen.at(-1)?.request.kind, 'write', 'none of these reached the node')
  })
})
