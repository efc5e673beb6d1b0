import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { KvorumClient } from '@kvorum/client'
import { connect } from '#src/connect.js'
import type { Io } from '#src/io.js'
import { run } from '#src/run.js'
import t from 'tap'
import { Cluster } from './cluster.js'
import { until } from './until.js'

t.setTimeout(600_000)

const PROGRAM = fileURLToPath(new URL('../../../bin/kvorum.js', import.meta.url))

interface Ran {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

const argvOf = (cluster: Cluster, line: string): string[] => [
  ...line.split(' '),
  `--endpoints=${cluster.endpoints.join()}`,
  '--command-timeout=20s',
  '--dial-timeout=20s',
]

/** The command in this process: all of it but the standard streams. */
async function kvorum(cluster: Cluster, line: string): Promise<Ran> {
  let out = ''
  let err = ''
  const io: Io = {
    env: {},
    write: output => void (out += Buffer.from(output).toString('utf8')),
    say: said => void (err += `${said}\n`),
    readInput: () => Promise.resolve(Buffer.alloc(0)),
    readLines: async function* () {},
    now: () => performance.now(),
    askSecret: null,
    connect,
  }
  const status = await run(io, argvOf(cluster, line))
  return { status, out, err }
}

/** The command as a process; NODE_OPTIONS would load a test runner's things into it. */
function kvorumProcess(cluster: Cluster, line: string, input: string): Promise<Ran> {
  const argv = ['-u', 'NODE_OPTIONS', process.execPath, PROGRAM, ...argvOf(cluster, line)]
  const child = spawn('/usr/bin/env', argv)
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  child.stdin.end(input)
  return new Promise(resolve => child.once('close', status => resolve({ status, out, err })))
}

t.test('the verbs of maintenance, through three nodes', async t => {
  const cluster = await Cluster.start(t)
  const client = new KvorumClient({ endpoints: cluster.endpoints, timeoutMs: 20_000 })
  t.teardown(() => client.close())
  const says = async (line: string, expected: RegExp | string, input: string | null = null) => {
    const ran = await (input === null ? kvorum(cluster, line) : kvorumProcess(cluster, line, input))
    t.match({ ...ran, line }, { status: 0, out: expected })
  }
  const each = (pattern: string): RegExp => new RegExp(`^(${pattern}\\n){3}$`)

  await client.put('a', '1')
  const { revision } = await client.put('a', '2')
  await says('endpoint health --cluster', each('http:\\S+ is healthy: .* took = [0-9.]+m?s'))
  await says(
    'endpoint status --cluster',
    each('http:\\S+, [0-9a-f]+, [0-9.]+, [0-9.]+ k?B, (true|false), false, .*'),
  )
  await says(`compaction ${revision} --physical`, `compacted revision ${revision}\n`)
  const hashes = await until('the compaction to be everywhere', async () => {
    const found = await Promise.all(cluster.endpoints.map(endpoint => client.hashKv(endpoint, { revision })))
    return found.every(({ compactRevision }) => compactRevision === revision) ? found : null
  })
  t.equal(new Set(hashes.map(({ hash }) => hash)).size, 1)
  await says(`endpoint hashkv --rev=${revision}`, each(`http:\\S+, ${hashes[0]!.hash}`))
  await says('defrag --cluster', each('Finished defragmenting etcd member\\[http:\\S+\\]'))
  await client.defragment(cluster.endpoints[0]!)

  const { memberId } = await client.status()
  await raise(cluster, memberId)
  await says('alarm list', `memberID:${memberId} alarm:NOSPACE \n`)
  t.strictSame(await client.alarms(), [{ memberId, kind: 'noSpace' }])
  t.match(await kvorum(cluster, 'endpoint health'), { status: 1, err: 'Error: unhealthy cluster\n' })
  await t.rejects(client.put('a', '3'), { code: 'ERR_KV_NO_SPACE' })
  await says('alarm disarm', `memberID:${memberId} alarm:NOSPACE \n`)
  await says('alarm list -w table', /\| MEMBER ID \| ALARM \|/)
  await raise(cluster, memberId)
  t.strictSame(await client.disarm(), [{ memberId, kind: 'noSpace' }])
  await client.put('a', '3')

  const leader = await cluster.leader()
  const heir = cluster.others(leader)[0]!
  const to = BigInt((await heir.status())!.member).toString(16)
  await says(`move-leader ${to}`, new RegExp(`^Leadership transferred from [0-9a-f]+ to ${to}\\n$`))
  t.equal((await cluster.leader()).plan.name, heir.plan.name)

  await says('user add alice --interactive=false', 'User alice created\n', 'first\nnot this\n')
  await says('user passwd alice --interactive=false', 'Password updated\n', 'second\n')
  const known = new KvorumClient({
    endpoints: cluster.endpoints,
    auth: { username: 'alice', password: 'second' },
  })
  t.teardown(() => known.close())
  t.match(await kvorum(cluster, 'user add bob'), { status: 1, err: /a password is needed/ })
  await says('user add root --no-password', 'User root created\n')
  t.equal((await known.get('a'))?.text(), '3')

  const bytes: Uint8Array[] = []
  for await (const piece of client.snapshot()) bytes.push(piece.bytes)
  const file = Buffer.concat(bytes)
  const hash = createHash('sha256').update(file.subarray(0, -32)).digest()
  t.ok(hash.equals(file.subarray(-32)), 'the snapshot ends with its hash')
})

/** As an operator or another client would, over the gateway. */
async function raise(cluster: Cluster, memberId: bigint): Promise<void> {
  const response = await fetch(`${cluster.endpoints[0]}/v3/maintenance/alarm`, {
    method: 'POST',
    body: JSON.stringify({ action: 'ACTIVATE', memberID: String(memberId), alarm: 'NOSPACE' }),
    signal: AbortSignal.timeout(20_000),
  })
  if (!response.ok) throw new Error(await response.text())
}
