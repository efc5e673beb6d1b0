import { request as httpRequest } from 'node:http'
import { WebSocket } from 'ws'
import t from 'tap'
import { dial, running, until, type Running } from './harness.js'

const b64 = (text: string): string => Buffer.from(text).toString('base64')

interface Talk {
  readonly socket: WebSocket
  readonly got: unknown[]
  readonly state: () => string
}

function talk(server: Running, path: string, protocols: string[] = [], headers = {}): Talk {
  const socket = new WebSocket(server.url.replace('http', 'ws') + path, protocols, { headers })
  const got: unknown[] = []
  let state = 'connecting'
  socket.on('open', () => (state = 'open'))
  socket.on('message', data => got.push(JSON.parse((data as Buffer).toString())))
  socket.on('unexpected-response', (_request, response) => (state = `refused ${response.statusCode ?? 0}`))
  socket.on('error', () => {})
  socket.on('close', () => (state = state === 'open' ? 'closed' : state))
  return { socket, got, state: () => state }
}

const opened = (talk: Talk): Promise<void> => until(() => talk.state() === 'open', 'the WebSocket')

t.test('watch: one message per frame, in both directions', async t => {
  await using server = await running()
  const { socket, got, ...watch } = talk(server, '/v3/watch', ['Bearer', 'token.1'])
  await opened({ socket, got, ...watch })
  t.equal(socket.protocol, 'Bearer')
  socket.send(JSON.stringify({ create_request: { key: b64('a') } }))
  socket.send(Buffer.from(JSON.stringify({ createRequest: { key: b64('b'), watchId: '7' } })))
  await until(() => got.length === 2, 'both watches')
  t.match(got, [{ result: { created: true } }, { result: { created: true, watch_id: '7' } }])
  const put = JSON.stringify({ key: b64('b'), value: b64('1') })
  await fetch(`${server.url}/v3/kv/put`, { method: 'POST', body: put })
  await until(() => got.length === 3, 'the event')
  t.match(got[2], { result: { watch_id: '7', events: [{ kv: { key: b64('b') } }] } })
  socket.close()
  await until(() => server.node.streams.size === 0, 'the watch to end with its WebSocket')
})

t.test('keep-alive, and the old prefix', async t => {
  await using server = await running()
  const { socket, got, ...keepAlive } = talk(server, '/v3beta/lease/keepalive?x=1')
  await opened({ socket, got, ...keepAlive })
  t.equal(socket.protocol, '')
  for (const ID of ['1', 2]) socket.send(JSON.stringify({ ID }))
  await until(() => got.length === 2, 'the answers')
  t.match(got, [{ result: { ID: '1' } }, { result: { ID: '2' } }])
  socket.terminate()
})

t.test('what is no message ends the stream with both shapes of the error', async t => {
  await using server = await running()
  for (const text of ['{', '[]', '{"create_request":{"key":5}}', '\u{1F600}']) {
    const one = talk(server, '/v3/watch')
    await opened(one)
    one.socket.send(text)
    await until(() => one.state() === 'closed', 'the end')
    t.match(one.got, [{ error: { code: 3, grpc_code: 3, http_code: 400, message: /malformed/ } }])
  }
  const large = talk(server, '/v3/watch')
  await opened(large)
  large.socket.send(Buffer.alloc(4 * 1024 * 1024, 0x20))
  await until(() => large.state() === 'closed', 'the end of an oversize message')
  t.strictSame(large.got, [])
})

t.test('paths without a stream, and origins that may not', async t => {
  await using server = await running(['--cors=https://one.example'])
  const cases: [string, object, string][] = [
    ['/v3/kv/range', {}, 'refused 404'],
    ['/nothing', {}, 'refused 404'],
    ['/v3/watch', { origin: 'https://two.example' }, 'refused 403'],
    ['/v3/watch', { origin: 'https://one.example' }, 'open'],
    ['/v3/watch', {}, 'open'],
  ]
  for (const [path, headers, expected] of cases) {
    const one = talk(server, path, [], headers)
    await until(() => one.state() === expected, `${path}: ${expected}`)
    t.equal(one.state(), expected)
    one.socket.terminate()
  }
})

t.test('a wish for another protocol is not heard, and the request answered', async t => {
  await using server = await running()
  const headers = {
    connection: 'Upgrade, HTTP2-Settings',
    upgrade: 'h2c',
    'http2-settings': 'AAMAAABkAAQCAAAAAAIAAAAA',
  }
  const body = JSON.stringify({ key: b64('k'), value: b64('v') })
  const status = await new Promise((resolve, reject) => {
    const options = { method: 'POST', headers: { ...headers, 'content-length': body.length } }
    const request = httpRequest(`${server.url}/v3/kv/put`, options, answer => {
      answer.resume()
      resolve(answer.statusCode)
    })
    request.on('error', reject).end(body)
  })
  t.equal(status, 200)
  t.ok(server.node.has('k'))
})

t.test('a handshake that is none is refused; a server that stops ends all', async t => {
  await using server = await running()
  const { socket, heard, closed } = await dial(server.port)
  socket.write('GET /v3/watch HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')
  await until(closed, 'the end')
  t.match(heard(), /^HTTP\/1\.1 400 /)
  const one = talk(server, '/v3/watch')
  await opened(one)
  one.socket.send(JSON.stringify({ create_request: { key: b64('a') } }))
  await until(() => one.got.length === 1, 'the watch')
  await server.server.stop()
  await until(() => one.state() === 'closed', 'the end')
  t.match(one.got[1], { error: { message: 'etcdserver: server stopped' } })
})
