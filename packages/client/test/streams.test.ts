import t, { type Test } from 'tap'
import { status } from '@grpc/grpc-js'
import type { pb, Init } from '@kvorum/protocol'
import { connect, KvorumError, type ConnectOptions, type KvorumClient, type WatchBatch } from '@kvorum/client'
import { BoundedQueue } from '#src/boundedQueue.js'
import { FakeServer, until, type FakeStream } from './fakeServer.js'
import { HastyClock, ManualClock } from './manualClock.js'

const WATCH = 'etcdserverpb.Watch/Watch'
const KEEP_ALIVE = 'etcdserverpb.Lease/LeaseKeepAlive'

async function clientOf(
  t: Test,
  servers: readonly FakeServer[],
  options: Partial<ConnectOptions> = {},
): Promise<KvorumClient> {
  const db = await connect({ endpoints: servers.map(({ endpoint }) => endpoint), ...options })
  t.teardown(() => db.close())
  return db
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => new Error('did not reject'),
    (error: unknown) => error,
  )
}

const headerAt = (revision: number) => ({ cluster_id: 1n, member_id: 2n, revision, raft_term: 3 })

const put = (key: string, revision: number): Init<pb.Event> => ({
  type: 0,
  kv: { key: Buffer.from(key), value: Buffer.from(`${revision}`), mod_revision: revision, version: 1 },
})

/** A server whose history is puts of key `k<revision>`, one or two a revision, served from where it is asked. */
interface WatchServer {
  readonly starts: number[]
  readonly streams: FakeStream<typeof WATCH>[]
  revision: number
}

function serveHistory(server: FakeServer, revision: number, batch = 3): WatchServer {
  const state: WatchServer = { starts: [], streams: [], revision }
  server.duplex(WATCH, stream => {
    state.streams.push(stream)
    stream.on('data', (request: pb.WatchRequest) => {
      const start = request.create_request?.start_revision ?? 0
      state.starts.push(start)
      stream.write({ header: headerAt(state.revision), created: true })
      const events: Init<pb.Event>[] = []
      for (let at = start === 0 ? state.revision + 1 : start; at <= state.revision; at++) {
        events.push(put(`k${at}`, at), ...(at % 2 === 0 ? [put(`l${at}`, at)] : []))
        if (at % batch !== 0 && at !== state.revision) continue
        stream.write({ header: headerAt(state.revision), events: events.splice(0) })
      }
    })
  })
  return state
}

const emit = (server: WatchServer, response: Init<pb.WatchResponse>): void =>
  void server.streams.at(-1)!.write({ header: headerAt(server.revision), ...response })

t.test('a watch tells whole revisions, from where it is asked', async t => {
  const server = await FakeServer.start(t)
  const history = serveHistory(server, 6)
  const db = await clientOf(t, [server])
  const watcher = db.watch({ prefix: 'k' }, { from: 3 })
  t.equal(await watcher.started, 2)
  const seen: WatchBatch[] = []
  for await (const batch of watcher.batches()) {
    seen.push(batch)
    if (batch.revision === 6) break
  }
  t.same(
    seen.map(({ revision, events }) => [revision, events.map(({ entry }) => entry.name)]),
    [
      [3, ['k3']],
      [4, ['k4', 'l4']],
      [5, ['k5']],
      [6, ['k6', 'l6']],
    ],
  )
  t.equal(watcher.resumeRevision, 7)
  await until(() => history.streams[0]!.cancelled, 'breaking out ends the stream')
})

t.test('a watch goes on after every kind of disconnect, without a gap and without a double', async t => {
  const servers = [await FakeServer.start(t), await FakeServer.start(t)]
  const histories = servers.map(server => serveHistory(server, 4))
  const db = await clientOf(t, servers, { clock: new HastyClock() })
  const watcher = db.watch({ all: true }, { from: 2 })
  const revisions: number[] = []
  const names: string[] = []
  const done = (async () => {
    for await (const event of watcher) {
      if (revisions.at(-1) !== event.revision) revisions.push(event.revision)
      names.push(event.entry.name)
      if (event.entry.name === 'l40') break
    }
  })()
  const breaks: (() => void)[] = [
    () => servers.forEach(server => server.cut()),
    () => histories.forEach(({ streams }) => streams.at(-1)?.end()),
    () =>
      histories.forEach(({ streams }) =>
        streams
          .at(-1)
          ?.emit('error', Object.assign(new Error(), { code: status.UNAVAILABLE, details: 'no leader' })),
      ),
    // Told twice, as by a server that takes over; what was told before is dropped.
    () =>
      histories.forEach(({ streams }) =>
        streams.at(-1)?.write({ header: headerAt(4), events: [put('k2', 2)] }),
      ),
  ]
  for (let revision = 5; revision <= 40; revision++) {
    for (const history of histories) {
      history.revision = revision
      if (history.streams.at(-1)?.cancelled !== false) continue
      emit(history, {
        events: [put(`k${revision}`, revision), ...(revision % 2 ? [] : [put(`l${revision}`, revision)])],
      })
    }
    if (revision % 3 === 0) breaks[(revision / 3) % breaks.length]!()
    // After a break the rest comes from the history of whichever server is next.
    await until(() => (revisions.at(-1) ?? 0) >= revision, `revision ${revision} arrives`)
  }
  await done
  t.same(
    revisions,
    Array.from({ length: 39 }, (_, i) => i + 2),
  )
  t.equal(new Set(names).size, names.length, 'nothing twice')
  t.equal(names.length, 39 + 20, 'nothing lost')
  t.ok(histories.flatMap(({ starts }) => starts).length > 5, 'there were many connections')
})

t.test('a watch from now on resumes where the first server created it', async t => {
  const server = await FakeServer.start(t)
  const history = serveHistory(server, 10)
  const db = await clientOf(t, [server], { clock: new HastyClock() })
  const watcher = db.watch('k')
  t.equal(await watcher.started, 10)
  server.cut()
  await until(() => history.starts.length >= 2, 'it reconnects')
  t.same(history.starts.slice(0, 2), [0, 11])
  emit(history, { header: headerAt(50) })
  emit(history, { header: headerAt(40) })
  emit(history, { events: [put('k', 51)] })
  t.match(await watcher.batches().next(), { value: { revision: 51 } })
  server.cut()
  await until(() => history.starts.length >= 3, 'again')
  t.equal(history.starts.at(-1), 52)
})

t.test('progress, only where asked for', async t => {
  const server = await FakeServer.start(t)
  const history = serveHistory(server, 10)
  const db = await clientOf(t, [server])
  const watcher = db.watch('k', { progress: true })
  await watcher.started
  emit(history, { header: headerAt(20) })
  t.match(await watcher.batches().next(), { value: { revision: 20, events: [] } })
})

t.test('what a server cancels, ends with a typed error', async t => {
  const server = await FakeServer.start(t)
  const db = await clientOf(t, [server], { clock: new HastyClock() })
  const answers: [Init<pb.WatchResponse>[], object][] = [
    [
      [{ created: true }, { canceled: true, compact_revision: 33 }],
      { code: 'ERR_KV_COMPACTED', compactRevision: 33, retryable: false },
    ],
    [
      [
        {
          created: true,
          canceled: true,
          watch_id: -1n,
          cancel_reason: 'rpc error: code = PermissionDenied desc = etcdserver: permission denied',
        },
      ],
      { code: 'ERR_KV_PERMISSION_DENIED' },
    ],
    [[{ created: true, canceled: true, cancel_reason: 'because' }], { code: 'ERR_KV_WATCH_CANCELED' }],
  ]
  for (const [responses, expected] of answers) {
    server.duplex(WATCH, stream => {
      stream.on('data', () =>
        responses.forEach(response => stream.write({ header: headerAt(9), ...response })),
      )
    })
    const watcher = db.watch('k', { from: 1 })
    const batches = watcher.batches()
    const error = await rejection(batches.next())
    t.ok(error instanceof KvorumError)
    t.match(error, expected)
    t.match(await batches.next(), { done: true })
  }
  server.duplex(WATCH, stream =>
    stream.emit('error', Object.assign(new Error(), { code: status.PERMISSION_DENIED, details: 'no' })),
  )
  const refused = db.watch('k')
  t.match(await rejection(refused.started), { code: 'ERR_KV_PERMISSION_DENIED' })
})

t.test('a slow consumer makes the server wait', async t => {
  const server = await FakeServer.start(t)
  let written = 0
  const value = Buffer.alloc(64 * 1024)
  server.duplex(WATCH, stream => {
    stream.on('data', () => {
      stream.write({ header: headerAt(1), created: true })
      const more = (): void => {
        while (written < 400) {
          const kv = { key: Buffer.from('k'), value, mod_revision: ++written + 1 }
          if (!stream.write({ header: headerAt(written + 1), events: [{ type: 0, kv }] })) {
            stream.once('drain', more)
            return
          }
        }
      }
      more()
    })
  })
  const db = await clientOf(t, [server])
  const watcher = db.watch('k', { from: 2, queueMax: 4 })
  await watcher.started
  let last = -1
  let looks = 0
  await until(() => {
    looks = written === last ? looks + 1 : 0
    last = written
    return looks === 100
  }, 'the server is stopped')
  t.ok(written < 300, `${written} of 400 written`)
  const revisions: number[] = []
  for await (const { revision } of watcher) {
    revisions.push(revision)
    if (revision === 401) break
  }
  t.equal(revisions.length, 400)
})

t.test('a queue holds its writer at the bound, and its end behind what it holds', async t => {
  const queue = new BoundedQueue<number>(2)
  await queue.push(1)
  let written = false
  const second = queue.push(2).then(() => (written = true))
  await new Promise(resolve => setImmediate(resolve))
  t.equal(written, false)
  t.same(await queue.next(), { done: false, value: 1 })
  await second
  queue.end({ cause: new Error('broken') })
  await queue.push(3)
  t.same(await queue.next(), { done: false, value: 2 })
  await t.rejects(queue.next(), { message: 'broken' })
  t.same(await queue.next(), { done: true, value: undefined })
  const other = new BoundedQueue<number>(1)
  const reader = other.next()
  await other.push(7)
  t.same(await reader, { done: false, value: 7 })
  const held = other.push(8)
  other.discard()
  await held
  t.match(await other.next(), { done: true })
})

t.test('signals and closing end a watch', async t => {
  const server = await FakeServer.start(t)
  serveHistory(server, 5)
  const db = await clientOf(t, [server])
  const controller = new AbortController()
  const watcher = db.watch('k', { signal: controller.signal })
  const next = watcher.batches().next()
  await watcher.started
  const reason = new Error('enough')
  controller.abort(reason)
  t.equal(await rejection(next), reason)
  t.equal(await rejection(db.watch('k', { signal: controller.signal }).batches().next()), reason)
  const closed = db.watch('k')
  await closed.close()
  t.match(await closed.batches().next(), { done: true })
  const last = db.watch('k')
  const pending = last.batches().next()
  await last.started
  await db.close()
  t.match(await rejection(pending), { code: 'ERR_KV_CLOSED' })
})

// --- leases

interface LeaseServer {
  /** Answers to renewals, by how many were asked before; null: none. */
  answer: (id: bigint, count: number) => number | null
  asked: bigint[]
}

function serveLeases(server: FakeServer, ttl: number): LeaseServer {
  const state: LeaseServer = { answer: () => ttl, asked: [] }
  let id = 100n
  server.unary('etcdserverpb.Lease/LeaseGrant', request => ({
    header: headerAt(1),
    ID: request.ID === 0n ? ++id : request.ID,
    TTL: ttl,
  }))
  server.unary('etcdserverpb.Lease/LeaseRevoke', () => ({ header: headerAt(1) }))
  server.duplex(KEEP_ALIVE, stream => {
    stream.on('data', (request: pb.LeaseKeepAliveRequest) => {
      const TTL = state.answer(request.ID, state.asked.filter(id => id === request.ID).length)
      state.asked.push(request.ID)
      if (TTL !== null) stream.write({ header: headerAt(1), ID: request.ID, TTL })
    })
  })
  return state
}

/** Lets time pass in steps, each when what the last one caused has come back. */
async function live(clock: ManualClock, state: LeaseServer, ms: number, stepMs: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    const before = state.asked.length
    clock.advance(stepMs)
    await until(() => state.asked.length > before, 'a renewal arrives')
    // One turn of a round trip: the answer was written before anything asked now.
    await new Promise(resolve => setImmediate(resolve))
  }
}

t.test('a lease lives as long as it is renewed, and is revoked at the end', async t => {
  const server = await FakeServer.start(t)
  const state = serveLeases(server, 9)
  const clock = new ManualClock()
  const db = await clientOf(t, [server], { clock })
  const lease = await db.lease(5)
  t.match(lease, { id: 101n, ttl: 9 })
  await until(() => state.asked.length === 1, 'asked as soon as there is a stream')
  await live(clock, state, 90_000, 3_000)
  t.equal(lease.signal.aborted, false)
  t.ok(state.asked.length >= 30)
  await lease.revoke()
  t.equal(server.count('etcdserverpb.Lease/LeaseRevoke'), 1)
  t.equal(clock.pending, 0, 'no timer is left')
  server.unary('etcdserverpb.Lease/LeaseRevoke', () => ({
    code: status.NOT_FOUND,
    details: 'etcdserver: requested lease not found',
  }))
  await lease.revoke()
})

t.test('a lease that the server no longer knows is lost', async t => {
  const server = await FakeServer.start(t)
  const state = serveLeases(server, 9)
  state.answer = (_, count) => (count < 2 ? 9 : 0)
  const clock = new ManualClock()
  const db = await clientOf(t, [server], { clock })
  const lease = await db.lease(9, { id: 7n })
  const lost: KvorumError[] = []
  lease.on('lost', error => lost.push(error))
  await until(() => state.asked.length === 1, 'first')
  await live(clock, state, 6_000, 3_000)
  await until(() => lost.length === 1, 'lost')
  t.match(lost[0], { code: 'ERR_KV_LEASE_LOST' })
  t.equal(lease.signal.reason, lost[0])
  t.equal(clock.pending, 0)
})

t.test('a lease that nobody confirms is lost when its time is over, not before', async t => {
  const server = await FakeServer.start(t)
  const state = serveLeases(server, 9)
  state.answer = () => null
  const clock = new ManualClock()
  const db = await clientOf(t, [server], { clock })
  const lease = await db.lease(9)
  clock.advance(8_999)
  t.equal(lease.signal.aborted, false)
  clock.advance(1)
  t.equal(lease.signal.aborted, true)
})

t.test('renewals move to another server when theirs is lost', async t => {
  const servers = [await FakeServer.start(t), await FakeServer.start(t)]
  const states = servers.map(server => serveLeases(server, 9))
  const clock = new ManualClock()
  const db = await clientOf(t, servers, { clock })
  const leases = [await db.lease(9, { id: 1n }), await db.lease(9, { id: 2n })]
  const asked = (): number => states.reduce((sum, { asked }) => sum + asked.length, 0)
  await until(() => asked() >= 1, 'the first is asked with the stream')
  clock.advance(3_000)
  await until(() => states.some(({ asked }) => asked.includes(2n)), 'the second in its time')
  const serving = states.findIndex(state => state.asked.length > 0)
  servers[serving]!.stop()
  const other = states[1 - serving]!
  const before = other.asked.length
  await until(() => {
    clock.advance(10)
    return other.asked.includes(1n) && other.asked.includes(2n) && other.asked.length > before
  }, 'both asked of the other server')
  t.ok(leases.every(lease => !lease.signal.aborted))
  await live(clock, other, 18_000, 3_000)
  t.ok(leases.every(lease => !lease.signal.aborted))
  leases[0]!.release()
  await db.close()
  t.equal(clock.pending, 0)
})
