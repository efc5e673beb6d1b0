import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Cluster } from '../process/cluster.js'
import type { ServerProcess } from '../process/serverProcess.js'
import { holds } from '../process/until.js'
import { hostsOf, MODES, READER, roles, startAccess, type Access } from './access.js'
import { Follower, missing, run, type Ran } from './program.js'

t.setTimeout(900_000)
const skip = missing('etcdctl', ['version'])

const flagsOf = (access: Access, nodes: readonly ServerProcess[]): string[] => [
  `--endpoints=${hostsOf(access, [...nodes]).join()}`,
  // It signs in while it dials.
  '--dial-timeout=30s',
  ...(access.ca === null ? [] : [`--cacert=${access.ca}`]),
  ...(access.cert === null ? [] : [`--cert=${access.cert}`, `--key=${access.key ?? ''}`]),
  ...(access.user === null ? [] : [`--user=${access.user.name}:${access.user.password}`]),
]

/** One cluster, as etcdctl sees it. */
class Etcdctl {
  readonly access: Access
  readonly #t: Test
  constructor(t: Test, access: Access) {
    this.#t = t
    this.access = access
  }

  run(args: readonly string[], input = '', nodes = this.access.cluster.nodes): Promise<Ran> {
    return run('etcdctl', [...flagsOf(this.access, nodes), '--command-timeout=30s', ...args], input)
  }

  /** What a command must print. */
  async says(args: readonly string[], expected: RegExp | string, input = ''): Promise<string> {
    const ran = await this.run(args, input)
    const label = `etcdctl ${args.join(' ')}`
    this.#t.match(ran, { status: 0, stdout: expected }, label)
    return ran.stdout
  }

  follow(args: readonly string[]): Follower {
    return new Follower(this.#t, 'etcdctl', [...flagsOf(this.access, this.access.cluster.nodes), ...args])
  }
}

for (const mode of MODES)
  t.test(`etcdctl, ${mode}: commands`, { skip }, async t => {
    const ctl = new Etcdctl(t, await startAccess(t, mode))
    await keys(ctl)
    await transactions(ctl)
    await leases(ctl)
    await operators(t, ctl)
    await watching(ctl)
    await lockAndElect(t, ctl)
    if (ctl.access.user !== null) await users(t, ctl)
  })

/** What etcdctl says to users, and what of it kvorum lets them do. */
async function users(t: Test, ctl: Etcdctl): Promise<void> {
  await ctl.says(['put', 'open/a', '1'], 'OK\n')
  await ctl.says(['user', 'add', 'alice', '--interactive=false'], 'User alice created\n', 'first\n')
  await ctl.says(['user', 'passwd', 'alice', '--interactive=false'], 'Password updated\n', 'second\n')
  await ctl.says(['role', 'add', 'writer'], 'Role writer created\n')
  await ctl.says(
    ['role', 'grant-permission', 'writer', 'readwrite', 'mine/', '--prefix'],
    'Role writer updated\n',
  )
  await ctl.says(['role', 'get', 'writer'], /KV Read:\n\t\[mine\/, mine0\) \(prefix mine\/\)/)
  await ctl.says(['user', 'grant-role', 'alice', 'writer'], 'Role writer is granted to user alice\n')
  await ctl.says(['user', 'get', 'alice', '--detail'], /Role writer/)
  await ctl.says(['user', 'list'], 'alice\nreader\nroot\n')
  await ctl.says(['role', 'list'], 'reader\nroot\nwriter\n')
  const as = (user: string, ...args: string[]): Promise<Ran> => ctl.run([`--user=${user}`, ...args])
  const denied = { status: 1, stderr: /etcdserver: permission denied/ }
  t.match(await as('alice:second', 'put', 'mine/a', 'x'), { status: 0, stdout: 'OK\n' })
  t.match(await as('alice:second', 'get', 'open/a'), denied)
  t.match(await as('alice:first', 'get', 'mine/a'), { stderr: /invalid user ID or password/ })
  t.match(await as(`${READER.name}:${READER.password}`, 'get', 'open/a'), {
    status: 0,
    stdout: 'open/a\n1\n',
  })
  t.match(await as(`${READER.name}:${READER.password}`, 'put', 'open/a', '2'), denied)
  t.match(await as('alice:second', 'user', 'list'), denied)
  await ctl.says(['user', 'revoke-role', 'alice', 'writer'], 'Role writer is revoked from user alice\n')
  t.match(await as('alice:second', 'get', 'mine/a'), denied)
  await ctl.says(['user', 'delete', 'alice'], 'User alice deleted\n')
  await ctl.says(['auth', 'disable'], 'Authentication Disabled\n')
}

async function keys(ctl: Etcdctl): Promise<void> {
  await ctl.says(['put', 'a', '1'], /^OK\n$/)
  await ctl.says(['put', 'a', '2', '--prev-kv'], /^OK\na\n1\n$/)
  await ctl.says(['put', 'b'], /^OK\n$/, 'from standard input')
  await ctl.says(['get', 'b', '--print-value-only'], 'from standard input\n')
  await ctl.says(['put', 'a', '--ignore-value'], /^OK\n$/)
  for (const key of ['k1', 'k2', 'k3']) await ctl.says(['put', key, key.toUpperCase()], 'OK\n')
  await ctl.says(['get', 'k1', 'k3'], 'k1\nK1\nk2\nK2\n')
  await ctl.says(['get', '--prefix', 'k', '--keys-only'], 'k1\n\nk2\n\nk3\n\n')
  await ctl.says(['get', '--from-key', 'k2', '--limit=1'], 'k2\nK2\n')
  await ctl.says(['get', '--prefix', 'k', '--order=DESCEND', '--sort-by=MODIFY', '--limit=1'], 'k3\nK3\n')
  await ctl.says(['get', '--prefix', '', '--write-out=fields', '--limit=1'], /"ClusterID" : \d+/)
  await ctl.says(['get', 'a', '-w', 'json'], /"version":3/)
  await ctl.says(['get', 'a', '--consistency=s'], 'a\n2\n')
  await ctl.says(['get', 'a', '--rev=2'], 'a\n1\n')
  await ctl.says(['get', 'a', '--hex'], '\\x61\n\\x32\n')
  await ctl.says(['del', 'k1', '--prev-kv'], '1\nk1\nK1\n')
  await ctl.says(['del', '--prefix', 'k'], '2\n')
  await ctl.says(['del', 'nothing'], '0\n')
}

async function transactions(ctl: Etcdctl): Promise<void> {
  await ctl.says(['txn'], /^SUCCESS\n\nOK\n\na\n3\n/, 'value("a") = "2"\n\nput a 3\nget a\n\nput a 4\n\n')
  await ctl.says(['txn'], /^FAILURE\n\n1\n/, 'create("a") = "0"\n\n\ndel a\n\n')
  const json = await ctl.says(['put', 'c', '1', '-w', 'json'], /"revision":\d+/)
  const revision = /"revision":(\d+)/.exec(json)![1]!
  await ctl.says(['compaction', revision, '--physical'], `compacted revision ${revision}\n`)
}

async function leases(ctl: Etcdctl): Promise<void> {
  const granted = await ctl.says(['lease', 'grant', '60'], /^lease [0-9a-f]+ granted with TTL\(60s\)\n$/)
  const id = granted.split(' ')[1]!
  await ctl.says(['put', 'leased', 'x', `--lease=${id}`], 'OK\n')
  await ctl.says(['lease', 'timetolive', id, '--keys'], /attached keys\(\[leased\]\)/)
  await ctl.says(['lease', 'keep-alive', '--once', id], `lease ${id} keepalived with TTL(60)\n`)
  await ctl.says(['lease', 'list'], new RegExp(`found \\d+ leases\\n(.*\\n)*${id}`))
  const keeping = ctl.follow(['lease', 'keep-alive', id])
  await keeping.printed(/keepalived with TTL\(60\)/)
  await keeping.end('SIGKILL')
  await ctl.says(['lease', 'revoke', id], `lease ${id} revoked\n`)
  await ctl.says(['get', 'leased'], /^$/)
  await ctl.says(['lease', 'timetolive', id], /already expired/)
}

async function operators(t: Test, ctl: Etcdctl): Promise<void> {
  await ctl.says(['member', 'list'], /^([0-9a-f]+, started, n\d, \S+, \S+, false\n){3}$/)
  await ctl.says(['member', 'list', '-w', 'table'], /\| +n1 \|/)
  await ctl.says(['endpoint', 'health'], /^(\S+ is healthy: .*\n){3}$|^$/)
  await ctl.says(['endpoint', 'status', '-w', 'json'], /"leader":\d+/)
  // For these it asks who the members are, and does not say for whom it asks.
  if (ctl.access.user === null) {
    await ctl.says(['endpoint', 'status', '--cluster'], /^(https?:\S+, [0-9a-f]+, .*\n){3,}$/)
    await ctl.says(['endpoint', 'hashkv', '--cluster'], /^(https?:\S+, \d+\n){3,}$/)
  }
  await ctl.says(['alarm', 'list'], /^$/)
  await ctl.says(['version'], /API version/)
  const directory = mkdtempSync(join(tmpdir(), 'kvorum-interop-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const file = join(directory, 'snapshot.db')
  const [one] = ctl.access.cluster.nodes
  t.match(await ctl.run(['snapshot', 'save', file], '', [one!]), { status: 0 }, 'snapshot save')
  await ctl.says(['snapshot', 'status', file, '-w', 'json'], /"hash":\d+/)
}

async function watching(ctl: Etcdctl): Promise<void> {
  const plain = ctl.follow(['watch', '--prefix', 'w'])
  const executing = ctl.follow([
    'watch',
    'w1',
    '--',
    'sh',
    '-c',
    'echo "$ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_VALUE"',
  ])
  await holds('both watches to tell', async () => {
    await ctl.run(['put', 'w1', 'one'])
    return /PUT\nw1\none/.test(plain.text) && /"?PUT"? "?one"?/.test(executing.text)
  })
  await ctl.says(['del', 'w1'], '1\n')
  await plain.printed(/DELETE\nw1\n/)
  const past = ctl.follow(['watch', 'a', '--rev=1'])
  await past.printed(/watch was canceled|required revision has been compacted/)
}

async function lockAndElect(t: Test, ctl: Etcdctl): Promise<void> {
  t.match(
    await ctl.run(['lock', 'mutex', 'echo', 'held']),
    { status: 0, stdout: /held/ },
    'lock with a command',
  )
  const holder = ctl.follow(['lock', 'mutex'])
  await holder.printed(/^mutex\/[0-9a-f]+\n/)
  const waiter = ctl.follow(['lock', 'mutex'])
  await holds('the second in the queue', async () => {
    const { stdout } = await ctl.run(['get', '--prefix', 'mutex/', '--keys-only'])
    return stdout.trim().split('\n\n').length === 2
  })
  t.equal(waiter.text, '')
  await holder.end('SIGINT')
  await waiter.printed(/^mutex\/[0-9a-f]+\n/)
  await waiter.end('SIGINT')
  const leader = ctl.follow(['elect', 'office', 'first'])
  await leader.printed(/office\/[0-9a-f]+\nfirst\n/)
  const observer = ctl.follow(['elect', '--listen', 'office'])
  await observer.printed(/first\n/)
  const next = ctl.follow(['elect', 'office', 'second'])
  await holds('the second candidate', async () => {
    const { stdout } = await ctl.run(['get', '--prefix', 'office/', '--keys-only'])
    return stdout.trim().split('\n\n').length === 2
  })
  await leader.end('SIGINT')
  await next.printed(/second\n/)
  await observer.printed(/second\n/)
  await next.end('SIGINT')
}

t.test('etcdctl: lock, elect and watch go on when the leader is killed', { skip }, async t => {
  const access = await startAccess(t, 'plain')
  const ctl = new Etcdctl(t, access)
  const holder = ctl.follow(['lock', 'mutex', '--ttl=60'])
  await holder.printed(/^mutex\/[0-9a-f]+\n/)
  const waiter = ctl.follow(['lock', 'mutex', '--ttl=60'])
  const elected = ctl.follow(['elect', 'office', 'one'])
  await elected.printed(/one\n/)
  const watch = ctl.follow(['watch', '--prefix', 'seen'])
  await holds('the watch', async () => {
    await ctl.run(['put', 'seen', 'before'])
    return watch.text.includes('before')
  })
  const { leader } = await roles(access)
  await leader.stop('SIGKILL')
  const others = access.cluster.others(leader)
  await access.cluster.leader(others)
  await holds('a put', async () => (await ctl.run(['put', 'seen', 'after'], '', others)).status === 0)
  await watch.printed(/after/)
  t.equal(waiter.text, '', 'the lock is held still')
  await holder.end('SIGINT')
  await waiter.printed(/^mutex\/[0-9a-f]+\n/)
  leader.start()
  await access.cluster.healthy()
})

t.test('etcdctl: make-mirror to another cluster', { skip }, async t => {
  const ctl = new Etcdctl(t, await startAccess(t, 'plain'))
  const target = await Cluster.start(t, { nodes: 1 })
  const mirror = { ...ctl.access, cluster: target }
  for (let i = 0; i < 20; i++) await ctl.says(['put', `m/${i}`, `v${i}`], 'OK\n')
  const host = new URL(target.nodes[0]!.plan.clientUrl).host
  ctl.follow(['make-mirror', '--prefix=m/', '--dest-prefix=copy/', host])
  const there = new Etcdctl(t, mirror)
  const copied = async (key: string): Promise<string> =>
    (await there.run(['get', `copy/${key}`, '--print-value-only'])).stdout
  await holds('what was there', async () => (await copied('19')) === 'v19\n')
  await ctl.says(['put', 'm/new', 'later'], 'OK\n')
  await ctl.says(['del', 'm/0'], '1\n')
  await holds('what comes', async () => (await copied('new')) === 'later\n' && (await copied('0')) === '')
})

t.test('etcdctl: check perf, which removes what it wrote', { skip }, async t => {
  const ctl = new Etcdctl(t, await startAccess(t, 'plain'))
  const { stdout, stderr } = await ctl.run(['check', 'perf', '--load=s'])
  // How fast this machine is today is no matter here.
  t.match(stdout, /Throughput/)
  t.notMatch(stderr, /deadline exceeded|Error/)
  await ctl.says(['get', '--prefix', '/etcdctl-check-perf/', '--keys-only'], /^$/)
})
