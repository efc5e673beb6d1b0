import { execFile } from 'node:child_process'
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { KvorumClient, type Member } from '@kvorum/client'
import t, { type Test } from 'tap'
import { Cluster } from './cluster.js'
import { Load } from './load.js'
import { refused } from './refused.js'
import type { ServerProcess } from './serverProcess.js'
import { until } from './until.js'
import { judge } from './verdict.js'

t.setTimeout(600_000)

const GONE = /the member has been permanently removed from the cluster/

function clientOf(t: Test, nodes: readonly ServerProcess[]): KvorumClient {
  const client = new KvorumClient({ endpoints: nodes.map(({ plan }) => plan.clientUrl), timeoutMs: 20_000 })
  t.teardown(() => client.close())
  return client
}

/** Refusals that say "not yet" of a change are waited out: the one before it may be under way. */
const patiently = <Value>(what: string, change: () => Promise<Value>): Promise<Value> =>
  until(what, async () => {
    try {
      return await change()
    } catch (error) {
      if (/unhealthy cluster|not enough started|in sync with leader/.test(String(error))) return null
      throw error
    }
  })

const memberNamed = (client: KvorumClient, name: string): Promise<Member> =>
  until(`the member ${name}`, async () => (await client.members()).find(one => one.name === name) ?? null)

const PROGRAM = fileURLToPath(new URL('../../../bin/kvorum.js', import.meta.url))

/** What the command prints. A test runner loads things into every Node process by way of NODE_OPTIONS. */
async function kvorum(cluster: Cluster, argv: readonly string[]): Promise<string> {
  const all = [
    '-u',
    'NODE_OPTIONS',
    process.execPath,
    PROGRAM,
    ...argv,
    `--endpoints=${cluster.endpoints.join()}`,
  ]
  const { stdout } = await promisify(execFile)('/usr/bin/env', all)
  return stdout
}

/** Adds a member, starts it, and waits until it serves. */
async function grow(cluster: Cluster, client: KvorumClient, name: string): Promise<ServerProcess> {
  const { server, peerUrl } = await cluster.newcomer(name)
  await patiently(`${name} to be added`, () => client.addMember([peerUrl]))
  server.start()
  await server.healthy()
  await memberNamed(client, name)
  cluster.nodes.push(server)
  return server
}

t.test('from one member to three under load; the first one then dies, and nothing is missing', async t => {
  const cluster = await Cluster.start(t, { nodes: 1 })
  const client = clientOf(t, cluster.nodes)
  const load = await Load.start(cluster)
  await load.progress(50)
  const second = await grow(cluster, client, 'n2')
  await load.progress(50)
  const third = await grow(cluster, client, 'n3')
  await load.progress(50)
  await until('three voters', async () => {
    const lists = await Promise.all(cluster.nodes.map(node => clientOf(t, [node]).members()))
    const status = await Promise.all(cluster.nodes.map(node => client.status(node.plan.clientUrl)))
    return lists.every(list => list.length === 3) && status.every(one => !one.isLearner) ? true : null
  })
  await judge(t, cluster, load)
  await cluster.nodes[0]!.stop('SIGKILL')
  const left = clientOf(t, [second, third])
  t.ok((await left.put('after', 'the first')).revision > 150, 'two of three serve')
})

t.test(
  'the leader is removed under load: it stops and says why, stays out, and nobody is disturbed',
  async t => {
    const cluster = await Cluster.start(t)
    const leader = await cluster.leader()
    const others = cluster.among(cluster.others(leader))
    const client = clientOf(t, others.nodes)
    const load = await Load.start(others)
    await load.progress(50, others.nodes)
    const { id } = await memberNamed(client, leader.plan.name)
    leader.expectEnd()
    await patiently('the leader to be removed', () => client.removeMember(id))
    t.equal(await leader.ended(), 1, 'it ends by itself')
    t.match(leader.log, GONE)
    await load.progress(50, others.nodes)
    t.strictSame(
      (await client.members()).map(({ name }) => name).sort(),
      others.nodes.map(({ plan }) => plan.name),
    )
    const { raftTerm } = await client.status()
    await refused(t, leader, GONE)
    await load.progress(20, others.nodes)
    t.equal((await client.status()).raftTerm, raftTerm, 'no election because of it')
    await t.rejects(client.removeMember(id), { message: 'etcdserver: member not found' })
    await judge(t, others, load)
  },
)

t.test('a wiped member comes back as a new one', async t => {
  const cluster = await Cluster.start(t)
  const wiped = cluster.others(await cluster.leader())[0]!
  const others = cluster.among(cluster.others(wiped))
  const client = clientOf(t, others.nodes)
  const load = await Load.start(others)
  await load.progress(50, others.nodes)
  const { id } = await memberNamed(client, wiped.plan.name)
  await wiped.stop('SIGKILL')
  renameSync(wiped.plan.dataDir, join(cluster.directory, 'lost'))
  await refused(t, wiped, /kvorum member replace/)
  const { server } = await cluster.newcomer(`${wiped.plan.name}-again`, wiped)
  await refused(t, server, /kvorum member replace/)
  const said = await kvorum(others, ['member', 'replace', wiped.plan.name])
  t.match(said, new RegExp(`Member ${id.toString(16)} replaced by member [0-9a-f]+`))
  t.match(said, /^kvorum server --name=.* --initial-cluster-state=existing$/m, 'and says how it is started')
  server.start()
  await server.healthy()
  await load.progress(50, others.nodes)
  others.nodes.push(server)
  await judge(t, others, load)
})

t.test('a learner takes part in nothing until it is promoted; leadership moves to it', async t => {
  const cluster = await Cluster.start(t, { nodes: 1 })
  const client = clientOf(t, cluster.nodes)
  await client.put('before', 'it')
  const { server, peerUrl } = await cluster.newcomer('learner')
  const { id } = await client.addMember([peerUrl], { learner: true })
  await t.rejects(client.addMember(['http://127.0.0.1:1'], { learner: true }), {
    message: 'etcdserver: too many learner members in cluster',
  })
  server.start()
  const learner = await memberNamed(client, 'learner')
  t.match(learner, { id, isLearner: true, clientUrls: [server.plan.clientUrl] })
  await until('it to know that', async () =>
    (await client.status(server.plan.clientUrl)).isLearner ? true : null,
  )
  const direct = clientOf(t, [server])
  const asks: readonly (() => Promise<unknown>)[] = [
    () => direct.get('before'),
    () => direct.put('a', 'b'),
    () => direct.members(),
  ]
  for (const ask of asks) await t.rejects(ask(), { message: 'etcdserver: rpc not supported for learner' })
  t.equal((await direct.get('before', { serializable: true }))?.text(), 'it')
  const first = cluster.nodes[0]!.plan.clientUrl
  await t.rejects(client.moveLeader(first, id), { message: 'etcdserver: bad leader transferee' })
  await patiently('it to be promoted', () => client.promoteMember(id))
  await t.rejects(client.promoteMember(id), {
    message: 'etcdserver: can only promote a learner member',
  })
  await until('it to vote', async () =>
    (await client.status(server.plan.clientUrl)).isLearner ? null : true,
  )
  await patiently('the leadership to move', () => client.moveLeader(first, id))
  t.equal((await client.status(first)).leaderId, id)
  await t.rejects(client.moveLeader(first, id), { message: 'etcdserver: not leader' })
  t.equal((await clientOf(t, [server]).get('before'))?.text(), 'it')
})
