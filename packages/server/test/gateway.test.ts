import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import { LIMITS } from '@kvorum/model'
import t from 'tap'
import { dial, running, until, type Running } from './harness.js'

const b64 = (text: string): string => Buffer.from(text).toString('base64')

interface Answer {
  readonly status: number
  readonly body: unknown
  readonly headers: Headers
}

async function post(server: Running, path: string, body?: unknown, headers = {}): Promise<Answer> {
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  const response = await fetch(server.url + path, {
    method: 'POST',
    headers,
    ...(text !== undefined && { body: text }),
  })
  const answer = await response.text()
  return {
    status: response.status,
    body: answer === '' ? null : JSON.parse(answer),
    headers: response.headers,
  }
}

async function get(server: Running, path: string): Promise<{ status: number; text: string; type: string }> {
  const response = await fetch(server.url + path)
  return {
    status: response.status,
    text: await response.text(),
    type: response.headers.get('content-type') ?? '',
  }
}

/** A streaming request: what is sent stays open until `request.end()`. */
interface Streaming {
  readonly request: ClientRequest
  readonly status: () => number | null
  readonly lines: () => unknown[]
  readonly ended: () => boolean
}

function stream(server: Running, path: string, ...messages: string[]): Streaming {
  const request = httpRequest(server.url + path, { method: 'POST' })
  let text = ''
  let response: IncomingMessage | null = null
  let ended = false
  request.on('response', answer => {
    response = answer
    answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    answer.on('end', () => (ended = true)).on('error', () => {})
  })
  request.on('error', () => {})
  for (const message of messages) request.write(message)
  request.flushHeaders()
  return {
    request,
    status: () => response?.statusCode ?? null,
    lines: () =>
      text
        .split('\n')
        .slice(0, -1)
        .map(line => JSON.parse(line) as unknown),
    ended: () => ended,
  }
}

const HEADER = { cluster_id: '51966', member_id: '18364758544493064720', revision: '2', raft_term: '7' }

t.test('keys and values in the exact shapes', async t => {
  await using server = await running()
  const put = { key: b64('a'), value: b64('1'), prev_kv: true }
  t.strictSame((await post(server, '/v3/kv/put', put)).body, { header: HEADER })
  const kv = { key: b64('a'), create_revision: '2', mod_revision: '2', version: '1', value: b64('1') }
  const range = await post(server, '/v3/kv/range', { key: b64('a'), limit: '1', sort_order: 'NONE' })
  t.strictSame(range.body, { header: HEADER, kvs: [kv], count: '1' })
  t.equal(range.headers.get('content-type'), 'application/json; charset=utf-8')
  t.strictSame(
    (await post(server, '/v3/kv/range', { key: b64('x') })).body,
    { header: HEADER },
    'no defaults',
  )
  t.strictSame((await post(server, '/v3beta/kv/range', { key: b64('a') })).body, range.body)
  const txn = await post(server, '/v3/kv/txn', {
    compare: [{ key: b64('a'), target: 'VERSION', result: 'EQUAL', version: '2' }],
    failure: [{ requestDeleteRange: { key: b64('a'), prevKv: true } }],
  })
  const header = { ...HEADER, revision: '3' }
  t.strictSame(txn.body, {
    header,
    responses: [{ response_delete_range: { header: { revision: '3' }, deleted: '1', prev_kvs: [kv] } }],
  })
})

t.test('content types do not matter, nor does a missing body', async t => {
  await using server = await running()
  const body = JSON.stringify({ key: b64('a') })
  for (const type of [
    'application/x-www-form-urlencoded',
    'application/json',
    'text/plain',
    ';;;',
    'a/b; charset=x',
  ])
    t.equal((await post(server, '/v3/kv/range', body, { 'content-type': type })).status, 200, type)
  for (const none of [undefined, '', '  ', '{}'])
    t.match((await post(server, '/v3/maintenance/status', none)).body, { version: '3.5.21', dbSize: '5000' })
  t.strictSame((await post(server, '/v3/kv/range')).body, {
    error: 'etcdserver: key is not provided',
    message: 'etcdserver: key is not provided',
    code: 3,
  })
})

t.test('refusals: both shapes, the right status', async t => {
  await using server = await running()
  const cases: [string, unknown, number, number, RegExp][] = [
    ['/v3/kv/range', '{"key":', 400, 3, /^kvorum: malformed request/],
    ['/v3/kv/range', '[]', 400, 3, /malformed/],
    ['/v3/kv/range', { key: '!' }, 400, 3, /malformed/],
    ['/v3/kv/range', { key: b64('a'), limit: 'x' }, 400, 3, /malformed/],
    ['/v3/kv/range', { key: b64('a'), revision: 99 }, 400, 11, /future revision$/],
    ['/v3/lease/revoke', { ID: 1 }, 404, 5, /^etcdserver: requested lease not found$/],
    ['/v3/kv/lease/revoke', { ID: 1 }, 404, 5, /not found$/],
    ['/v3/auth/authenticate', {}, 400, 9, /^etcdserver: authentication is not enabled$/],
    ['/v3/nothing', {}, 404, 5, /^Not Found$/],
  ]
  for (const [path, body, status, code, text] of cases) {
    const answer = await post(server, path, body)
    t.match(answer, { status, body: { code, error: text, message: text } }, `${path} ${JSON.stringify(body)}`)
  }
  server.node.refusal = 'noLeader'
  t.match(await post(server, '/v3/kv/range', { key: b64('a') }), { status: 503, body: { code: 14 } })
  server.node.leader = 0n
  server.node.refusal = null
  const requiring = { 'grpc-metadata-hasleader': 'true' }
  t.match(await post(server, '/v3/kv/range', { key: b64('a') }, requiring), {
    status: 503,
    body: { error: 'etcdserver: no leader' },
  })
})

t.test('too large a body or message', async t => {
  await using server = await running()
  const sized = (bytes: number) =>
    post(server, '/v3/kv/put', { key: b64('a'), value: Buffer.alloc(bytes).toString('base64') })
  t.equal((await sized(LIMITS.requestBytesMax - 100)).status, 200, 'base64 does not count')
  t.match(await sized(LIMITS.requestBytesMax), {
    status: 400,
    body: { error: 'etcdserver: request is too large' },
  })
  const huge = await dial(server.port)
  const head = 'POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\n'
  huge.socket.write(head)
  const block = Buffer.alloc(1024 * 1024, 0x20)
  for (let i = 0; i < 4; i++) huge.socket.write(block)
  await until(() => huge.heard().includes('request is too large'), 'the refusal before the end of the body')
  huge.socket.destroy()
})

t.test('methods, paths, CORS', async t => {
  await using server = await running()
  const method = await fetch(`${server.url}/v3/kv/range`)
  t.equal(method.status, 405)
  t.equal(method.headers.get('allow'), 'POST')
  t.strictSame(await method.json(), { error: 'Method Not Allowed', message: 'Method Not Allowed', code: 12 })
  t.equal((await fetch(`${server.url}/version`, { method: 'DELETE' })).status, 405)
  t.match(await get(server, '/none'), { status: 404, text: '404 page not found\n' })
  t.equal((await fetch(`${server.url}/v3/kv/%ff`, { method: 'POST' })).status, 400)
  for (const path of ['/v3/kv/range', '/version', '/none']) {
    const options = await fetch(server.url + path, { method: 'OPTIONS' })
    t.equal(options.status, 200, path)
    t.equal(options.headers.get('access-control-allow-origin'), '*')
    t.match(options.headers.get('access-control-allow-methods'), /POST/)
  }
  await using picky = await running(['--cors=https://a.example'])
  const origin = async (from: string) =>
    (await fetch(`${picky.url}/version`, { headers: { origin: from } })).headers.get(
      'access-control-allow-origin',
    )
  t.equal(await origin('https://a.example'), 'https://a.example')
  t.equal(await origin('https://b.example'), null)
})

t.test('watch: one object and the end of the request keep it open; one object per chunk', async t => {
  await using server = await running()
  const wire = await dial(server.port)
  const body = JSON.stringify({ create_request: { key: b64('a'), range_end: b64('b') } })
  wire.socket.write(`POST /v3/watch HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
  await until(() => wire.heard().includes('created'), 'created')
  await post(server, '/v3/kv/put', { key: b64('a'), value: b64('1') })
  await post(server, '/v3/kv/deleterange', { key: b64('a') })
  await until(() => wire.heard().includes('"DELETE"'), 'both events')
  const [head, rest] = wire.heard().split('\r\n\r\n', 2) as [string, string]
  t.match(head, /^HTTP\/1\.1 200 OK/)
  t.match(head, /transfer-encoding: chunked/i)
  const parts = rest.split('\r\n')
  const header = { cluster_id: '51966', member_id: '18364758544493064720', raft_term: '7' }
  const results = [0, 2, 4].map(at => {
    t.equal(Number.parseInt(parts[at]!, 16), parts[at + 1]!.length, 'the chunk is the object')
    return (JSON.parse(parts[at + 1]!) as { result: unknown }).result
  })
  t.strictSame(results, [
    { header: { ...header, revision: '1' }, created: true },
    {
      header: { ...header, revision: '2' },
      events: [
        { kv: { key: b64('a'), create_revision: '2', mod_revision: '2', version: '1', value: b64('1') } },
      ],
    },
    {
      header: { ...header, revision: '3' },
      events: [{ type: 'DELETE', kv: { key: b64('a'), mod_revision: '3' } }],
    },
  ])
  wire.socket.destroy()
  await until(() => server.node.streams.size === 0, 'the hub to hear that the client has gone')
})

t.test('watch: requests in a sequence, cancelled by the client', async t => {
  await using server = await running()
  const create = JSON.stringify({ create_request: { key: b64('a') } })
  const watch = stream(server, '/v3/watch', create.slice(0, 9), `${create.slice(9)} ${create}\n`)
  await until(() => watch.lines().length === 2, 'two watches')
  t.match(watch.lines()[1], { result: { watch_id: '1', created: true } })
  watch.request.write('{"cancel_request":{"watch_id":0}}{"cancelRequest":{"watchId":"1"}}')
  await until(() => watch.lines().length === 4, 'both cancelled')
  t.match(watch.lines()[2], { result: { canceled: true } })
  t.equal(watch.ended(), false)
  watch.request.end()
  await until(watch.ended, 'the end: nothing is watched and the client has finished')
})

t.test('streams: what is not JSON, or not the message, is refused in both shapes', async t => {
  await using server = await running()
  const error = (message: RegExp) => ({
    error: { grpc_code: 3, http_code: 400, http_status: 'Bad Request', code: 3, message },
  })
  for (const bad of ['nonsense', '{"create_request":5}', '{"create_request":{"key":"!"}}']) {
    const watch = stream(server, '/v3/watch', bad)
    await until(watch.ended, 'the refusal')
    t.equal(watch.status(), 400)
    t.match(watch.lines(), [error(/^kvorum: malformed request/)], bad)
    watch.request.destroy()
  }
  const cut = stream(server, '/v3/watch', '{"create_request":{')
  cut.request.end()
  await until(cut.ended, 'the refusal of half an object')
  t.match(cut.lines(), [error(/cut off/)])
  const late = stream(server, '/v3/watch', JSON.stringify({ create_request: { key: b64('a') } }))
  await until(() => late.lines().length === 1, 'created')
  late.request.write(']')
  await until(late.ended, 'the refusal after an answer')
  t.equal(late.status(), 200, 'the status had been sent')
  late.request.destroy()
  t.equal((await get(server, '/version')).status, 200)
})

t.test('keep-alive: one result per object, then the end', async t => {
  await using server = await running()
  await post(server, '/v3/lease/grant', { ID: '9007199254740993', TTL: 60 })
  const answer = await fetch(`${server.url}/v3/lease/keepalive`, {
    method: 'POST',
    body: '{"ID":9007199254740993}',
  })
  t.equal(answer.status, 200)
  const header = { ...HEADER, revision: '1' }
  t.equal(
    await answer.text(),
    `${JSON.stringify({ result: { header, ID: '9007199254740993', TTL: '60' } })}\n`,
  )
  const gone = stream(server, '/v3/lease/keepalive', '{"ID":5}{"ID":"6"}')
  gone.request.end()
  await until(gone.ended, 'the end')
  t.strictSame(
    gone.lines(),
    [{ result: { header, ID: '5' } }, { result: { header, ID: '6' } }],
    'no TTL: it is gone',
  )
  server.node.refusal = 'noLeader'
  const refused = stream(server, '/v3/lease/keepalive', '{"ID":5}')
  await until(refused.ended, 'the refusal')
  t.equal(refused.status(), 503)
  t.match(refused.lines(), [{ error: { grpc_code: 14, message: 'etcdserver: no leader' } }])
  refused.request.destroy()
  const snapshot = await post(server, '/v3/maintenance/snapshot', {})
  t.match(snapshot, { status: 503, body: { error: { grpc_code: 14 } } })
})

t.test('a slow body holds nobody; a slow header is cut', async t => {
  await using server = await running()
  const slow = await dial(server.port)
  slow.socket.write('POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{')
  t.equal((await get(server, '/version')).status, 200)
  slow.socket.destroy()
  t.equal(server.node.seen.length, 0)
})

t.test('version and health', async t => {
  await using server = await running()
  t.match(JSON.parse((await get(server, '/version')).text), {
    etcdserver: '3.5.21',
    etcdcluster: '3.5.0',
    kvorum: /^\d+\.\d+\.\d+$/,
  })
  t.match(await get(server, '/health'), { status: 200, text: '{"health":"true","reason":""}' })
  t.match(await get(server, '/livez'), { status: 200, text: 'ok\n' })
  t.match(await get(server, '/readyz/linearizable_read'), { status: 200, text: 'ok\n' })
  t.match(await get(server, '/livez?verbose'), { status: 200, text: '[+]serializable_read ok\nok\n' })
  t.equal((await get(server, '/livez/linearizable_read')).status, 404)
  server.node.leader = 0n
  t.match(await get(server, '/health'), { status: 503, text: '{"health":"false","reason":"RAFT NO LEADER"}' })
  t.equal((await get(server, '/health?serializable=true')).status, 200)
  t.equal((await get(server, '/livez')).status, 200, 'alive without a leader')
  const unready = await get(server, '/readyz')
  t.equal(unready.status, 503)
  t.match(unready.text, /\[-\]caught_up failed: no leader is known\n/)
  t.match(await get(server, '/readyz?exclude=caught_up&verbose'), {
    status: 200,
    text: /caught_up excluded: ok\n/,
  })
  server.node.leader = server.node.self
  server.node.refusal = 'timeout'
  t.match(await get(server, '/health'), { status: 503, text: /"RANGE ERROR:etcdserver: request timed out"/ })
  t.match(await get(server, '/livez'), { status: 503, text: /\[-\]serializable_read failed: / })
  server.node.refusal = null
  t.equal((await fetch(`${server.url}/readyz`, { method: 'HEAD' })).status, 200)
})

t.test('metrics', async t => {
  await using server = await running()
  server.node.counters = { turns: 5, turnCpuSecondsMax: 0.02, turnCpuSeconds: 1.5, leaderChanges: 3 }
  await post(server, '/v3/kv/range', { key: b64('a') })
  await post(server, '/v3/kv/range', {})
  const scrape = async () => (await get(server, '/metrics')).text
  const first = await scrape()
  const has = (text: string, line: string) => t.ok(text.split('\n').includes(line), line)
  for (const line of [
    'etcd_server_has_leader 1',
    'etcd_server_is_leader 1',
    'etcd_server_leader_changes_seen_total 3',
    'etcd_server_proposals_committed_total 42',
    'etcd_server_proposals_applied_total 41',
    'etcd_server_proposals_failed_total 0',
    'etcd_server_version{server_version="3.5.21"} 1',
    'kvorum_turns_total 5',
    'kvorum_turn_cpu_seconds_max 0.02',
    'kvorum_turn_cpu_seconds 1.5',
    'grpc_server_handled_total{grpc_service="etcdserverpb.KV",grpc_method="Range",grpc_type="unary",grpc_code="OK"} 1',
    'grpc_server_handled_total{grpc_service="etcdserverpb.KV",grpc_method="Range",grpc_type="unary",grpc_code="InvalidArgument"} 1',
  ])
    has(first, line)
  t.match(first, /^kvorum_event_loop_delay_seconds\{quantile="0\.99"\} [0-9.e-]+$/m)
  t.match(first, /^process_resident_memory_bytes [0-9]+$/m)
  server.node.counters = { turns: 6 }
  has(await scrape(), 'kvorum_turns_total 6')
  await using other = await running()
  t.notMatch((await get(other, '/metrics')).text, /kvorum_turns_total/, 'each server has its own registry')
})
