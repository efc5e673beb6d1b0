import { connect, constants } from 'node:http2'
import { gzipSync } from 'node:zlib'
import { Metadata } from '@grpc/grpc-js'
import { codec } from '@kvorum/protocol'
import t from 'tap'
import { bytes, fails, withServer } from './caller.js'
import { running, type Running } from './harness.js'
import { signIn, withUsers } from './users.js'

/** What others have got wrong, where no other test is closer to it; docs/testing.md lists all of them. */

t.setTimeout(120_000)

const as = (token: string): Metadata => {
  const metadata = new Metadata()
  metadata.set('token', token)
  return metadata
}

/** The status of one call of gRPC with any path, body and headers; null: the stream was reset. */
async function ask(
  server: Running,
  path: string,
  body: Buffer,
  headers: Record<string, string> = {},
): Promise<string | null> {
  const session = connect(server.url)
  session.on('error', () => {})
  try {
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    })
    stream.on('error', () => {})
    stream.end(body)
    stream.resume()
    return await new Promise(resolve => {
      const status = (sent: Record<string, unknown>): void => {
        if (sent['grpc-status'] !== undefined) resolve(String(sent['grpc-status'] as string))
        else if (sent[':status'] !== undefined && sent[':status'] !== 200) resolve('not 200')
      }
      stream.on('response', status).on('trailers', status)
      stream.on('close', () => resolve(null))
    })
  } finally {
    session.destroy()
  }
}

/** A message as gRPC frames it. */
function framed(message: Uint8Array, compressed = false): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt8(compressed ? 1 : 0, 0)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

const ONE_KEY = framed(codec('etcdserverpb.RangeRequest').encode({ key: bytes('r/1') }))

t.test('CVE-2026-33186: a path that is written otherwise is no way around', async t => {
  await using server = await running()
  t.equal(await ask(server, '/etcdserverpb.KV/Range', ONE_KEY), '0', 'authentication is off')
  await withUsers(server)
  const before = server.node.seen.length
  const paths = [
    '/etcdserverpb.KV/Range',
    'etcdserverpb.KV/Range',
    '//etcdserverpb.KV/Range',
    '/etcdserverpb.KV//Range',
    '/etcdserverpb.KV/Range/',
    '/etcdserverpb.kv/range',
    '/ETCDSERVERPB.KV/Range',
    '/etcdserverpb.KV/%52ange',
    '/%65tcdserverpb.KV/Range',
    '/./etcdserverpb.KV/Range',
    '/x/../etcdserverpb.KV/Range',
    '/etcdserverpb.KV/Range?x=1',
    '*',
  ]
  for (const path of paths) t.not(await ask(server, path, ONE_KEY), '0', path)
  t.notOk(
    server.node.seen.slice(before).some(({ request }) => request.kind === 'read'),
    'nothing was read',
  )
})

t.test('GHSA-xg4h-6gfc-h4m8, CVE-2019-12291: the whole of a range, however its end is written', t =>
  withServer(t, async (caller, server) => {
    await withUsers(server)
    const { tokens } = await signIn(caller, server)
    const [key, end] = [bytes('w/1'), (text: string) => ({ key: bytes('w/1'), range_end: bytes(text) })]
    const token = as(tokens.writer)
    await caller.call('etcdserverpb.KV/DeleteRange', { key }, token)
    await caller.call('etcdserverpb.KV/DeleteRange', end('w0'), token)
    const before = server.node.seen.length
    for (const range of [end('\0'), end('w0\0'), end('z'), { key: bytes('\0'), range_end: bytes('\0') }]) {
      const denied = (call: Promise<unknown>) => fails(t, call, 7, 'etcdserver: permission denied')
      await denied(caller.call('etcdserverpb.KV/Range', range, token))
      await denied(caller.call('etcdserverpb.KV/DeleteRange', range, token))
      const success = [{ request_delete_range: range }]
      await denied(caller.call('etcdserverpb.KV/Txn', { success }, token))
      await denied(caller.call('etcdserverpb.KV/Txn', { compare: [range] }, token))
    }
    t.notOk(
      server.node.seen.slice(before).some(({ request: { kind } }) => kind === 'write' || kind === 'read'),
      'nothing came as far as the node',
    )
  }),
)

t.test('CVE-2024-37168, zip bombs: a compressed message has the limit of what comes out of it', async t => {
  await using server = await running()
  const gzip = { 'grpc-encoding': 'gzip' }
  const path = '/etcdserverpb.KV/Put'
  const put = codec('etcdserverpb.PutRequest').encode({ key: bytes('a') })
  t.equal(await ask(server, path, framed(gzipSync(put), true), gzip), '0', 'one that is right')
  const before = process.memoryUsage().rss
  const bomb = gzipSync(Buffer.alloc(256 * 1024 * 1024))
  t.ok(bomb.length < 512 * 1024, 'small on the wire')
  t.not(await ask(server, path, framed(bomb, true), gzip), '0', 'a quarter of a gigabyte')
  // The bomb was made here, too.
  t.ok(process.memoryUsage().rss - before < 512 * 1024 * 1024, 'memory is bounded')
  const broken = [
    framed(Buffer.from('not gzip'), true),
    framed(gzipSync(put).subarray(0, 12), true),
    framed(Buffer.alloc(0), true),
    Buffer.of(1, 0xff, 0xff, 0xff, 0xff),
    Buffer.of(7, 0, 0, 0, 1, 0),
  ]
  for (const [at, body] of broken.entries()) t.not(await ask(server, path, body, gzip), '0', `broken ${at}`)
  t.not(await ask(server, path, framed(put, true), { 'grpc-encoding': 'zstd' }), '0', 'unknown encoding')
  t.equal(await ask(server, '/etcdserverpb.Maintenance/Status', framed(Buffer.alloc(0))), '0', 'alive')
})

t.test('CVE-2025-11392: a key is bytes and no path, however it looks', t =>
  withServer(t, async (caller, server) => {
    const keys = [
      '../../../etc/passwd',
      '/a/../../b',
      '..\\..\\c',
      '%2e%2e%2fd',
      '/v3/kv/range',
      'e\0/../f',
      '.',
    ]
    for (const key of keys) {
      const asked = Buffer.from(key)
      await caller.call('etcdserverpb.KV/Put', { key: asked, value: asked })
      const { kvs } = await caller.call('etcdserverpb.KV/Range', { key: asked })
      t.same(
        kvs.map(kv => Buffer.from(kv.key).toString()),
        [key],
        JSON.stringify(key),
      )
      const path = `${server.url}/v3/kv/range`
      const answer = await fetch(path, {
        method: 'POST',
        body: JSON.stringify({ key: asked.toString('base64') }),
      })
      t.match(
        await answer.json(),
        { kvs: [{ key: asked.toString('base64') }], count: '1' },
        `gateway: ${JSON.stringify(key)}`,
      )
    }
    const all = { key: Buffer.from([0]), range_end: Buffer.from([0]), count_only: true }
    t.equal((await caller.call('etcdserverpb.KV/Range', all)).count, keys.length, 'each is a key of its own')
  }),
)
