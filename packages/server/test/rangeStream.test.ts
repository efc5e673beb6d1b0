import { LIMITS } from '@kvorum/model'
import t from 'tap'
import { bytes, withServer, type Caller } from './caller.js'
import { until } from './harness.js'

const STREAM = 'etcdserverpb.KV/RangeStream'
const PUT = 'etcdserverpb.KV/Put'
const ALL = { key: Uint8Array.of(0), range_end: Uint8Array.of(0) }

function begin(caller: Caller, request: object) {
  const stream = caller.open(STREAM)
  stream.send(request)
  stream.call.end()
  return stream
}

/** What a client puts together from the pieces. */
async function collect(caller: Caller, request: object) {
  const stream = begin(caller, request)
  await until(() => stream.ended() !== null, 'the end')
  const pieces = stream.got.map(({ range_response }) => range_response!)
  const last = pieces.at(-1)
  return {
    pieces: pieces.length,
    keys: pieces.flatMap(piece => piece.kvs.map(kv => Buffer.from(kv.key).toString())),
    early: pieces.slice(0, -1).filter(piece => piece.header !== null || piece.more || piece.count !== 0),
    revision: last?.header?.revision,
    more: last?.more,
    count: last?.count,
    ended: stream.ended(),
  }
}

t.test('a range in pieces of one revision', t =>
  withServer(t, async (caller, { node }) => {
    const value = Buffer.alloc(LIMITS.streamPageBytes / 3)
    const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
    for (const key of keys) await caller.call(PUT, { key: bytes(key), value })
    const whole = await collect(caller, ALL)
    t.match(whole, { keys, revision: 8, more: false, count: 7, early: [], ended: { code: 0 } })
    t.ok(whole.pieces >= 3)
    const reads = node.seen.filter(({ request }) => request.kind === 'read').slice(-whole.pieces)
    t.match(reads[0]!.request, { serializable: false, op: { revision: 0 } })
    for (const { request } of reads.slice(1)) t.match(request, { serializable: true, op: { revision: 8 } })
    const some = await collect(caller, { ...ALL, limit: 5 })
    t.match(some, { keys: keys.slice(0, 5), more: true, count: 7, early: [] })
    t.match(await collect(caller, { ...ALL, limit: 7 }), { keys, more: false, count: 7 })
    t.match(await collect(caller, { ...ALL, count_only: true }), { keys: [], count: 7, pieces: 1 })
    t.match(await collect(caller, { key: bytes('c') }), { keys: ['c'], count: 1, pieces: 1 })
    t.match(await collect(caller, { key: bytes('x') }), { keys: [], count: 0, pieces: 1, revision: 8 })
    t.match(await collect(caller, { ...ALL, keys_only: true, serializable: true }), { keys, count: 7 })
  }),
)

t.test('refusals', t =>
  withServer(t, async caller => {
    const orders = [
      { sort_order: 1 },
      { sort_target: 2 },
      { min_mod_revision: 1 },
      { max_create_revision: 5 },
    ]
    for (const order of orders) t.match((await collect(caller, { ...ALL, ...order })).ended, { code: 12 })
    const future = await collect(caller, { ...ALL, revision: 99 })
    t.match(future.ended, { code: 11, details: 'etcdserver: mvcc: required revision is a future revision' })
    t.match((await collect(caller, {})).ended, { code: 3, details: 'etcdserver: key is not provided' })
  }),
)

t.test('a client that does not read holds back the reading', t =>
  withServer(t, async (caller, { node }) => {
    const value = Buffer.alloc(LIMITS.streamPageBytes)
    for (let i = 0; i < 60; i++) await caller.call(PUT, { key: bytes(`k${i}`), value })
    const before = node.seen.length
    const stream = begin(caller, ALL)
    stream.call.pause()
    await until(() => node.seen.length > before, 'the first page')
    // Other calls go through meanwhile; by then what fits into the buffers of the connection has been read.
    for (let i = 0; i < 20; i++) await caller.call('etcdserverpb.KV/Range', { key: bytes('k1') })
    const pages = node.seen
      .slice(before)
      .filter(({ request }) => request.kind === 'read' && request.pageBytes)
    t.ok(pages.length < 40, `${pages.length} pages`)
    stream.call.resume()
    await until(() => stream.ended() !== null, 'the end')
    t.equal(stream.got.at(-1)!.range_response!.count, 60)
  }),
)
