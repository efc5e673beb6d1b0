import { cpSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { KvorumClient } from '@kvorum/client'
import { LIMITS } from '@kvorum/model'
import t from 'tap'
import { Cluster } from './cluster.js'
import { Load } from './load.js'
import { refused } from './refused.js'
import type { ServerProcess } from './serverProcess.js'
import { holds } from './until.js'
import { judge } from './verdict.js'

t.setTimeout(600_000)

const WAY_BACK = /kvorum member replace/

t.test('a follower behind the purged log is brought back by a snapshot', async t => {
  const cluster = await Cluster.start(t, { flags: ['--snapshot-count=500'] })
  const load = await Load.start(cluster)
  await load.progress(20, cluster.nodes)
  const leader = await cluster.leader()
  const follower = cluster.others(leader)[0]!
  await follower.stop('SIGKILL')
  await load.burst(leader, LIMITS.catchUpEntries + 2_000)
  follower.start()
  await load.progress(20, cluster.nodes)
  await judge(t, cluster, load)
  t.ok((await metric(follower, 'kvorum_snapshots_installed_total')) > 0, 'by a snapshot')
})

t.test('a wiped follower is refused with the way back, and the others serve', async t => {
  const cluster = await Cluster.start(t)
  const load = await Load.start(cluster)
  await load.progress(20, cluster.nodes)
  const wiped = cluster.others(await cluster.leader())[0]!
  const others = cluster.others(wiped)
  await wiped.stop('SIGKILL')
  const kept = join(cluster.directory, 'kept')
  renameSync(wiped.plan.dataDir, kept)
  await refused(t, wiped, WAY_BACK)
  await load.progress(50, others)
  await refused(t, wiped, WAY_BACK)
  await load.progress(20, others)
  rmSync(wiped.plan.dataDir, { recursive: true })
  renameSync(kept, wiped.plan.dataDir)
  wiped.start()
  await load.progress(20, cluster.nodes)
  await judge(t, cluster, load)
})

t.test('a copy of a data directory is refused, older or as old as the one that is known', async t => {
  const cluster = await Cluster.start(t)
  const load = await Load.start(cluster)
  await load.progress(20, cluster.nodes)
  const node = cluster.others(await cluster.leader())[0]!
  const { dataDir } = node.plan
  const copy = join(cluster.directory, 'copy')
  const current = join(cluster.directory, 'current')
  await node.stop('SIGTERM')
  cpSync(dataDir, copy, { recursive: true })
  const exchange = (): void => {
    renameSync(dataDir, current)
    cpSync(copy, dataDir, { recursive: true })
  }
  const restore = (): void => {
    rmSync(dataDir, { recursive: true })
    renameSync(current, dataDir)
  }

  node.start()
  await load.progress(20, cluster.nodes)
  await node.stop('SIGKILL')
  exchange()
  await refused(t, node, WAY_BACK)
  restore()

  for (let start = 0; start < 2; start++) {
    node.start()
    await load.progress(20, cluster.nodes)
    await node.stop('SIGKILL')
  }
  exchange()
  await refused(t, node, /rolled back.*kvorum member replace/)
  restore()
  node.start()
  await load.progress(20, cluster.nodes)
  await judge(t, cluster, load)
})

t.test('a copy that is started beside the original is refused; the original goes on', async t => {
  const cluster = await Cluster.start(t)
  const load = await Load.start(cluster)
  await load.progress(20, cluster.nodes)
  const node = cluster.others(await cluster.leader())[0]!
  await node.stop('SIGTERM')
  const copy = await cluster.sibling(node, 'copy', [])
  cpSync(node.plan.dataDir, copy.plan.dataDir, { recursive: true })
  node.start()
  await load.progress(20, cluster.nodes)
  await refused(t, copy, WAY_BACK)
  await load.progress(20, cluster.nodes)
  await judge(t, cluster, load)
})

t.test('two clusters that are wired together by mistake stay two', async t => {
  const cluster = await Cluster.start(t)
  const stranger = await cluster.sibling(cluster.nodes[0]!, 'stranger', ['--initial-cluster-token=another'])
  stranger.start()
  await stranger.logged(/belongs to another cluster/)
  t.equal((await stranger.get('/health')).status, 503, 'the stranger stays up, and has no leader')
  const client = new KvorumClient({ endpoints: cluster.endpoints })
  t.teardown(() => client.close())
  t.equal((await client.put('a', 'b')).revision, 2, 'the cluster serves')
  await holds('the cluster to say who was turned away', () =>
    cluster.nodes.some(node => /otherCluster/.test(node.log)),
  )
})

async function metric(node: ServerProcess, name: string): Promise<number> {
  const { body } = await node.get('/metrics')
  const line = new RegExp(`^${name} (\\d+)$`, 'm').exec(body)
  if (line === null) throw new Error(`${node.plan.name} has no metric ${name}`)
  return Number(line[1])
}
