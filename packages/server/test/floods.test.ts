import { connect as connectHttp2, constants } from 'node:http2'
import t, { type Test } from 'tap'
import { dial, running, until, type Running, type Wire } from './harness.js'

t.setTimeout(120_000)

/** The server answers both kinds of clients, whatever happens beside them. */
async function alive(t: Test, server: Running, when: string): Promise<void> {
  const version = await fetch(`${server.url}/version`)
  t.equal(version.status, 200, `HTTP, ${when}`)
  await version.text()
  const session = connectHttp2(server.url)
  session.on('error', () => {})
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: '/etcdserverpb.Maintenance/Status',
    'content-type': 'application/grpc',
    te: 'trailers',
  })
  stream.on('error', () => {})
  stream.end(Buffer.alloc(5))
  const trailers = await new Promise<Record<string, unknown>>((resolve, reject) => {
    stream.on('trailers', headers => resolve(headers))
    stream.on('close', () => reject(new Error(`no answer ${when}`)))
    stream.resume()
  })
  t.equal(trailers['grpc-status'], '0', `gRPC, ${when}`)
  session.destroy()
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

const [HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION] = [1, 3, 4, 6, 9]
const END_STREAM = 1
const END_HEADERS = 4
/** POST over http to a path that is a call of ours, in literal fields without an index. */
const literal = (name: string, value: string): Buffer =>
  Buffer.concat([Buffer.of(0, name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)])
const CALL = Buffer.concat([
  literal(':method', 'POST'),
  literal(':scheme', 'http'),
  literal(':path', '/etcdserverpb.Maintenance/Status'),
  literal(':authority', 'x'),
  literal('content-type', 'application/grpc'),
  literal('te', 'trailers'),
])

async function http2Wire(server: Running): Promise<Wire> {
  const wire = await dial(server.port)
  wire.socket.write(PREFACE)
  wire.socket.write(frame(SETTINGS, 0, 0, Buffer.alloc(0)))
  return wire
}

/** Writes until the server has had enough, or `count` is reached. */
async function pour(wire: Wire, count: number, piece: (at: number) => Buffer): Promise<void> {
  for (let at = 0; at < count && !wire.closed() && !wire.socket.destroyed; at++) {
    if (wire.socket.write(piece(at))) continue
    await new Promise<void>(resolve => {
      const done = (): void => {
        wire.socket.off('drain', done).off('close', done)
        resolve()
      }
      wire.socket.on('drain', done).on('close', done)
    })
  }
}

t.test('rapid reset: streams opened and cancelled at once', async t => {
  await using server = await running()
  const wire = await http2Wire(server)
  const cancel = Buffer.alloc(4)
  cancel.writeUInt32BE(8)
  const before = process.memoryUsage().rss
  await pour(wire, 20_000, at => {
    const stream = 2 * at + 1
    return Buffer.concat([frame(HEADERS, END_HEADERS, stream, CALL), frame(RST_STREAM, 0, stream, cancel)])
  })
  await alive(t, server, 'after the resets')
  t.ok(process.memoryUsage().rss - before < 256 * 1024 * 1024, 'memory is bounded')
  wire.socket.destroy()
})

t.test('a header that never ends: CONTINUATION without end', async t => {
  await using server = await running()
  const wire = await http2Wire(server)
  wire.socket.write(frame(HEADERS, END_STREAM, 1, CALL))
  const field = literal('x', 'y'.repeat(100))
  const piece = frame(CONTINUATION, 0, 1, Buffer.concat(Array.from({ length: 100 }, () => field)))
  const before = process.memoryUsage().rss
  await pour(wire, 20_000, () => piece)
  await until(wire.closed, 'the end of a connection without an end of headers')
  await alive(t, server, 'after the headers')
  t.ok(process.memoryUsage().rss - before < 128 * 1024 * 1024, 'memory is bounded')
})

t.test('floods of pings and of settings that are never acknowledged', async t => {
  await using server = await running()
  for (const [type, payload] of [
    [PING!, Buffer.alloc(8)],
    [SETTINGS!, Buffer.alloc(0)],
  ] as const) {
    const wire = await http2Wire(server)
    // Answers are not read.
    wire.socket.pause()
    await Promise.race([
      pour(wire, 50_000, () => frame(type, 0, 0, payload)),
      new Promise(resolve => setTimeout(resolve, 3_000).unref()),
    ])
    await alive(t, server, 'beside the flood')
    wire.socket.destroy()
  }
})

/** HPACK: an indexed field that is in no table. */
const NO_SUCH_FIELD = Buffer.of(0xff, 0xff, 0x03)
const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** Each breaks the rules for a connection as a whole. */
const BROKEN: readonly (readonly [string, Buffer])[] = [
  ['HEADERS whose fields are in no table', frame(1, END_HEADERS, 1, NO_SUCH_FIELD)],
  ['HEADERS that end in the middle of a field', frame(1, END_HEADERS, 1, CALL.subarray(0, -3))],
  ['HEADERS without a stream', frame(1, END_HEADERS, 0, CALL)],
  ['HEADERS on a stream that is the server’s', frame(1, END_HEADERS, 2, CALL)],
  ['HEADERS with more padding than bytes', frame(1, END_HEADERS | 8, 1, Buffer.of(200, 0))],
  ['HEADERS too short for their priority', frame(1, END_HEADERS | 0x20, 1, Buffer.of(0))],
  ['CONTINUATION of nothing', frame(9, END_HEADERS, 1, CALL)],
  ['DATA on a stream that was never opened', frame(0, 0, 1, Buffer.alloc(5))],
  ['WINDOW_UPDATE by nothing', frame(8, 0, 0, uint32(0))],
  ['WINDOW_UPDATE beyond 2^31', frame(8, 0, 0, uint32(0x7fffffff))],
  ['WINDOW_UPDATE of three bytes', frame(8, 0, 0, Buffer.alloc(3))],
  ['WINDOW_UPDATE of a stream that was never opened', frame(8, 0, 7, uint32(1))],
  ['SETTINGS of five bytes', frame(4, 0, 0, Buffer.alloc(5))],
  ['SETTINGS of a stream', frame(4, 0, 1, Buffer.alloc(0))],
  ['SETTINGS with a window beyond 2^31', frame(4, 0, 0, Buffer.of(0, 4, 0xff, 0xff, 0xff, 0xff))],
  ['PING of seven bytes', frame(6, 0, 0, Buffer.alloc(7))],
  ['a frame longer than is agreed', frame(0, 0, 1, Buffer.alloc(0x4001))],
]

t.test('frames that break the rules of HTTP/2: their connection is given up, and no other', async t => {
  await using server = await running()
  // All at once: after some of them Node waits 20 s before it closes the connection.
  const ends = BROKEN.map(async ([name, bytes]) => {
    const wire = await http2Wire(server)
    wire.socket.write(bytes)
    await until(() => wire.closed() || heardFrame(wire, GOAWAY, 0), `the end after ${name}`)
    t.pass(name)
    wire.socket.destroy()
  })
  await Promise.all(ends)
  await alive(t, server, 'after all of them')
})

const GOAWAY = 7

/** Whether a frame of this type for the stream has come. */
function heardFrame(wire: Wire, type: number, stream: number): boolean {
  const bytes = Buffer.from(wire.heard(), 'latin1')
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3))
    if (bytes[at + 3] === type && bytes.readUInt32BE(at + 5) === stream) return true
  return false
}

t.test('connections that say nothing, and half of something', async t => {
  await using server = await running([], { port: { connectionsMax: 200, firstByteMs: 60_000 } })
  const wires: Wire[] = []
  for (let at = 0; at < 1000; at++) wires.push(await dial(server.port))
  await until(() => wires.filter(wire => !wire.closed()).length <= 200, 'no more than there are places for')
  await alive(t, server, 'beside silent connections')
  for (const { socket } of wires) socket.destroy()
})

t.test('Content-Length: missing, lying, huge, twice', async t => {
  await using server = await running()
  const post = 'POST /v3/kv/range HTTP/1.1\r\nHost: x\r\n'
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['none', `${post}Connection: close\r\n\r\n`, /^HTTP\/1\.1 400 [\s\S]*key is not provided/],
    ['huge', `${post}Content-Length: 99999999999\r\n\r\n`, /request is too large/],
    ['too large a number', `${post}Content-Length: ${'9'.repeat(40)}\r\n\r\n`, /^HTTP\/1\.1 400 /],
    ['negative', `${post}Content-Length: -1\r\n\r\n`, /^HTTP\/1\.1 400 /],
    ['twice', `${post}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`, /^HTTP\/1\.1 400 /],
    [
      'with chunks',
      `${post}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      /^HTTP\/1\.1 400 /,
    ],
  ]
  for (const [name, text, answer] of cases) {
    const wire = await dial(server.port)
    wire.socket.write(text)
    await until(() => answer.test(wire.heard()), `an answer: ${name}`)
    t.match(wire.heard(), answer, name)
    wire.socket.destroy()
  }
  // A length that is not told is counted.
  const before = process.memoryUsage().rss
  const endless = await dial(server.port)
  endless.socket.write(`${post}Transfer-Encoding: chunked\r\n\r\n`)
  const chunk = Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(0x10000, 0x20), Buffer.from('\r\n')])
  await pour(endless, 1024, () => chunk)
  await until(endless.closed, 'the end of a body without end')
  t.ok(process.memoryUsage().rss - before < 128 * 1024 * 1024, 'memory is bounded')
  await alive(t, server, 'after them')
})

t.test('slow headers and slow bodies do not hold up others', async t => {
  await using server = await running()
  const wires: Wire[] = []
  for (let at = 0; at < 200; at++) {
    const wire = await dial(server.port)
    wire.socket.write(
      at % 2 === 0
        ? 'GET /version HTTP/1.1\r\nHost'
        : 'POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{',
    )
    wires.push(wire)
  }
  await alive(t, server, 'beside slow ones')
  await until(() => wires.every((wire, at) => at % 2 === 1 || wire.closed()), 'the end of slow headers')
  t.ok(
    wires.filter((_, at) => at % 2 === 1).every(wire => !wire.closed()),
    'bodies have more time',
  )
  for (const { socket } of wires) socket.destroy()
})
