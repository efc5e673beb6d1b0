import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { Http2Connection, type Reply } from '#src/http2/connection.js'
import { decodeHead } from '#src/http2/hpack.js'
import { closedLoop, openLoop } from '#src/load.js'
import { putRequest, readStatus } from '#src/messages.js'
import { fillRequests, keyOf, randomPuts, randomReads } from '#src/requests.js'
import { parseRow } from '#src/rows.js'
import { markdownTable, median } from '#src/table.js'

/** Node's own HTTP/2 as the other side: an implementation that shares nothing with the generator's. */
type Handler = (request: Buffer, stream: ServerHttp2Stream) => void

async function serve(
  t: Test,
  settings: object,
  handler: Handler,
): Promise<{ server: Http2Server; port: number }> {
  const server = createServer({ settings })
  server.on('stream', stream => {
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => handler(Buffer.concat(chunks), stream))
    stream.on('error', () => undefined)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return { server, port: (server.address() as AddressInfo).port }
}

const framed = (message: Buffer): Buffer => {
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

function answer(stream: ServerHttp2Stream, message: Buffer | null, trailers: Record<string, string>): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers(trailers))
  if (message === null) stream.end()
  else stream.end(framed(message))
}

const echo: Handler = (request, stream) => answer(stream, request.subarray(5), { 'grpc-status': '0' })

async function connect(t: Test, port: number): Promise<Http2Connection> {
  const connection = await Http2Connection.connect('127.0.0.1', port)
  t.teardown(() => connection.close())
  return connection
}

const request = (connection: Http2Connection, message: Buffer, path = '/s/m'): Promise<Reply> =>
  new Promise(done => connection.request({ path, message, keepBody: true, done }))

t.test('messages larger than every window and frame arrive whole, both ways', async t => {
  const { port } = await serve(t, { initialWindowSize: 1_000, maxConcurrentStreams: 2 }, echo)
  const connection = await connect(t, port)
  const sizes = [0, 1, 995, 996, 16_379, 16_380, 100_000, 10_000_000]
  const replies = await Promise.all(sizes.map(size => request(connection, Buffer.alloc(size, size % 251))))
  for (const [i, size] of sizes.entries()) {
    const reply = replies[i]!
    t.equal(reply.status, 0, reply.text)
    t.equal(reply.bytes, size)
    t.ok(reply.body?.equals(Buffer.alloc(size, size % 251)))
  }
  t.equal(connection.active, 0)
})

t.test('the peer never sees more streams than it allows', async t => {
  let open = 0
  let most = 0
  const waiting: (() => void)[] = []
  const { port } = await serve(t, { maxConcurrentStreams: 3 }, (body, stream) => {
    most = Math.max(most, ++open)
    waiting.push(() => {
      open--
      echo(body, stream)
    })
    if (open === 3) for (const go of waiting.splice(0)) setImmediate(go)
  })
  const connection = await connect(t, port)
  const replies = await Promise.all(
    Array.from({ length: 60 }, (_, i) => request(connection, Buffer.from([i]))),
  )
  t.equal(most, 3)
  t.same(
    replies.map(reply => reply.body?.[0]),
    Array.from({ length: 60 }, (_, i) => i),
  )
})

t.test('statuses and texts come through as the other side encoded them', async t => {
  const printable = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('')
  const texts = ['etcdserver: mvcc: required revision has been compacted', printable.trim(), '~'.repeat(300)]
  const { port } = await serve(t, {}, (body, stream) =>
    answer(stream, null, { 'grpc-status': '11', 'grpc-message': texts[body[5]!]! }),
  )
  const connection = await connect(t, port)
  for (const [i, text] of texts.entries()) {
    const reply = await request(connection, Buffer.from([i]))
    t.match(reply, { status: 11, bytes: -1, body: null, text })
  }
  await t.rejects(connection.call('/s/m', Buffer.from([0])), { message: /status 11 etcdserver/ })
})

t.test('what is not a message with a status is not a success', async t => {
  const cases: Record<string, Handler> = {
    '/reset': (_, stream) => stream.close(8),
    '/trailersOnly': (_, stream) =>
      stream.respond({ ':status': 200, 'grpc-status': '14' }, { endStream: true }),
    '/notGrpc': (_, stream) => stream.respond({ ':status': 404 }, { endStream: true }),
    '/noMessage': (_, stream) => answer(stream, null, { 'grpc-status': '0' }),
    '/halfMessage': (_, stream) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.end(framed(Buffer.from('abc')).subarray(0, 6))
    },
  }
  const { server, port } = await serve(t, {}, () => undefined)
  server.removeAllListeners('stream')
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined)
    cases[headers[':path']!]!(Buffer.alloc(0), stream)
  })
  const connection = await connect(t, port)
  t.match(await request(connection, Buffer.alloc(1), '/reset'), { status: -1, bytes: -1, text: /code 8/ })
  t.match(await request(connection, Buffer.alloc(1), '/trailersOnly'), { status: 14, bytes: -1 })
  t.match(await request(connection, Buffer.alloc(1), '/notGrpc'), { status: -1, text: /404/ })
  t.match(await request(connection, Buffer.alloc(1), '/noMessage'), { status: 0, bytes: -1, body: null })
  t.match(await request(connection, Buffer.alloc(1), '/halfMessage'), { status: 0, bytes: -1, body: null })
})

t.test('a closed connection answers every call', async t => {
  const { server, port } = await serve(t, { maxConcurrentStreams: 1 }, () => undefined)
  const connection = await connect(t, port)
  const pending = [1, 2, 3].map(() => request(connection, Buffer.from('x')))
  server.once('stream', stream => stream.session?.destroy())
  for (const reply of await Promise.all(pending)) t.match(reply, { status: -1, bytes: -1 })
  t.equal(connection.closed, true)
  t.match(await request(connection, Buffer.from('x')), { status: -1 })
})

t.test('header blocks that need a dynamic table, or lie, are refused', async t => {
  t.throws(() => decodeHead(Buffer.from([0x80 | 62])), /dynamic table/)
  t.throws(() => decodeHead(Buffer.from([0x00, 0x05, 0x61])), /truncated/)
  t.throws(() => decodeHead(Buffer.from([0x3f, 0xe1, 0x1f])), /table size/)
  t.throws(() => decodeHead(Buffer.from([0x00, 0x81, 0x00, 0x00])), /code word/)
  t.match(decodeHead(Buffer.from([0x88])), { httpStatus: '200', grpcStatus: null })
})

t.test('loads count what was answered in the window, and fail what is too short', async t => {
  const { port } = await serve(t, {}, echo)
  const connections = [await connect(t, port), await connect(t, port)]
  const space = { prefix: 'k/', keys: 50, valueBytes: 32 }
  const plan = { warmupMs: 20, measureMs: 200, connections, requests: randomPuts(space, 1) }
  let hooks = 0
  const closed = await closedLoop(plan, 8, { begin: () => hooks++, end: () => hooks++ })
  t.equal(hooks, 2)
  t.ok(closed.ok > 0)
  t.equal(closed.failed, 0, closed.firstFailure)
  t.ok(closed.p50 > 0 && closed.p50 <= closed.p99 && closed.p99 <= closed.max)
  t.equal(connections[0]!.active + connections[1]!.active, 0)
  const open = await openLoop(plan, 500, {})
  t.ok(open.ok >= 50 && open.ok <= 150, `${open.ok} of about 100`)
  t.equal(open.shed, 0)
  // The echo of a read is its key: shorter than the value that a read must bring.
  const reads = await closedLoop({ ...plan, requests: randomReads(space, 1) }, 2, {})
  t.equal(reads.ok, 0)
  t.match(reads.firstFailure, /response of \d+ bytes/)
})

t.test('an open loop charges a stall to the requests that were due in it', async t => {
  let held: (() => void)[] | null = null
  let seen = 0
  const { port } = await serve(t, {}, (body, stream) => {
    // The server stalls once, for 100 ms: a closed loop of one would count a single slow request.
    if (++seen === 50) {
      held = []
      setTimeout(() => {
        held?.forEach(go => go())
        held = null
      }, 100)
    }
    if (held === null) echo(body, stream)
    else held.push(() => echo(body, stream))
  })
  const requests = randomPuts({ prefix: 'k/', keys: 9, valueBytes: 8 }, 1)
  const plan = { warmupMs: 0, measureMs: 400, connections: [await connect(t, port)], requests }
  const result = await openLoop(plan, 1_000, {})
  t.ok(result.max >= 90, `max ${result.max} ms`)
  // A quarter of the window was stalled, so well over a tenth of the requests waited for some of it.
  t.ok(result.p99 > 50, `p99 ${result.p99} ms`)
})

t.test('requests are the bytes that a protobuf encoder would write', async t => {
  const space = { prefix: 'p/', keys: 1_000, valueBytes: 8 }
  t.same(putRequest(Buffer.from('a'), Buffer.from('bc')), Buffer.from([10, 1, 0x61, 18, 2, 0x62, 0x63]))
  t.equal(keyOf(space, 42).toString(), 'p/0000000042')
  const puts = randomPuts(space, 9)
  const keys = Array.from({ length: 200 }, () => puts.next().subarray(2, 14).toString())
  t.ok(keys.every(key => /^p\/0000000\d{3}$/.test(key)))
  t.ok(new Set(keys).size > 100)
  t.equal([...fillRequests(space)].length, Math.ceil(1_000 / 128))
  // StatusResponse {header {member_id: 2^63 + 1}, version: "3.5.0", leader: 7}
  const header = Buffer.from([0x10, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01])
  const status = Buffer.concat([
    Buffer.from([10, header.length]),
    header,
    Buffer.from([18, 5]),
    Buffer.from('3.5.0'),
    Buffer.from([32, 7]),
  ])
  t.same(readStatus(status), { memberId: 2n ** 63n + 1n, leader: 7n, version: '3.5.0' })
})

t.test('rows, medians and tables', async t => {
  t.match(parseRow('put:64'), { request: 'put', loop: 'closed', amount: 64 })
  t.match(parseRow('read@2000'), { request: 'read', loop: 'open', amount: 2_000 })
  t.throws(() => parseRow('put:0'))
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, NaN, 1, 2, 3]), 2.5)
  t.equal(markdownTable(['a', 'n'], [['x', '12']]), '| a   |   n |\n| --- | --: |\n| x   |  12 |')
})
