import { request as httpRequest } from 'node:http'
import { connect as connectHttp2, constants } from 'node:http2'
import { createServer } from 'node:net'
import t from 'tap'
import { SILENT, startServer, StartError } from '@kvorum/server'
import { ClientPort, protocolOf } from '#src/edge/port.js'
import { configOf, dial, running, until } from './harness.js'
import { FakeNode } from './fakeNode.js'

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

t.test('the first bytes tell', async t => {
  const cases: [string, ReturnType<typeof protocolOf>][] = [
    ['', null],
    ['P', null],
    ['PR', null],
    ['PRI', 'grpc'],
    [PREFACE, 'grpc'],
    ['PROPFIND / HTTP/1.1', 'http'],
    ['POST', 'http'],
    ['G', 'http'],
    ['\x16\x03', 'http'],
  ]
  for (const [bytes, protocol] of cases)
    t.equal(protocolOf(Buffer.from(bytes)), protocol, JSON.stringify(bytes))
})

t.test('HTTP/1.1 byte by byte, and twice on one connection', async t => {
  await using server = await running()
  const wire = await dial(server.port)
  wire.socket.setNoDelay(true)
  for (const byte of 'GET /version HTTP/1.1\r\nHost: x\r\n\r\n') {
    wire.socket.write(byte)
    await new Promise(resolve => setImmediate(resolve))
  }
  await until(() => wire.heard().includes('"kvorum"'), 'the first answer')
  wire.socket.write('GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n')
  await until(() => wire.heard().includes('404 page not found'), 'the second answer')
  t.match(wire.heard(), /^HTTP\/1\.1 200 OK/)
  wire.socket.destroy()
})

t.test('HTTP/2 byte by byte gets settings; garbage after the preface ends the connection only', async t => {
  await using server = await running()
  const wire = await dial(server.port)
  for (const byte of PREFACE) {
    wire.socket.write(byte)
    await new Promise(resolve => setImmediate(resolve))
  }
  // An empty SETTINGS frame, then one on a stream, where it cannot be.
  wire.socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]))
  await until(() => wire.heard().length >= 9, 'settings')
  t.equal(wire.heard().charCodeAt(3), 4, 'the first frame is SETTINGS')
  wire.socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 5]))
  await until(wire.closed, 'the end of the connection')
  t.equal((await fetch(`${server.url}/version`)).status, 200)
})

t.test('garbage gets 400 and the end; a client that leaves or resets harms nobody', async t => {
  await using server = await running()
  const garbage = await dial(server.port)
  garbage.socket.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]))
  await until(garbage.closed, 'the end of garbage')
  t.match(garbage.heard(), /^HTTP\/1\.1 400/)
  const silent = await dial(server.port)
  silent.socket.resetAndDestroy()
  const partial = await dial(server.port)
  partial.socket.write('PR')
  partial.socket.end()
  await until(partial.closed, 'the end of half a preface')
  const cut = await dial(server.port)
  cut.socket.write(PREFACE)
  cut.socket.resetAndDestroy()
  t.equal((await fetch(`${server.url}/version`)).status, 200)
})

t.test('a client that says nothing, or never ends its headers, is closed', async t => {
  await using server = await running([], { port: { firstByteMs: 50 } })
  const silent = await dial(server.port)
  await until(silent.closed, 'the end of silence')
  t.equal(silent.heard(), '')
})

t.test('half-open: the request is answered after the client has closed its side', async t => {
  await using server = await running()
  const wire = await dial(server.port)
  const ended = await dial(server.port)
  ended.socket.end(PREFACE)
  await until(ended.closed, 'the end of an HTTP/2 connection whose client has ended')
  wire.socket.end('POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n{"key":"YQ=="}')
  await until(() => wire.heard().includes('"header"'), 'the answer')
  t.match(wire.heard(), /^HTTP\/1\.1 200 OK/)
})

t.test('at most so many connections', async t => {
  await using server = await running([], { port: { connectionsMax: 1 } })
  const first = await dial(server.port)
  const request = 'GET /version HTTP/1.1\r\nHost: x\r\n\r\n'
  first.socket.write(request)
  await until(() => first.heard().includes('"kvorum"'), 'the answer to the first')
  const second = await dial(server.port)
  await until(second.closed, 'the refusal of the second')
  first.socket.write(request)
  await until(() => first.heard().split('"kvorum"').length === 3, 'the second answer to the first')
  first.socket.destroy()
  t.equal(second.heard(), '')
})

t.test('where all places are taken, who says nothing gives way to who comes', async t => {
  await using server = await running([], { port: { connectionsMax: 2 } })
  const silent = [await dial(server.port), await dial(server.port)] as const
  const third = await dial(server.port)
  third.socket.write('GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  await until(() => third.heard().includes('"kvorum"'), 'the answer to the third')
  await until(silent[0].closed, 'the end of the first')
  t.equal(silent[1].closed(), false, 'one is enough')
  for (const wire of [...silent, third]) wire.socket.destroy()
})

t.test('both protocols at once on one port', async t => {
  await using server = await running()
  const session = connectHttp2(server.url)
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: '/no.Such/Method',
    'content-type': 'application/grpc',
    te: 'trailers',
  })
  const headers = await new Promise<Record<string, unknown>>(resolve => stream.once('response', resolve))
  t.equal(headers['grpc-status'], '12')
  const status = await new Promise<number>((resolve, reject) => {
    httpRequest(`${server.url}/version`, answer => {
      answer.resume()
      resolve(answer.statusCode ?? 0)
    })
      .on('error', reject)
      .end()
  })
  t.equal(status, 200)
  session.destroy()
})

t.test('stop: no new connections, open ones end, and stopping twice is one stop', async t => {
  await using server = await running()
  const idle = await dial(server.port)
  idle.socket.write('GET /version HTTP/1.1\r\nHost: x\r\n\r\n')
  await until(() => idle.heard().includes('"kvorum"'), 'an answer')
  const silent = await dial(server.port)
  const stopping = server.server.stop()
  t.equal(server.server.stop(), stopping)
  await stopping
  t.ok(server.node.stopped)
  await until(() => idle.closed() && silent.closed(), 'the end of both connections')
  await t.rejects(fetch(`${server.url}/version`))
})

t.test('a port in use, or an address of another machine, is one sentence', async t => {
  const holder = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => holder.once('listening', resolve))
  const { port } = holder.address() as { port: number }
  const node = new FakeNode()
  const start = (url: string) =>
    startServer(configOf(`--listen-client-urls=${url}`, `--data-dir=${t.testdir()}/data`), {
      createNode: () => Promise.resolve(node),
      logger: SILENT,
      fatal: () => {},
      graceMs: 10,
    })
  const sentence = (message: RegExp) => ({ name: StartError.name, message })
  await t.rejects(
    start(`http://127.0.0.1:${port}`),
    sentence(/^The client address 127\.0\.0\.1:\d+ is already in use\.$/),
  )
  t.ok(node.stopped, 'the node was stopped again')
  await t.rejects(start('http://192.0.2.1:1'), sentence(/is not an address of this machine\.$/))
  holder.close()
})

t.test('a port that nobody routes to yet can be destroyed', async t => {
  const port = new ClientPort({ grpc: () => {}, http: () => {} })
  const { port: number } = await port.listen({ host: '127.0.0.1', port: 0, secure: false })
  const wire = await dial(number)
  await until(() => port.connections === 1, 'the connection')
  port.destroy()
  await until(wire.closed, 'its end')
  t.equal(port.connections, 0)
})

t.test('no single host takes all places', async t => {
  await using server = await running(['--max-connections-per-host=2'])
  const wires = [await dial(server.port), await dial(server.port)] as const
  const third = await dial(server.port)
  await until(third.closed, 'the refusal of the third')
  wires[0].socket.destroy()
  for (let answered = false; !answered;) {
    const next = await dial(server.port)
    next.socket.write('GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    await until(next.closed, 'an answer to another one, or its refusal')
    answered = next.heard().includes('"kvorum"')
    next.socket.destroy()
  }
  t.equal(wires[1].closed(), false)
  wires[1].socket.destroy()
})

t.test('other doors: HTTP alone, metrics and health alone', async t => {
  await using server = await running([
    '--listen-client-http-urls=http://127.0.0.1:0',
    '--listen-metrics-urls=http://127.0.0.1:0',
  ])
  const [, http, metrics] = server.server.addresses.map(({ port }) => `http://127.0.0.1:${port}`)
  const status = async (url: string): Promise<number> => (await fetch(url)).status
  t.equal(await status(`${http}/version`), 200)
  for (const path of ['/metrics', '/health', '/livez', '/readyz'])
    t.equal(await status(`${metrics}${path}`), 200, path)
  t.equal(await status(`${metrics}/version`), 404)
  t.equal((await fetch(`${metrics}/v3/kv/range`, { method: 'POST', body: '{}' })).status, 404)
  for (const { port } of server.server.addresses.slice(1)) {
    const wire = await dial(port)
    wire.socket.write(PREFACE)
    await until(wire.closed, 'no gRPC there')
  }
})

t.test('hosts that are not on the list', async t => {
  await using server = await running(['--host-whitelist=db.example.org,127.0.0.1'])
  const ask = (host: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const options = { port: server.port, path: '/version', headers: { host }, agent: false }
      httpRequest(options, response => resolve(response.resume().statusCode))
        .on('error', reject)
        .end()
    })
  t.equal(await ask('db.example.org'), 200)
  t.equal(await ask('db.example.org:2379'), 200)
  t.equal(await ask(`127.0.0.1:${server.port}`), 200)
  t.equal(await ask('evil.example.org'), 421)
})
