import t, { type Test } from 'tap'
import { holds } from '../process/until.js'
import { MODES, READER, startAccess, type Access } from './access.js'
import { Follower, missing, run } from './program.js'

t.setTimeout(900_000)
const skip = missing('curl', ['--version'])

const b64 = (text: string): string => Buffer.from(text).toString('base64')

const flagsOf = ({ ca, cert, key }: Access): string[] => [
  '--silent',
  '--show-error',
  ...(ca === null ? [] : ['--cacert', ca]),
  ...(cert === null ? [] : ['--cert', cert, '--key', key ?? '']),
]

for (const mode of MODES)
  t.test(`curl, ${mode}`, { skip }, async t => {
    const access = await startAccess(t, mode)
    const base = access.url(access.cluster.nodes[0]!)
    const token = access.user === null ? [] : await signIn(t, access, base)
    const curl = async (path: string, ...more: string[]): Promise<unknown> => {
      const { stdout, stderr, status } = await run('curl', [
        ...flagsOf(access),
        ...token,
        ...more,
        base + path,
      ])
      t.equal(status, 0, `${path}: ${stderr}`)
      return JSON.parse(stdout) as unknown
    }
    const post = (path: string, body: object): Promise<unknown> => curl(path, '-d', JSON.stringify(body))
    t.match(await curl('/version'), { etcdserver: /^3\.5\.\d+$/, etcdcluster: /^3\.5\.\d+$/ })
    t.match(await curl('/health'), { health: 'true' })
    t.match(await post('/v3/kv/put', { key: b64('a'), value: b64('1') }), { header: { revision: /^\d+$/ } })
    t.match(await post('/v3/kv/range', { key: b64('a') }), { kvs: [{ value: b64('1') }], count: '1' })
    t.match(await curl('/v3/kv/range', '--http2', '-d', JSON.stringify({ key: b64('a') })), { count: '1' })
    const txn = {
      compare: [{ key: b64('a'), target: 'VALUE', result: 'EQUAL', value: b64('1') }],
      success: [{ request_put: { key: b64('a'), value: b64('2') } }],
    }
    t.match(await post('/v3/kv/txn', txn), { succeeded: true })
    t.match(await post('/v3/lease/grant', { TTL: 60, ID: '77' }), { ID: '77', TTL: '60' })
    t.match(await post('/v3/lease/keepalive', { ID: 77 }), { result: { ID: '77', TTL: '60' } })
    t.match(await post('/v3/kv/lease/timetolive', { ID: '77' }), { grantedTTL: '60' })
    const held = (await post('/v3/lock/lock', { name: b64('mutex'), lease: '77' })) as { key: string }
    t.equal(held.key, b64('mutex/4d'))
    t.match(await post('/v3/lock/unlock', { key: held.key }), { header: {} })
    const won = { name: b64('office'), lease: '77', value: b64('me') }
    t.match(await post('/v3/election/campaign', won), { leader: { key: b64('office/4d'), lease: '77' } })
    t.match(await post('/v3/election/leader', { name: b64('office') }), { kv: { value: b64('me') } })
    t.match(await post('/v3/cluster/member/list', {}), { members: { length: 3 } })
    await holds('a leader', async () => 'leader' in ((await post('/v3/maintenance/status', {})) as object))
    t.match(await post('/v3/maintenance/status', {}), { version: /^3\.5/ })
    t.match(await post('/v3/kv/put', {}), { error: 'etcdserver: key is not provided', code: 3 })
    await streams(t, access, base, token)
    if (token.length > 0) await refusals(t, access, base)
  })

/** The header of a token. */
async function signIn(t: Test, access: Access, base: string): Promise<string[]> {
  const body = JSON.stringify(access.user)
  const { stdout } = await run('curl', [...flagsOf(access), '-d', body, `${base}/v3/auth/authenticate`])
  const { token } = JSON.parse(stdout) as { token?: string }
  t.ok(token, 'a token')
  return ['-H', `Authorization: ${token}`]
}

async function refusals(t: Test, access: Access, base: string): Promise<void> {
  const ask = async (path: string, body: object, ...more: string[]): Promise<unknown> => {
    const argv = [...flagsOf(access), ...more, '-d', JSON.stringify(body), base + path]
    return JSON.parse((await run('curl', argv)).stdout) as unknown
  }
  t.match(await ask('/v3/kv/range', { key: b64('a') }), { error: 'etcdserver: user name is empty', code: 3 })
  t.match(await ask('/v3/kv/range', { key: b64('a') }, '-H', 'Authorization: none'), {
    error: 'etcdserver: invalid auth token',
    code: 16,
  })
  t.match(await ask('/v3/auth/authenticate', { name: 'root', password: 'wrong' }), {
    error: /invalid user ID or password/,
  })
  const token = await signIn(t, { ...access, user: READER }, base)
  t.match(await ask('/v3/kv/range', { key: b64('open/a') }, ...token), { header: {} })
  t.match(await ask('/v3/kv/range', { key: b64('a') }, ...token), {
    error: 'etcdserver: permission denied',
    code: 7,
  })
}

async function streams(t: Test, access: Access, base: string, token: readonly string[]): Promise<void> {
  const follow = (path: string, body: object): Follower =>
    new Follower(t, 'curl', [
      ...flagsOf(access),
      ...token,
      '--no-buffer',
      '-d',
      JSON.stringify(body),
      base + path,
    ])
  const watch = follow('/v3/watch', { create_request: { key: b64('w') } })
  await watch.printed(/"created":true/)
  const observe = follow('/v3/election/observe', { name: b64('office') })
  await observe.printed(new RegExp(b64('me')))
  await holds('the event', async () => {
    const body = JSON.stringify({ key: b64('w'), value: b64('new') })
    await run('curl', [...flagsOf(access), ...token, '-d', body, `${base}/v3/kv/put`])
    return watch.text.includes(b64('new'))
  })
  t.notMatch(watch.text, /"created":false/)
}
