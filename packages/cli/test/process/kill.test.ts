import t from 'tap'
import { Cluster } from './cluster.js'
import { Load } from './load.js'
import { judge } from './verdict.js'

t.setTimeout(600_000)

t.test('kill -9 of the leader: the others go on, and it comes back', async t => {
  const cluster = await Cluster.start(t)
  const load = await Load.start(cluster)
  await load.progress(50)
  for (let round = 0; round < 2; round++) {
    const leader = await cluster.leader()
    t.equal(await leader.stop('SIGKILL'), 'SIGKILL')
    await load.progress(20, cluster.others(leader))
    leader.start()
    await load.progress(20, cluster.nodes)
  }
  await judge(t, cluster, load)
})

t.test('kill -9 of a follower', async t => {
  const cluster = await Cluster.start(t)
  const load = await Load.start(cluster)
  for (let round = 0; round < 2; round++) {
    const follower = cluster.others(await cluster.leader())[round]!
    t.equal(await follower.stop('SIGKILL'), 'SIGKILL')
    await load.progress(50, cluster.others(follower))
    follower.start()
    await load.progress(20, cluster.nodes)
  }
  await judge(t, cluster, load)
})

t.test('kill -9 of all three at once', async t => {
  const cluster = await Cluster.start(t)
  const load = await Load.start(cluster)
  for (let round = 0; round < 2; round++) {
    await load.progress(50, cluster.nodes)
    await Promise.all(cluster.nodes.map(node => node.stop('SIGKILL')))
    for (const node of cluster.nodes) node.start()
  }
  await load.progress(50, cluster.nodes)
  await judge(t, cluster, load)
})
