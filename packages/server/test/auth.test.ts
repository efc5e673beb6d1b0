import { createHmac, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Metadata } from '@grpc/grpc-js'
import t from 'tap'
import { createClusterNode, createLogger, SILENT, startServer } from '@kvorum/server'
import { LIMITS } from '@kvorum/model'
import { AuthService } from '#src/auth/authService.js'
import { LoginBackoff } from '#src/auth/loginBackoff.js'
import { closeEdge, createEdge, edgeLimits } from '#src/edge/edge.js'
import { authenticate } from '#src/rpc/auth.js'
import { SimpleTokens } from '#src/auth/simpleTokens.js'
import { Passwords } from '#src/auth/passwords.js'
import { tokenOf } from '#src/auth/bearer.js'
import { bytes, Caller, fails, withServer } from './caller.js'
import { configOf, until, type Running } from './harness.js'
import { after, PASSWORD, signIn, withUsers } from './users.js'

t.setTimeout(300_000)

const AUTH = 'etcdserverpb.Auth'
const WATCH = 'etcdserverpb.Watch/Watch'
const withToken = (token: string, field = 'token'): Metadata => {
  const metadata = new Metadata()
  metadata.set(field, token)
  return metadata
}
const LIMITS_OF_ONE = {
  requestTimeoutMs: 1000,
  requestsPerUserMax: 1,
  watchersPerUserMax: 1,
  grantsPerUserMax: 1,
}
const NOBODY = {
  requireLeader: false,
  clientVersion: '',
  remote: '',
  host: '',
  certificateName: null,
  token: '',
  session: '',
}
const DENIED = 'rpc error: code = PermissionDenied desc = etcdserver: permission denied'

t.test('tokens in every place, and nowhere else', t =>
  withServer(t, async (caller, server) => {
    await withUsers(server)
    const { tokens } = await signIn(caller, server)
    const get = (metadata?: Metadata) => caller.call('etcdserverpb.KV/Range', { key: bytes('r/1') }, metadata)
    await get(withToken(tokens.reader))
    await get(withToken(tokens.reader, 'authorization'))
    await get(withToken(`Bearer ${tokens.reader}`, 'authorization'))
    await get(withToken(`bearer ${tokens.reader}`))
    await fails(t, get(), 3, 'etcdserver: user name is empty')
    const [letters] = tokens.reader.split('.')
    for (const wrong of [letters!, `${letters}.99`, `${letters}.`, `.${letters}`, 'a.b.c', 'Bearer'])
      await fails(t, get(withToken(wrong)), 16, 'etcdserver: invalid auth token')
    const twice = withToken(tokens.reader)
    twice.add('token', tokens.reader)
    await get(twice)
    t.equal(tokenOf('Bearer   x '), 'x')
    t.equal(tokenOf('x, y'), 'x')
    t.equal(tokenOf(undefined), '')
    const stored = JSON.stringify([...server.node.meta.auth.tokens])
    t.notMatch(stored, letters!, 'the state knows hashes only')
  }),
)

t.test('Authenticate: one answer for whoever may not', t =>
  withServer(t, async (caller, server) => {
    const login = (name: string, password: string) => caller.call(`${AUTH}/Authenticate`, { name, password })
    await fails(t, login('root', PASSWORD), 9, 'etcdserver: authentication is not enabled')
    await withUsers(server)
    server.node.meta.auth = after(server.node.meta.auth, { kind: 'userAdd', name: 'cn', password: bytes('') })
    const text = 'etcdserver: authentication failed, invalid user ID or password'
    for (const [name, password] of [
      ['root', 'x'],
      ['nobody', PASSWORD],
      ['cn', ''],
      ['cn', PASSWORD],
      ['', ''],
    ])
      await fails(t, login(name!, password!), 3, text)
    t.match((await login('root', PASSWORD)).token, /^[A-Za-z]{16}\.\d+$/)
  }),
)

t.test('wrong passwords: the wait doubles, for one name from one address', async t => {
  let now = 0
  const logins = new LoginBackoff(() => now)
  const fail = (count: number): void => {
    for (let i = 0; i < count; i++) logins.failed('alice', 'here')
  }
  fail(4)
  t.equal(logins.waitMs('alice', 'here'), 0, 'everybody mistypes')
  fail(1)
  t.equal(logins.waitMs('alice', 'here'), 1000)
  t.equal(logins.waitMs('alice', 'elsewhere'), 0)
  t.equal(logins.waitMs('bob', 'here'), 0)
  now += 1000
  t.equal(logins.waitMs('alice', 'here'), 0)
  fail(1)
  t.equal(logins.waitMs('alice', 'here'), 2000)
  fail(50)
  t.equal(logins.waitMs('alice', 'here'), 60_000, 'and no more')
  now += 600_001
  t.equal(logins.waitMs('alice', 'here'), 0)
  fail(4)
  t.equal(logins.waitMs('alice', 'here'), 0, 'all is forgotten after a while')
  fail(1)
  logins.succeeded('alice', 'here')
  t.equal(logins.waitMs('alice', 'here'), 0)
  for (let i = 0; i < 2 * LIMITS.loginFailuresMax; i++) logins.failed(`${'x'.repeat(1000)}${i}`, 'here')
  t.equal(logins.size, LIMITS.loginFailuresMax)
})

t.test('wrong passwords at the server: known and unknown users alike, and nobody else', t =>
  withServer(t, async (_caller, server) => {
    await withUsers(server)
    const config = configOf()
    const standing = createEdge(server.node, edgeLimits(config), SILENT, 1000, config.dataDir)
    t.teardown(() => closeEdge(standing))
    let now = 0
    const auth = new AuthService(new SimpleTokens(1000), LIMITS_OF_ONE, () => now)
    const login = async (name: string, password: string): Promise<string> => {
      const meta = { ...NOBODY, host: 'here' }
      const signal = new AbortController().signal
      const answer = await authenticate({ ...standing, auth }, { name, password }, { meta, signal })
      return answer.ok ? 'ok' : answer.error.code
    }
    const wrong = ['authFailed', 'authFailed', 'authFailed', 'authFailed', 'authFailed', 'tooManyRequests']
    for (const name of ['reader', 'nobody']) {
      for (const expected of wrong) t.equal(await login(name, 'wrong'), expected, name)
    }
    t.equal(await login('reader', PASSWORD), 'tooManyRequests')
    t.equal(await login('writer', PASSWORD), 'ok')
    now += 1000
    t.equal(await login('reader', PASSWORD), 'ok')
    t.equal(await login('reader', 'wrong'), 'authFailed', 'who was right begins anew')
  }),
)

t.test('many wrong passwords at once are not all looked at', async t => {
  const passwords = new Passwords(4)
  const stored = await passwords.hash('right')
  let failed = 0
  const attempts = Array.from({ length: 20 }, async () => {
    const right = await passwords.verify('wrong', stored.ok ? stored.value : bytes(''), () => failed < 3)
    if (right.ok && !right.value) failed++
    return right.ok
  })
  const looked = (await Promise.all(attempts)).filter(Boolean).length
  t.ok(looked >= 3 && looked <= 3 + 2 * LIMITS.passwordHashesMax, `${looked}`)
  t.match(await passwords.verify('right', stored.ok ? stored.value : bytes('')), { ok: true, value: true })
})

t.test('one user has so many requests under way, and the others theirs', t =>
  withServer(
    t,
    async (caller, server) => {
      await withUsers(server)
      const { tokens } = await signIn(caller, server)
      const get = (token: string, key: string) =>
        caller.begin('etcdserverpb.KV/Range', { key: bytes(key) }, withToken(token)).answer
      let release = (): void => {}
      server.node.held = new Promise(resolve => (release = resolve))
      const [first, second] = [get(tokens.reader, 'r/1'), get(tokens.reader, 'r/1')]
      const third = get(tokens.reader, 'r/1')
      await fails(t, third, 8, 'etcdserver: too many requests')
      const other = get(tokens.root, 'r/1')
      const isUnderWay = () => server.node.seen.filter(({ request }) => request.kind === 'read').length === 3
      await until(isUnderWay, 'three are under way')
      server.node.held = null
      release()
      await Promise.all([first, second, other])
      await get(tokens.reader, 'r/1')
    },
    ['--max-requests-per-user=2'],
  ),
)

t.test('one user has so many grants of leases under way', t =>
  withServer(
    t,
    async (caller, server) => {
      await withUsers(server)
      const { tokens } = await signIn(caller, server)
      const grant = (token: string, ID: bigint) =>
        caller.begin('etcdserverpb.Lease/LeaseGrant', { ID, TTL: 60 }, withToken(token)).answer
      let release = (): void => {}
      server.node.held = new Promise(resolve => (release = resolve))
      const first = grant(tokens.reader, 1n)
      await until(() => server.node.seen.some(({ request }) => request.kind === 'leaseGrant'), 'under way')
      await fails(t, grant(tokens.reader, 2n), 8, 'etcdserver: too many requests')
      const others = [
        caller.begin('etcdserverpb.KV/Range', { key: bytes('r/1') }, withToken(tokens.reader)).answer,
        grant(tokens.root, 3n),
      ]
      server.node.held = null
      release()
      await Promise.all([first, ...others])
      t.match(await grant(tokens.reader, 2n), { ID: 2n })
    },
    ['--max-lease-grants-per-user=1'],
  ),
)

t.test('one user has so many watches open', t =>
  withServer(
    t,
    async (caller, server) => {
      await withUsers(server)
      const { tokens } = await signIn(caller, server)
      const create = { create_request: { key: bytes('r/1') } }
      const [one, two] = [1, 2].map(() => caller.open(WATCH, withToken(tokens.reader)))
      one!.send(create)
      one!.send(create)
      await until(() => one!.got.length === 2, 'two watches')
      two!.send(create)
      await until(() => two!.got.length === 1, 'the third')
      t.match(two!.got[0], { created: true, canceled: true, cancel_reason: /too many requests$/ })
      const others = caller.open(WATCH, withToken(tokens.root))
      others.send(create)
      await until(() => others.got.length === 1, 'a watch of somebody else')
      t.notOk(others.got[0]!.canceled)
      one!.send({ cancel_request: { watch_id: one!.got[0]!.watch_id } })
      await until(() => one!.got.length === 3, 'one is given up')
      two!.send(create)
      await until(() => two!.got.length === 2, 'there is room for another')
      t.notOk(two!.got[1]!.canceled)
      one!.call.cancel()
      await until(() => server.node.streams.size === 2, 'the stream is closed, and its watch with it')
      two!.send(create)
      await until(() => two!.got.length === 3, 'there is room again')
      t.notOk(two!.got[2]!.canceled)
      for (const stream of [two!, others]) stream.call.cancel()
    },
    ['--max-watchers-per-user=2'],
  ),
)

t.test('passwords are hashed few at a time, and more than fit the queue are refused at once', async t => {
  const passwords = new Passwords(10)
  const hashed = await passwords.hash('one')
  if (!hashed.ok) throw new Error(hashed.error.code)
  const { passwordHashesMax, passwordQueueMax } = LIMITS
  const many = Array.from({ length: passwordHashesMax + passwordQueueMax + 3 }, () =>
    passwords.verify('one', hashed.value),
  )
  const results = await Promise.all(many)
  t.equal(results.filter(each => each.ok && each.value).length, passwordHashesMax + passwordQueueMax)
  t.match(results.at(-1), { ok: false, error: { code: 'tooManyRequests' } })
  t.match(await passwords.verify('two', hashed.value), { ok: true, value: false })
  t.match(
    await passwords.verify('one', bytes('')),
    { ok: true, value: false },
    'without a password none is right',
  )
  t.notSame(await passwords.hash('one'), hashed, 'salted')
})

t.test('watches: decided when made, looked at again after every change', t =>
  withServer(t, async (caller, server) => {
    const early = caller.open(WATCH)
    early.send({ create_request: { key: bytes('r/1') } })
    await until(() => early.got.length === 1, 'created while authentication is off')
    await withUsers(server)
    await until(() => early.got.at(-1)!.canceled, 'ended when it is on')
    t.match(early.got.at(-1), { cancel_reason: /user name is empty$/ })
    const { tokens } = await signIn(caller, server)
    const stream = caller.open(WATCH, withToken(tokens.reader))
    // GHSA-xg4h-6gfc-h4m8: who may read one key must not watch from it on.
    stream.send({ create_request: { key: bytes('r/1') } })
    stream.send({ create_request: { key: bytes('r/1'), range_end: bytes('\0') } })
    stream.send({ create_request: { key: bytes(''), range_end: bytes('\0') } })
    stream.send({ create_request: { key: bytes('r/'), range_end: bytes('r0') } })
    await until(() => stream.got.length === 4, 'four answers')
    const refused = { created: true, canceled: true, watch_id: -1n, cancel_reason: DENIED }
    t.match(stream.got, [
      { created: true, canceled: false },
      refused,
      refused,
      { created: true, canceled: false },
    ])
    const { meta } = server.node
    meta.auth = after(meta.auth, { kind: 'userAdd', name: 'other', password: bytes('') })
    await caller.call('etcdserverpb.KV/Put', { key: bytes('r/1') }, withToken(tokens.root))
    await until(() => stream.got.length >= 6, 'both hear of it: what does not concern them ends nothing')
    meta.auth = after(meta.auth, {
      kind: 'roleRevoke',
      role: 'r',
      key: Buffer.from('r/'),
      rangeEnd: Buffer.from('r0'),
    })
    await until(() => stream.got.filter(each => each.canceled).length === 4, 'both end')
    t.equal(stream.got.at(-1)!.cancel_reason, DENIED)
    stream.call.cancel()
    const writer = caller.open(WATCH, withToken(tokens.writer))
    writer.send({ create_request: { key: bytes('w/1') } })
    await until(() => writer.got.length === 1, 'created')
    meta.auth = after(meta.auth, { kind: 'userChangePassword', name: 'writer', password: bytes('new') })
    await until(() => writer.got.length === 2, 'a new password ends what the old one opened')
    t.match(writer.got[1], { canceled: true, cancel_reason: /invalid auth token$/ })
    writer.call.cancel()
  }),
)

t.test('CVE-2018-16886: the name in a certificate counts on its own connection, behind a token', async t => {
  await withServer(t, async (_caller, server) => {
    await withUsers(server)
    const auth = new AuthService(new SimpleTokens(1000), LIMITS_OF_ONE)
    const decide = (token: string, certificateName: string | null) =>
      auth.decide(server.node, { token, certificateName }, { kind: 'root' })
    t.match(await decide('', 'root'), { ok: true })
    t.match(await decide('', 'reader'), { ok: false, error: { code: 'permissionDenied' } })
    t.match(await decide('', 'stranger'), { ok: false, error: { code: 'permissionDenied' } })
    t.match(await decide('', null), { ok: false, error: { code: 'userNameEmpty' } })
    t.match(await decide('nonsense', 'root'), { ok: false, error: { code: 'authTokenInvalid' } })
  })
})

t.test('a token lives on while it is used', t =>
  withServer(t, async (caller, server) => {
    await withUsers(server)
    const { tokens } = await signIn(caller, server)
    const { meta } = server.node
    const soon = Date.now() + 200_000
    const all = [...meta.auth.tokens].map(([hash, token]) => [hash, { ...token, expires: soon }] as const)
    meta.auth = { ...meta.auth, tokens: new Map(all) }
    await caller.call('etcdserverpb.KV/Range', { key: bytes('r/1') }, withToken(tokens.reader))
    const expires = (user: string) => [...meta.auth.tokens.values()].find(each => each.user === user)!.expires
    await until(() => expires('reader') > soon, 'renewed')
    t.equal(expires('writer'), soon, 'and no other')
  }),
)

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

t.test('JSON Web Tokens: no other algorithm, no missing claim, nothing old', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'kvorum-jwt-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const publicPem = publicKey.export({ type: 'spki', format: 'pem' })
  writeFileSync(join(directory, 'private'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
  writeFileSync(join(directory, 'public'), publicPem)
  const flag = `--auth-token=jwt,priv-key=${directory}/private,pub-key=${directory}/public,sign-method=RS256,ttl=1m`
  await withServer(
    t,
    async (caller, server) => {
      await withUsers(server)
      const login = async () =>
        (await caller.call(`${AUTH}/Authenticate`, { name: 'reader', password: PASSWORD })).token
      const token = await login()
      const get = (sent: string) =>
        caller.call('etcdserverpb.KV/Range', { key: bytes('r/1') }, withToken(sent))
      await get(token)
      const claims = { username: 'root', revision: server.node.meta.auth.revision, exp: 9_999_999_999 }
      const [head, body, signature] = token.split('.') as [string, string, string]
      const hs256 = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
      const forged = [
        `${part({ alg: 'none', typ: 'JWT' })}.${part(claims)}.`,
        `${hs256}.${createHmac('sha256', publicPem).update(hs256).digest('base64url')}`,
        `${head}.${part(claims)}.${signature}`,
        `${head}.${body}.`,
        'AAAAAAAAAAAAAAAA.1',
      ]
      for (const each of forged) await fails(t, get(each), 16, 'etcdserver: invalid auth token')
      t.equal(server.node.meta.auth.tokens.size, 0, 'no member remembers them')
      const { meta } = server.node
      meta.auth = after(meta.auth, { kind: 'roleAdd', role: 'x' })
      await fails(t, get(token), 3, 'etcdserver: revision of auth store is old')
      await get(await login())
    },
    [flag],
  )
})

t.test('etcd#15676: JSON Web Tokens that were signed and lack a claim', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'kvorum-jwt-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  writeFileSync(join(directory, 'secret'), 'a secret of thirty-two bytes, and some more')
  const sign = (claims: object): string => {
    const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
    return `${text}.${createHmac('sha256', readFileSync(join(directory, 'secret')))
      .update(text)
      .digest('base64url')}`
  }
  const good = { username: 'reader', revision: 1_000, exp: 9_999_999_999 }
  await withServer(
    t,
    async (caller, server) => {
      await withUsers(server)
      const get = (claims: object) =>
        caller.call('etcdserverpb.KV/Range', { key: bytes('r/1') }, withToken(sign(claims)))
      await get(good)
      for (const wrong of [
        { ...good, username: undefined },
        { ...good, username: 7 },
        { ...good, revision: undefined },
        { ...good, revision: 'x' },
        { ...good, revision: 1e300 },
        { ...good, exp: undefined },
        { ...good, exp: 1 },
        { ...good, exp: 'never' },
      ])
        await fails(t, get(wrong), 16, 'etcdserver: invalid auth token')
    },
    [`--auth-token=jwt,priv-key=${directory}/secret,sign-method=HS256`],
  )
})

t.test('flags that make no sense are refused with a sentence', async t => {
  const refused = (flag: string): string => {
    try {
      configOf(flag)
      return 'accepted'
    } catch (error) {
      return (error as Error).message
    }
  }
  t.match(refused('--auth-token=magic'), /must be simple or jwt/)
  t.match(refused('--auth-token=jwt'), /sign-method must be one of/)
  t.match(refused('--auth-token=jwt,sign-method=none,pub-key=x'), /sign-method must be one of/)
  t.match(refused('--auth-token=jwt,sign-method=RS256'), /a key is needed/)
  t.match(refused('--auth-token=jwt,sign-method=HS256,pub-key=x'), /needs priv-key/)
  t.match(refused('--auth-token=jwt,what=x'), /is not one of/)
  t.match(refused('--auth-token=jwt,sign-method=RS256,priv-key=x,ttl=soon'), /ttl must be a duration/)
  t.match(refused('--auth-token-ttl=0'), /from 1 to/)
})

/** A server over a real node of its own, everything it writes kept. */
async function realServer(directory: string) {
  const log = join(directory, 'server.log')
  const logger = createLogger({ level: 'debug', format: 'json', destination: log })
  const config = configOf(
    '--listen-client-urls=http://127.0.0.1:0',
    '--listen-peer-urls=http://127.0.0.1:0',
    '--initial-advertise-peer-urls=http://127.0.0.1:1',
    '--warning-unary-request-duration=1ms',
    `--data-dir=${join(directory, 'data')}`,
    `--audit-log=${join(directory, 'audit.log')}`,
  )
  const server = await startServer(config, {
    createNode: createClusterNode,
    logger,
    fatal: reason => {
      throw new Error(reason)
    },
    graceMs: 50,
  })
  return { server, logger, port: server.addresses[0]!.port }
}

const filesBelow = (path: string): string[] =>
  statSync(path).isDirectory() ? readdirSync(path).flatMap(name => filesBelow(join(path, name))) : [path]

t.test(
  'CVE-2021-28235: no password and no token in logs, metrics, the audit log or the data directory',
  async t => {
    const directory = mkdtempSync(join(tmpdir(), 'kvorum-auth-'))
    t.teardown(() => rmSync(directory, { recursive: true, force: true }))
    const { server, logger, port } = await realServer(directory)
    const caller = new Caller({ port } as Running)
    const secrets = ['correct-horse-battery', 'staple-of-the-day']
    const call = caller.call.bind(caller)
    await until(() => server.node.status().ready, 'the node is ready')
    await call(`${AUTH}/UserAdd`, { name: 'root', password: secrets[0]! })
    await call(`${AUTH}/UserGrantRole`, { user: 'root', role: 'root' })
    await call(`${AUTH}/UserAdd`, { name: 'alice', password: 'x', hashedPassword: 'aGFzaA==' })
    await call(`${AUTH}/AuthEnable`, {})
    t.match(await call(`${AUTH}/AuthStatus`, {}), { enabled: true, authRevision: 4 })
    const { token } = await call(`${AUTH}/Authenticate`, { name: 'root', password: secrets[0]! })
    const root = withToken(token)
    await call(`${AUTH}/RoleAdd`, { name: 'r' }, root)
    await call(`${AUTH}/RoleGrantPermission`, { name: 'r', perm: { permType: 2, key: bytes('a') } }, root)
    await call(`${AUTH}/UserGrantRole`, { user: 'alice', role: 'r' }, root)
    await call('etcdserverpb.KV/Put', { key: bytes('a'), value: bytes('the value') }, root)
    await call(`${AUTH}/UserChangePassword`, { name: 'alice', password: secrets[1]! }, root)
    const alice = await call(`${AUTH}/Authenticate`, { name: 'alice', password: secrets[1]! })
    await fails(
      t,
      call('etcdserverpb.KV/Put', { key: bytes('b') }, withToken(alice.token)),
      7,
      /permission denied/,
    )
    const granted = await call('etcdserverpb.Lease/LeaseGrant', { TTL: 60 }, root)
    await call('etcdserverpb.KV/Put', { key: bytes('b'), lease: granted.ID }, root)
    const mine = withToken(alice.token)
    await fails(
      t,
      call('etcdserverpb.KV/Put', { key: bytes('a'), lease: granted.ID }, mine),
      7,
      /permission denied/,
    )
    await fails(t, call('etcdserverpb.Lease/LeaseRevoke', { ID: granted.ID }, mine), 7, /permission denied/)
    const times = { ID: granted.ID, keys: true }
    await fails(t, call('etcdserverpb.Lease/LeaseTimeToLive', times, mine), 7, /permission denied/)
    t.equal((await call('etcdserverpb.Lease/LeaseTimeToLive', times, root)).keys.length, 1)
    t.match(await call(`${AUTH}/UserGet`, { name: 'alice' }, mine), { roles: ['r'] })
    const copied = (metadata: Metadata) => {
      const stream = caller.open('etcdserverpb.Maintenance/Snapshot', metadata)
      stream.send({})
      stream.call.end()
      return until(() => stream.ended() !== null, 'the snapshot ends').then(() => stream.ended()!.code)
    }
    t.equal(await copied(root), 0)
    t.equal(await copied(mine), 7)
    await fails(
      t,
      call(`${AUTH}/Authenticate`, { name: 'alice', password: secrets[0]! }),
      3,
      /authentication failed/,
    )
    const health = await fetch(`http://127.0.0.1:${port}/health`)
    t.equal(health.status, 200, 'the server looks after itself without a token')
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    caller.client.close()
    await server.stop()
    logger.flush()
    const everything = filesBelow(directory).map(path => [path, readFileSync(path, 'latin1')] as const)
    t.ok(everything.length > 3)
    for (const secret of [...secrets, token.split('.')[0]!, alice.token.split('.')[0]!]) {
      t.notMatch(metrics, secret)
      for (const [path, text] of everything) t.notOk(text.includes(secret), `not in ${path}`)
    }
    const audit = readFileSync(join(directory, 'audit.log'), 'utf8')
    t.notMatch(audit, /the value/)
    const records = audit
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line) as Record<string, unknown>)
    t.match(
      records.find(({ rpc, code }) => rpc === 'etcdserverpb.KV/Put' && code === 'OK'),
      { user: 'root', keys: [['a']], revision: 2, remote: /127\.0\.0\.1/ },
    )
    t.match(
      records.find(({ code }) => code === 'PERMISSION_DENIED'),
      { user: 'alice', rpc: 'etcdserverpb.KV/Put', keys: [['b']], revision: 0 },
    )
    t.match(
      records.filter(({ rpc }) => rpc === 'etcdserverpb.Maintenance/Snapshot'),
      [
        { user: 'root', code: 'OK' },
        { user: 'alice', code: 'PERMISSION_DENIED' },
      ],
      'who took everything along',
    )
    t.equal(records.filter(({ rpc }) => rpc === `${AUTH}/Authenticate`).length, 3, 'one record for each call')
  },
)
