import t from 'tap'
import { run } from '#src/run.js'
import { base64, record, type Script } from './fakes.js'

async function play(line: string, script: Script = {}) {
  const recorder = record(script)
  const status = await run(recorder.io, line.split(' '))
  const { calls, connects, prompts } = recorder
  return { status, prompts, out: recorder.out(), err: recorder.err(), calls, auth: connects[0]?.auth }
}

t.test('users', async t => {
  const added = await play('user add alice:secret')
  t.match(added, { status: 0, out: 'User alice created\n' })
  t.match(added.calls[0], {
    name: 'etcdserverpb.Auth/UserAdd',
    request: { name: 'alice', password: 'secret', options: { no_password: false } },
  })
  t.match((await play('user add cn --no-password')).calls[0], {
    request: { name: 'cn', password: '', options: { no_password: true } },
  })
  t.match((await play('user add bob --interactive=false', { input: 'typed\nmore\n' })).calls[0], {
    request: { name: 'bob', password: 'typed' },
  })
  t.match(await play('user add bob --interactive=false'), { status: 1, err: /has no password/ })
  t.match(await play('user add bob'), { status: 1, err: /a password is needed/ })
  t.match(await play('user add :x'), { status: 2, err: /an empty user name/ })
  t.equal((await play('user passwd bob --new-user-password=x')).out, 'Password updated\n')
  const roles = { 'etcdserverpb.Auth/UserGet': { roles: ['a', 'b'] } }
  t.equal((await play('user get bob', { answers: roles })).out, 'User: bob\nRoles: a b\n')
  t.equal((await play('user grant-role bob a')).out, 'Role a is granted to user bob\n')
  t.equal((await play('user revoke-role bob a')).out, 'Role a is revoked from user bob\n')
  t.equal((await play('user delete bob')).out, 'User bob deleted\n')
})

t.test('a new password is typed twice, and not shown', async t => {
  const added = await play('user add bob', { secrets: ['pw', 'pw'] })
  t.match(added.calls[0], { request: { name: 'bob', password: 'pw', options: { no_password: false } } })
  t.strictSame(added.prompts, ['Password of bob: ', 'Type password of bob again for confirmation: '])
  t.match((await play('user passwd bob', { secrets: ['', ''] })).calls[0], {
    name: 'etcdserverpb.Auth/UserChangePassword',
    request: { name: 'bob', password: '' },
  })
  const different = await play('user passwd bob', { secrets: ['pw', 'wp'] })
  t.match(different, { status: 1, err: 'Error: given passwords are different' })
  t.strictSame(different.calls, [])
  t.match(await play('user add bob', { secrets: [] }), { status: 1, err: /no password was typed/ })
  const spared = await play('user add bob:x', { secrets: [] })
  t.match(spared.calls[0], { request: { password: 'x' } })
})

t.test('user get --detail tells what the roles may', async t => {
  const answers = {
    'etcdserverpb.Auth/UserGet': { roles: ['a', 'b'] },
    'etcdserverpb.Auth/RoleGet': { perm: [{ permType: 'READWRITE', key: base64('k') }] },
  }
  const { out, calls } = await play('user get bob --detail', { answers })
  const role = (name: string) => `\nRole ${name}\nKV Read:\n\tk\nKV Write:\n\tk\n`
  t.equal(out, `User: bob\n${role('a')}${role('b')}`)
  t.strictSame(
    calls.map(({ name }) => name.split('/')[1]),
    ['UserGet', 'RoleGet', 'RoleGet'],
  )
  t.match((await play('user get bob --detail -w fields', { answers })).out, '"PermType" :  READWRITE\n')
  t.match((await play('user get bob -w fields', { answers })).out, '"Roles" : "a" "b"\n')
  t.match((await play('user get bob --detail -w json', { answers })).out, '"perm":[{"permType":2')
})

t.test('roles', async t => {
  t.match((await play('role grant-permission r readwrite a --prefix')).calls[0], {
    name: 'etcdserverpb.Auth/RoleGrantPermission',
    request: { name: 'r', perm: { permType: 2, key: Buffer.from('a'), range_end: Buffer.from('b') } },
  })
  t.match(await play('role grant-permission r all a'), { status: 2, err: /not a type of permission/ })
  t.equal(
    (await play('role revoke-permission r a b')).out,
    'Permission of range [a, b) is revoked from role r\n',
  )
  t.equal((await play('role revoke-permission r k')).out, 'Permission of key k is revoked from role r\n')
  const perm = [
    { permType: 'READ', key: base64('a'), range_end: base64('c') },
    { permType: 'WRITE', key: base64('k') },
    { permType: 'READWRITE', key: base64('x'), range_end: base64('\0') },
  ]
  t.equal(
    (await play('role get r', { answers: { 'etcdserverpb.Auth/RoleGet': { perm } } })).out,
    'Role r\nKV Read:\n\t[a, c)\n\t[x, <open ended>\nKV Write:\n\tk\n\t[x, <open ended>\n',
  )
})

t.test('auth enable makes what it needs, as etcdctl does', async t => {
  let asked = 0
  const recorder = record()
  const { io } = recorder
  const connect = io.connect.bind(io)
  const told = {
    ...io,
    connect: async (options: Parameters<typeof connect>[0]) => {
      const connection = await connect(options)
      return {
        ...connection,
        call: ((name: never, request: never) => {
          if ((name as string) === 'etcdserverpb.Auth/AuthEnable' && asked++ === 0)
            throw new Error('etcdserver: root user does not have root role')
          return connection.call(name, request)
        }) as typeof connection.call,
      }
    },
  }
  t.equal(await run(told, ['auth', 'enable']), 0)
  t.strictSame(
    recorder.calls.map(({ name }) => name.split('/')[1]),
    ['RoleList', 'RoleAdd', 'UserGrantRole', 'AuthEnable'],
  )
  t.equal(recorder.out(), 'Authentication Enabled\n')
  const status = { 'etcdserverpb.Auth/AuthStatus': { enabled: true, authRevision: '4' } }
  t.equal(
    (await play('auth status', { answers: status })).out,
    'Authentication Status: true\nAuthRevision: 4\n',
  )
})

t.test('who asks', async t => {
  t.strictSame((await play('role list --user root:a:b')).auth, { username: 'root', password: 'a:b' })
  t.strictSame((await play('role list --user root --password x')).auth, { username: 'root', password: 'x' })
  const env = { ETCDCTL_USER: 'e:x', KVORUM_USER: 'k:y' }
  t.strictSame((await play('role list', { env })).auth, { username: 'k', password: 'y' })
  t.equal((await play('role list')).auth, null)
  for (const line of [
    '--user root:a role list',
    'role --user=root:a list',
    '-w json --user root:a role list',
  ])
    t.match(await play(line), { status: 0, auth: { username: 'root', password: 'a' } }, line)
  const dashes = await play('--user root:a role add -- --list')
  t.match(dashes, { auth: { username: 'root' }, calls: [{ request: { name: '--list' } }] })
  t.match(await play('--nonsense role list'), { status: 2, err: /no command "--nonsense"/ })
  t.match(await play('role list --user root'), { status: 1, err: /--user needs a password/ })
  const typed = await play('role list --user root', { secrets: ['pw'] })
  t.match(typed, { auth: { username: 'root', password: 'pw' }, prompts: ['Password: '] })
  t.strictSame((await play('role list --user root:x', { secrets: [] })).prompts, [])
})
