import { createServer, type AddressInfo } from 'node:net'
import { pb } from '@kvorum/protocol'
import { createClusterNode } from '@kvorum/server'
import t from 'tap'
import { bytes, Caller, type Streamed } from './caller.js'
import { running, until } from './harness.js'

t.setTimeout(180_000)

/** What clients in the field trip over, against a real node: each of these has broken one of them. */

const WATCH = 'etcdserverpb.Watch/Watch'
const PUT = 'etcdserverpb.KV/Put'
const TXN = 'etcdserverpb.KV/Txn'
type WatchStream = Streamed<typeof WATCH>

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

async function withNode(work: (caller: Caller, url: string) => Promise<void>): Promise<void> {
  const peer = `http://127.0.0.1:${await freePort()}`
  const argv = [
    '--name=n',
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=n=${peer}`,
    '--election-timeout=100',
    '--heartbeat-interval=20',
  ]
  await using server = await running(argv, { createNode: createClusterNode, graceMs: 1000 })
  await until(() => server.server.node.status().ready, 'the node')
  const caller = new Caller(server)
  try {
    await work(caller, server.url)
  } finally {
    caller.client.close()
  }
}

const put = async (caller: Caller, key: string, value = ''): Promise<number> =>
  (await caller.call(PUT, { key: bytes(key), value: bytes(value) })).header!.revision

const create = (stream: WatchStream, request: object): void => stream.send({ create_request: request })

/** Everything sent before has been answered and delivered when the answer to this has come. */
async function settled(stream: WatchStream): Promise<void> {
  const before = stream.got.length
  stream.send({ progress_request: {} })
  await until(
    () => stream.got.slice(before).some(({ watch_id }) => watch_id === -1n),
    'the progress asked for',
  )
}

const shape = ({
  watch_id,
  created,
  canceled,
  cancel_reason,
  compact_revision,
  events,
}: pb.WatchResponse) => ({
  id: Number(watch_id),
  created,
  canceled,
  reason: cancel_reason,
  compacted: compact_revision,
  events: events.map(
    ({ type, kv }) => `${type === 0 ? 'put' : 'del'} ${Buffer.from(kv!.key).toString()}@${kv!.mod_revision}`,
  ),
})
const plain = { created: false, canceled: false, reason: '', compacted: 0, events: [] as string[] }

t.test('versions are three plain numbers', t =>
  withNode(async (caller, url) => {
    const { version } = await caller.call('etcdserverpb.Maintenance/Status', {})
    const served = (await (await fetch(`${url}/version`)).json()) as Record<string, string>
    for (const text of [version, served['etcdserver']!, served['etcdcluster']!])
      t.match(text, /^\d+\.\d+\.\d+$/)
  }),
)

t.test('creations are answered in their order, whatever becomes of them', t =>
  withNode(async caller => {
    for (let i = 0; i < 30; i++) await put(caller, `k${i}`, 'x'.repeat(1000))
    const stream = caller.open(WATCH)
    const expected: object[] = []
    const created = (id: number) => expected.push({ ...plain, id, created: true })
    const refused = (reason: string) =>
      expected.push({ ...plain, id: -1, created: true, canceled: true, reason })
    let next = 0
    for (let i = 0; i < 10; i++) {
      create(stream, { key: bytes('k'), range_end: bytes('l'), start_revision: 1 + i })
      created(next++)
      create(stream, { key: bytes('quiet'), start_revision: i % 2 === 0 ? 0 : 100_000 })
      created(next++)
      create(stream, { key: bytes('b'), range_end: bytes('a') })
      refused('mvcc: watcher range is empty')
      create(stream, { key: bytes('quiet'), watch_id: BigInt(500 + i) })
      created(500 + i)
      create(stream, { key: bytes('quiet'), watch_id: BigInt(500 + i) })
      refused('mvcc: duplicate watch ID provided on the WatchStream')
    }
    await until(() => stream.got.filter(response => response.created).length === 50, 'fifty answers')
    const answers = stream.got.filter(response => response.created).map(shape)
    t.strictSame(answers, expected)
    const announced = new Set<bigint>()
    for (const response of stream.got) {
      if (response.created) announced.add(response.watch_id)
      else if (!announced.has(response.watch_id))
        t.fail(`${response.watch_id} speaks before it was announced`)
    }
    stream.call.cancel()
  }),
)

t.test('the id -1 comes only to who asked, and progress only when all are up to date', t =>
  withNode(async caller => {
    const stream = caller.open(WATCH)
    create(stream, { key: bytes('a') })
    const revision = await put(caller, 'b')
    await put(caller, 'a')
    await until(() => stream.got.length === 2, 'the event')
    t.notOk(stream.got.some(({ watch_id }) => watch_id < 0n))
    await settled(stream)
    t.ok(stream.got.at(-1)!.header!.revision > revision)
    t.strictSame(shape(stream.got.at(-1)!), { ...plain, id: -1 })
    stream.call.cancel()
  }),
)

t.test('start in the past, in the future, before a compaction', t =>
  withNode(async caller => {
    const first = await put(caller, 'a', '1')
    const second = await put(caller, 'a', '2')
    const stream = caller.open(WATCH)
    create(stream, { key: bytes('a'), start_revision: second })
    create(stream, { key: bytes('a'), start_revision: second + 3 })
    await until(() => stream.got.length === 3, 'both, and the past')
    for (let i = 0; i < 3; i++) await put(caller, 'a', 'more')
    await until(() => stream.got.flatMap(({ events }) => events).length === 5, 'the events')
    const of = (id: number) =>
      stream.got.filter(each => Number(each.watch_id) === id).flatMap(each => shape(each).events)
    t.strictSame(
      of(0),
      [0, 1, 2, 3].map(i => `put a@${second + i}`),
    )
    t.strictSame(of(1), [`put a@${second + 3}`], 'nothing from before')
    await caller.call('etcdserverpb.KV/Compact', { revision: second + 1 })
    const before = stream.got.length
    create(stream, { key: bytes('a'), start_revision: first })
    create(stream, { key: bytes('a'), start_revision: second + 1 })
    await until(() => of(3).length === 3, 'all of the second, in however many responses')
    await until(() => stream.got.slice(before).some(each => each.canceled), 'the end of the first')
    const late = stream.got.slice(before)
    const ended = late.find(each => each.canceled)!
    t.strictSame(shape(ended), { ...plain, id: 2, canceled: true, compacted: second + 1 })
    t.ok(late.findIndex(each => each.created && each.watch_id === 2n) < late.indexOf(ended))
    t.equal(of(3).length, 3, 'reading exactly at the compacted revision is allowed')
    stream.call.cancel()
  }),
)

t.test('after a cancel nothing; an unknown id is passed over; the empty key is everything', t =>
  withNode(async caller => {
    const stream = caller.open(WATCH)
    create(stream, { range_end: bytes('\0') })
    create(stream, { key: bytes('a') })
    await until(() => stream.got.length === 2, 'both')
    stream.send({ cancel_request: { watch_id: 77n } })
    stream.send({ cancel_request: { watch_id: 1n } })
    await until(() => stream.got.length === 3, 'the answer to the second')
    t.strictSame(shape(stream.got[2]!), { ...plain, id: 1, canceled: true })
    const revision = await put(caller, 'a')
    await settled(stream)
    t.strictSame(stream.got.slice(3, -1).map(shape), [{ ...plain, id: 0, events: [`put a@${revision}`] }])
    stream.call.cancel()
  }),
)

t.test('one revision is one response; filters, previous pairs and deletions have their shapes', t =>
  withNode(async caller => {
    const all = { key: bytes('a'), range_end: bytes('z'), prev_kv: true }
    const stream = caller.open(WATCH)
    create(stream, all)
    create(stream, { ...all, filters: [pb.WatchCreateRequestFilterType.NOPUT] })
    await until(() => stream.got.length === 2, 'both')
    const puts = ['a', 'b', 'c'].map(key => ({ request_put: { key: bytes(key), value: bytes(key) } }))
    const { header } = await caller.call(TXN, { success: puts })
    const { revision } = header!
    await settled(stream)
    t.strictSame(stream.got.slice(2, -1).map(shape), [
      { ...plain, id: 0, events: ['a', 'b', 'c'].map(key => `put ${key}@${revision}`) },
    ])
    t.ok(
      stream.got[2]!.events.every(event => event.prev_kv === null),
      'nothing was before',
    )
    const from = stream.got.length
    await caller.call('etcdserverpb.KV/DeleteRange', { key: bytes('b') })
    await settled(stream)
    const told = stream.got.slice(from, -1)
    t.strictSame(new Set(told.map(each => Number(each.watch_id))), new Set([0, 1]))
    for (const { events } of told) {
      t.match(events, [{ type: 1, prev_kv: { key: bytes('b'), value: bytes('b'), mod_revision: revision } }])
      t.match(events[0]!.kv, { create_revision: 0, version: 0, mod_revision: revision + 1, lease: 0n })
      t.equal(events[0]!.kv!.value.length, 0)
    }
    stream.call.cancel()
  }),
)

t.test('a keep-alive of what is gone has no TTL; a lock outlives nothing but its lease', t =>
  withNode(async caller => {
    const stream = caller.open('etcdserverpb.Lease/LeaseKeepAlive')
    stream.send({ ID: 404n })
    await until(() => stream.got.length === 1, 'the answer')
    t.match(stream.got[0], { ID: 404n, TTL: 0 })
    stream.call.end()
    await until(() => stream.ended()?.code === 0, 'the end')
    const name = bytes('m')
    await caller.call('etcdserverpb.Lease/LeaseGrant', { ID: 5n, TTL: 60 })
    await caller.call('etcdserverpb.Lease/LeaseGrant', { ID: 6n, TTL: 60 })
    await caller.call('v3lockpb.Lock/Lock', { name, lease: 5n })
    const next = caller.begin('v3lockpb.Lock/Lock', { name, lease: 6n })
    await caller.call('etcdserverpb.Lease/LeaseRevoke', { ID: 5n })
    t.equal(Buffer.from((await next.answer).key).toString(), 'm/6')
    await t.rejects(caller.call('v3lockpb.Lock/Lock', { name, lease: 5n }), {
      code: 5,
      details: 'etcdserver: requested lease not found',
    })
    const range = { key: bytes('m/'), range_end: bytes('m0') }
    const stream2 = caller.open('etcdserverpb.KV/RangeStream')
    stream2.send(range)
    stream2.call.end()
    await until(() => stream2.ended() !== null, 'the range')
    t.match(stream2.got, [{ range_response: { kvs: [{ key: bytes('m/6'), lease: 6n }], count: 1 } }])
  }),
)
