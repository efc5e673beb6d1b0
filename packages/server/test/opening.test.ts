import { once } from 'node:events'
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2'
import t from 'tap'
import { patchAuthority } from '#src/grpc/authority.js'
import { dial, running, until } from './harness.js'

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
const SETTINGS = frame(4, 0, 0)
const SETTINGS_ACK = frame(4, 1, 0)
const PING = frame(6, 0, 0, Buffer.alloc(8))
const STATUS = '/etcdserverpb.Maintenance/Status'

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** A literal without the code of RFC 7541, with the name by its index in the static table. */
const literal = (index: number, value: string): Buffer =>
  Buffer.concat([Buffer.from([0x40 | index, value.length]), Buffer.from(value, 'latin1')])

const named = (name: string, value: string): Buffer =>
  Buffer.concat([
    Buffer.from([0x40, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ])

/** `POST STATUS` of gRPC with an empty message. */
const call = (stream: number, ...authority: Buffer[]): Buffer =>
  Buffer.concat([
    frame(
      1,
      4,
      stream,
      Buffer.concat([
        Buffer.from([0x83, 0x86]),
        literal(4, STATUS),
        ...authority,
        named('content-type', 'application/grpc'),
        named('te', 'trailers'),
      ]),
    ),
    frame(0, 1, stream, Buffer.alloc(5)),
  ])

/** The types of the frames a server sent. */
function typesIn(heard: string): number[] {
  const bytes = Buffer.from(heard, 'latin1')
  const types: number[] = []
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) types.push(bytes[at + 3]!)
  return types
}

async function status(session: ClientHttp2Session, authority: string): Promise<string | undefined> {
  const stream = session.request({
    ':method': 'POST',
    ':path': STATUS,
    ':authority': authority,
    'content-type': 'application/grpc',
    te: 'trailers',
  })
  stream.end(Buffer.alloc(5))
  stream.resume()
  const trailers = once(stream, 'trailers') as Promise<[Record<string, string>]>
  const [[found]] = await Promise.all([trailers, once(stream, 'end')])
  return found['grpc-status']
}

for (const scheme of ['http', 'https', 'HTTP', ''])
  t.test(`an authority with the scheme "${scheme}", by the code of HPACK`, async t => {
    await using server = await running()
    const authority = scheme === '' ? 'host:1' : `${scheme}://host:1`
    const session = connectHttp2(`http://127.0.0.1:${server.port}`)
    t.teardown(() => session.destroy())
    if (scheme === 'HTTP') {
      await t.rejects(status(session, authority), 'what no client sends stays refused')
      return
    }
    for (let i = 0; i < 3; i++)
      t.equal(await status(session, authority), '0', 'also when it is only pointed to')
  })

t.test('an authority in plain letters, from a client that waits for the settings', async t => {
  await using server = await running()
  const wire = await dial(server.port)
  wire.socket.write(Buffer.concat([PREFACE, SETTINGS]))
  await until(() => typesIn(wire.heard())[0] === 4, 'settings')
  wire.socket.write(Buffer.concat([SETTINGS_ACK, call(1, literal(1, 'http://some.host:2379'))]))
  await until(() => wire.heard().includes('grpc-status') || typesIn(wire.heard()).includes(0), 'the answer')
  t.notOk(typesIn(wire.heard()).includes(3), 'no stream was reset')
  t.notOk(typesIn(wire.heard()).includes(7), 'no GOAWAY')
  wire.socket.destroy()
})

t.test('byte by byte, the request before the acknowledgement', async t => {
  await using server = await running()
  const wire = await dial(server.port)
  const late = Buffer.concat([
    PREFACE,
    SETTINGS,
    call(1, literal(1, 'https://some.host')),
    SETTINGS_ACK,
    PING,
  ])
  for (const byte of late) {
    wire.socket.write(Buffer.from([byte]))
    await new Promise(resolve => setImmediate(resolve))
  }
  await until(() => typesIn(wire.heard()).includes(6), 'the answer to the ping')
  await until(() => typesIn(wire.heard()).includes(0), 'the answer')
  t.notOk(typesIn(wire.heard()).some(type => type === 3 || type === 7))
  wire.socket.destroy()
})

t.test('a connection without requests is a connection', async t => {
  await using server = await running()
  const wire = await dial(server.port)
  wire.socket.write(Buffer.concat([PREFACE, SETTINGS]))
  await until(() => typesIn(wire.heard()).length === 1, 'settings')
  wire.socket.write(SETTINGS_ACK)
  await until(() => typesIn(wire.heard()).length >= 3, 'settings of the session, and its acknowledgement')
  wire.socket.write(PING)
  await until(() => typesIn(wire.heard()).includes(6), 'the answer to the ping')
  wire.socket.destroy()
  t.equal((await fetch(`${server.url}/version`)).status, 200)
})

t.test('what is no HTTP/2 is told so', async t => {
  await using server = await running()
  for (const bytes of [
    Buffer.from('PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n'),
    Buffer.concat([PREFACE, PING]),
    Buffer.concat([PREFACE, Buffer.from([255, 255, 255, 4, 0, 0, 0, 0, 0])]),
  ]) {
    const wire = await dial(server.port)
    wire.socket.write(bytes)
    await until(() => wire.closed() || typesIn(wire.heard()).includes(7), 'the end, or GOAWAY')
    wire.socket.destroy()
  }
  t.equal((await fetch(`${server.url}/version`)).status, 200)
})

t.test('only an authority that begins with a scheme is touched', async t => {
  const cases: [string, string][] = [
    ['http://a', 'httpx--a'],
    ['https://a', 'httpsx--a'],
    ['ahttp://a', 'ahttp://a'],
    ['http:/', 'http:/'],
    ['', ''],
  ]
  for (const [before, after] of cases) {
    const bytes = call(1, literal(1, before))
    patchAuthority(bytes.subarray(0, bytes.length - 14))
    t.strictSame(bytes, call(1, literal(1, after)), before)
  }
  const elsewhere = call(1, named('origin', 'http://a'))
  const copy = Buffer.from(elsewhere)
  patchAuthority(copy.subarray(0, copy.length - 14))
  t.strictSame(copy, elsewhere, 'other fields are')
})

t.test('frames that are cut short, padded or nonsense are left alone or mended, and never throw', async t => {
  const whole = call(1, literal(1, 'http://a')).subarray(0, -14)
  for (let length = 9; length < whole.length; length++) {
    for (const flags of [4, 12, 36, 44]) {
      const cut = Buffer.from(whole.subarray(0, length))
      cut[4] = flags
      t.doesNotThrow(() => patchAuthority(cut))
    }
  }
  const block = whole.subarray(9)
  const padded = frame(1, 44, 1, Buffer.concat([Buffer.from([3, 0, 0, 0, 0, 0]), block, Buffer.alloc(3)]))
  patchAuthority(padded)
  t.ok(padded.includes('httpx--a'))
})
