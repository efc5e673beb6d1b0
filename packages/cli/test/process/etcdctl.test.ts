import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { Cluster } from './cluster.js'
import { ETCD_ENVIRONMENT, etcdctlVersion } from './etcdPrograms.js'
import type { ServerProcess } from './serverProcess.js'
import { holds, until } from './until.js'

t.setTimeout(600_000)

const version = etcdctlVersion()
const skip = version === null && process.env['CI'] !== 'true' ? 'etcdctl is not installed' : false

interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** With their scheme: for calls of maintenance this etcdctl makes the whole endpoint the request's `:authority`. */
const endpointsFlag = (urls: readonly string[]): string => `--endpoints=${urls.join()}`

function etcdctl(endpoints: readonly string[], args: readonly string[], input = ''): Promise<Ran> {
  return new Promise(resolve => {
    const argv = [endpointsFlag(endpoints), '--command-timeout=20s', ...args]
    const child = execFile('etcdctl', argv, { env: ETCD_ENVIRONMENT }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code ?? 1), stdout, stderr })
    })
    child.stdin!.end(input)
  })
}

/** What a command must print, asking one node. */
async function says(
  t: Test,
  node: ServerProcess,
  args: readonly string[],
  expected: RegExp | string,
  input = '',
) {
  const ran = await etcdctl([node.plan.clientUrl], args, input)
  const label = `${node.plan.name}: etcdctl ${args.join(' ')}`
  t.match(ran, { status: 0 }, label)
  if (typeof expected === 'string') t.equal(ran.stdout, expected, label)
  else t.match(ran.stdout, expected, label)
  return ran.stdout
}

/** A command that goes on, and what it has printed so far. */
class Follower {
  readonly #child: ChildProcess
  text = ''

  constructor(t: Test, endpoints: readonly string[], args: readonly string[]) {
    this.#child = spawn('etcdctl', [endpointsFlag(endpoints), ...args], {
      env: ETCD_ENVIRONMENT,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.text += text))
    t.teardown(() => this.end())
  }

  printed(pattern: RegExp): Promise<RegExpExecArray> {
    return until(`etcdctl to print ${pattern}`, () => pattern.exec(this.text))
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}

t.test('every command against every node, while leaders are killed', { skip }, async t => {
  t.comment(`etcdctl ${version ?? 'is missing'}`)
  const cluster = await Cluster.start(t)
  await says(t, cluster.nodes[0]!, ['put', 'seed', 'one'], 'OK\n')
  const watch = new Follower(t, cluster.endpoints, ['watch', '--prefix', '', '--rev=1'])
  await watch.printed(/PUT\nseed\none\n/)

  for (const [at, node] of cluster.nodes.entries()) {
    await commands(t, node, `n${at}`)
    await watch.printed(new RegExp(`PUT\\nn${at}/last\\nvalue\\n`))
    const leader = await cluster.leader()
    await leader.stop('SIGKILL')
    const others = cluster.others(leader)
    await says(t, await cluster.leader(others), ['put', `n${at}/without`, 'a leader'], 'OK\n')
    for (const other of others) await says(t, other, ['get', `n${at}/without`], `n${at}/without\na leader\n`)
    await watch.printed(new RegExp(`PUT\\nn${at}/without\\n`))
    leader.start()
    await cluster.healthy()
  }
  t.equal(watch.text.match(/PUT\nseed\n/g)?.length, 1, 'nothing twice')
  t.equal(watch.text.match(/\/without\n/g)?.length, 3)
  await whole(t, cluster)
})

async function commands(t: Test, node: ServerProcess, prefix: string): Promise<void> {
  await says(t, node, ['put', `${prefix}/a`, '1'], 'OK\n')
  const json = await says(t, node, ['put', `${prefix}/b`, '2', '-w', 'json'], /"revision":\d+/)
  const revision = Number(/"revision":(\d+)/.exec(json)?.[1])
  await says(t, node, ['put', `${prefix}/a`, '3'], 'OK\n')
  await says(t, node, ['get', '--prefix', `${prefix}/`], `${prefix}/a\n3\n${prefix}/b\n2\n`)
  await says(
    t,
    node,
    ['get', '--prefix', `${prefix}/`, `--rev=${revision}`],
    `${prefix}/a\n1\n${prefix}/b\n2\n`,
  )
  await says(
    t,
    node,
    ['txn'],
    /^SUCCESS\n\nOK\n/,
    `value("${prefix}/a") = "3"\n\nput ${prefix}/a 4\n\nget ${prefix}/a\n\n`,
  )
  await says(t, node, ['txn'], /^FAILURE\n\n.*\/a\n4\n/s, `mod("${prefix}/a") = "1"\n\n\nget ${prefix}/a\n\n`)
  await leases(t, node, prefix)
  await says(t, node, ['compaction', String(revision)], `compacted revision ${revision}\n`)
  const gone = await etcdctl([node.plan.clientUrl], ['get', `${prefix}/a`, `--rev=${revision - 1}`])
  t.match(gone, { status: 1, stderr: /required revision has been compacted/ }, 'history is gone')
  await says(t, node, ['member', 'list'], /^([0-9a-f]+, started, n\d, http:\S+, http:\S+, false\n){3}$/)
  await says(t, node, ['endpoint', 'status', '-w', 'json'], /"leader":\d+/)
  await says(t, node, ['endpoint', 'status', '--cluster'], /^(http:\S+, [0-9a-f]+, .*\n){3}$/)
  await says(t, node, ['endpoint', 'health'], /^$|is healthy/)
  await says(t, node, ['put', `${prefix}/last`, 'value'], 'OK\n')
}

async function leases(t: Test, node: ServerProcess, prefix: string): Promise<void> {
  const granted = await says(
    t,
    node,
    ['lease', 'grant', '60'],
    /^lease [0-9a-f]{16} granted with TTL\(60s\)\n$/,
  )
  const id = granted.split(' ')[1]!
  await says(t, node, ['put', `${prefix}/leased`, 'x', `--lease=${id}`], 'OK\n')
  await says(
    t,
    node,
    ['lease', 'timetolive', '--keys', id],
    new RegExp(`attached keys\\(\\[${prefix}/leased\\]\\)`),
  )
  await says(t, node, ['lease', 'keep-alive', '--once', id], `lease ${id} keepalived with TTL(60)\n`)
  const keeping = new Follower(t, [node.plan.clientUrl], ['lease', 'keep-alive', id])
  await keeping.printed(/keepalived with TTL\(60\)/)
  await keeping.end()
  await says(t, node, ['lease', 'revoke', id], `lease ${id} revoked\n`)
  await says(t, node, ['get', `${prefix}/leased`], '')
}

/** One command that asks all nodes. */
async function whole(t: Test, cluster: Cluster): Promise<void> {
  await holds('every endpoint to be healthy', async () => {
    const { status } = await etcdctl(cluster.endpoints, ['endpoint', 'health'])
    return status === 0
  })
  const { stdout } = await etcdctl(cluster.endpoints, ['endpoint', 'status', '-w', 'json'])
  const statuses = JSON.parse(stdout) as readonly { readonly Status: { readonly leader: number } }[]
  t.equal(statuses.length, 3)
  t.equal(new Set(statuses.map(({ Status }) => Status.leader)).size, 1, 'all name the same leader')
}
