import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import t from 'tap'
import { claimDirectory, deleteCluster, readShape, releaseDirectory, writeShape } from '#src/dev/directory.js'
import { shortForm } from '#src/dev/logLine.js'
import { chooseShape, NODES_MAX, planCluster, type NodePlan } from '#src/dev/plan.js'
import { findPortProblem } from '#src/dev/ports.js'
import { findLeader, readStatus } from '#src/dev/statuses.js'
import { serverEnvironment } from '#src/dev/supervisor.js'
import { exitText, leaderText, welcome } from '#src/dev/texts.js'

const planned = (nodes: number, portBase: number, directory = 'dir'): NodePlan[] => {
  const plans = planCluster({ nodes, portBase }, directory, [])
  if (!plans.ok) throw new Error(plans.reason)
  return plans.value
}

t.test('ports and arguments of the nodes', async t => {
  const plans = planned(3, 2379)
  t.match(plans, [
    { name: 'node-1', clientPort: 2379, peerPort: 2380, dataDir: join('dir', 'node-1') },
    { name: 'node-2', clientPort: 22379, peerPort: 22380, logFile: join('dir', 'node-2.log') },
    { name: 'node-3', clientPort: 32379, peerPort: 32380 },
  ])
  t.strictSame(plans[1]?.argv, [
    'server',
    '--name=node-2',
    `--data-dir=${join('dir', 'node-2')}`,
    '--listen-client-urls=http://127.0.0.1:22379',
    '--advertise-client-urls=http://127.0.0.1:22379',
    '--listen-peer-urls=http://127.0.0.1:22380',
    '--initial-advertise-peer-urls=http://127.0.0.1:22380',
    '--initial-cluster=node-1=http://127.0.0.1:2380,node-2=http://127.0.0.1:22380,node-3=http://127.0.0.1:32380',
    '--initial-cluster-state=new',
    '--initial-cluster-token=kvorum-dev',
  ])
  const all = planned(NODES_MAX, 2379).flatMap(plan => [plan.clientPort, plan.peerPort])
  t.equal(new Set(all).size, 2 * NODES_MAX, 'no port is used twice')
  t.ok(Math.max(...all) <= 65_535)
  t.match(planCluster({ nodes: 3, portBase: 40_000 }, 'dir', []), {
    ok: false,
    reason: /would need port 70001/,
  })
  const extra = planCluster({ nodes: 1, portBase: 1 }, 'dir', ['--election-timeout=500'])
  t.equal(extra.ok && extra.value[0]?.argv.at(-1), '--election-timeout=500')
})

t.test('a directory keeps the shape of its cluster', async t => {
  const stored = { nodes: 5, portBase: 3000 }
  const nothing = { nodes: null, portBase: null }
  t.strictSame(chooseShape(null, nothing, 'd'), { ok: true, value: { nodes: 3, portBase: 2379 } })
  t.strictSame(chooseShape(null, { nodes: 1, portBase: 4000 }, 'd'), {
    ok: true,
    value: { nodes: 1, portBase: 4000 },
  })
  t.strictSame(chooseShape(stored, nothing, 'd'), { ok: true, value: stored })
  t.strictSame(chooseShape(stored, { nodes: 5, portBase: null }, 'd'), { ok: true, value: stored })
  t.match(chooseShape(stored, { nodes: 3, portBase: null }, 'd'), {
    ok: false,
    reason: /holds a cluster of 5 nodes/,
  })
  t.match(chooseShape(stored, { nodes: null, portBase: 2379 }, 'd'), {
    ok: false,
    reason: /from port 3000 on/,
  })
})

t.test('shards from the start are kept with the shape', async t => {
  const asked = { nodes: 5, portBase: null, replicas: 3, splitKeys: 'g,n' }
  const nothing = { nodes: null, portBase: null, replicas: null, splitKeys: null }
  const shape = { nodes: 5, portBase: 2379, replicas: 3, splitKeys: 'g,n' }
  t.strictSame(chooseShape(null, asked, 'd'), { ok: true, value: shape })
  t.strictSame(chooseShape(shape, nothing, 'd'), { ok: true, value: shape })
  t.match(chooseShape(shape, { ...nothing, replicas: 5 }, 'd'), {
    ok: false,
    reason: /begun with --replicas=3 --initial-split-keys=g,n; start it as it is/,
  })
  const one = { nodes: 3, portBase: 2379 }
  t.match(chooseShape(one, { ...nothing, splitKeys: 'm' }, 'd'), { ok: false, reason: /from port 2379 on; / })
  const plans = planCluster(shape, 'd', ['--log-level=debug'])
  t.strictSame(plans.ok && plans.value.map(({ argv }) => argv.slice(-3)), [
    ...Array.from({ length: 5 }, () => ['--replicas=3', '--initial-split-keys=g,n', '--log-level=debug']),
  ])
  const path = t.testdir()
  writeShape(path, shape)
  t.strictSame(readShape(path), { ok: true, value: shape })
  writeFileSync(join(path, 'cluster.json'), '{"nodes":3,"portBase":1,"replicas":"3"}')
  t.match(readShape(path), { ok: false, reason: /is damaged/ })
})

t.test('the directory is made for its owner, and has one user at a time', async t => {
  const path = join(t.testdir(), 'deep', '.kvorum')
  t.strictSame(claimDirectory(path, process.pid), { ok: true, value: null })
  t.equal(statSync(path).mode & 0o777, 0o700)
  t.match(claimDirectory(path, 1), {
    ok: false,
    reason: new RegExp(`another "kvorum dev" \\(process ${process.pid}\\)`),
  })
  releaseDirectory(path)
  t.match(claimDirectory(path, process.pid), { ok: true })

  writeFileSync(join(path, 'dev.lock'), '2147483646\n')
  t.match(claimDirectory(path, process.pid), { ok: true }, 'a lock whose process is gone is taken over')
  writeFileSync(join(path, 'dev.lock'), 'garbage')
  t.match(claimDirectory(path, process.pid), { ok: true }, 'and so is one that names no process')
  writeFileSync(join(path, 'file'), '')
  t.match(claimDirectory(join(path, 'file'), process.pid), {
    ok: false,
    reason: /cannot be used as a directory/,
  })
})

t.test('--fresh deletes the cluster and nothing else', async t => {
  const path = t.testdir({
    'node-1': { wal: 'x' },
    'node-12.log': '',
    'node-x': {},
    'notes.txt': '',
    'dev.lock': '1',
  })
  t.strictSame(readShape(path), { ok: true, value: null })
  writeShape(path, { nodes: 3, portBase: 2379 })
  t.strictSame(readShape(path), { ok: true, value: { nodes: 3, portBase: 2379 } })
  deleteCluster(path)
  t.strictSame(readdirSync(path).sort(), ['dev.lock', 'node-x', 'notes.txt'])
  for (const damage of ['', '{}', '{"nodes":"3","portBase":1}']) {
    writeFileSync(join(path, 'cluster.json'), damage)
    t.match(readShape(path), { ok: false, reason: /is damaged; delete the cluster with --fresh/ }, damage)
  }
  mkdirSync(join(path, 'node-2'))
  t.ok(readFileSync(join(path, 'notes.txt')), 'still there')
})

t.test('a port in use is one sentence', async t => {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  t.teardown(() => server.close())
  const plan = { ...planned(1, 2379)[0]!, clientPort: port, peerPort: port }
  t.match(
    await findPortProblem([plan]),
    new RegExp(`^port ${port} of 127.0.0.1 is already in use; .* --port-base$`),
  )
  server.close()
  await new Promise(resolve => server.once('close', resolve))
  t.equal(await findPortProblem([plan]), null)
})

t.test('only what a developer must see leaves the log', async t => {
  const rows: readonly (readonly [string, string | null])[] = [
    ['', null],
    ['{"level":"info","time":"t","msg":"answering clients"}', null],
    ['{"level":"debug","msg":"x"}', null],
    [
      '{"level":"warn","time":"t","msg":"slow disk","ms":120,"file":"wal"}',
      'warn: slow disk ms=120 file=wal',
    ],
    [
      '{"level":"fatal","time":"t","reason":"fsync failed","msg":"cannot go on"}',
      'fatal: cannot go on reason=fsync failed',
    ],
    ['{"level":"error","facts":{"a":1}}', 'error:  facts={"a":1}'],
    ['kvorum: The client address is already in use.', 'kvorum: The client address is already in use.'],
    ['    at Object.<anonymous> (x.js:1:1)', '    at Object.<anonymous> (x.js:1:1)'],
    ['[1]', '[1]'],
    ['null', 'null'],
  ]
  for (const [line, shown] of rows) t.equal(shortForm(line), shown, line)
})

t.test('who leads', async t => {
  const [one, two] = planned(3, 2379)
  const body = (member: string, leader?: string, term = '2'): object => ({
    header: { member_id: member },
    raftTerm: term,
    ...(leader === undefined ? {} : { leader }),
  })
  t.match(readStatus(one!, body('18446744073709551615', '18446744073709551615')), { leads: true, term: 2 })
  t.match(readStatus(one!, body('5', '6')), { leads: false })
  t.match(readStatus(one!, body('5')), { leads: false }, 'a node without a leader')
  t.match(readStatus(one!, { header: {} }), { leads: false, term: 0 })
  const old = readStatus(one!, body('5', '5', '2'))
  const current = readStatus(two!, body('6', '6', '3'))
  t.equal(findLeader([old, current]), current, 'the newer term counts')
  t.equal(findLeader([readStatus(one!, body('5', '6'))]), null)
})

t.test('what the user is told', async t => {
  const plans = planned(3, 2379, '.kvorum')
  const text = welcome(plans, { plan: plans[1]!, leads: true, term: 4 }, '.kvorum', () => 77)
  t.match(text, /node-2 +127\.0\.0\.1:22379 +process 77 +leader, term 4/)
  t.match(text, 'npx kvorum put hello world')
  t.match(text, 'etcdctl --endpoints 127.0.0.1:2379,127.0.0.1:22379,127.0.0.1:32379 get hello')
  const moved = planned(1, 5000)
  const single = welcome(moved, { plan: moved[0]!, leads: true, term: 1 }, 'd', () => null)
  t.match(single, /kvorum: 1 node on this machine/)
  t.match(single, 'npx kvorum put --endpoints 127.0.0.1:5000 hello world')
  const exit = { plan: plans[0]!, pid: 9, code: null, signal: 'SIGKILL' as const }
  t.equal(exitText(exit, 5000), 'node-1 (process 9) was killed by SIGKILL; it starts again in 5 s.')
  t.equal(
    exitText({ ...exit, code: 1, signal: null }, null),
    'node-1 (process 9) ended with status 1; it stays down.',
  )
  t.equal(
    leaderText({ plan: plans[2]!, leads: true, term: 5 }),
    'node-3 (127.0.0.1:32379) leads now, term 5.',
  )
})

t.test('servers do not inherit settings that are not theirs', async t => {
  const env = {
    PATH: 'p',
    NODE_OPTIONS: '--inspect',
    KVORUM_NAME: 'x',
    ETCD_NAME: 'y',
    ETCDCTL_USER: 'z',
    UV_THREADPOOL_SIZE: '16',
  }
  t.strictSame(serverEnvironment(env), { PATH: `${dirname(process.execPath)}:p`, UV_THREADPOOL_SIZE: '16' })
})
