import t from 'tap'
import { Cluster } from './cluster.js'
import { Load } from './load.js'
import { holds } from './until.js'
import { judge } from './verdict.js'

t.setTimeout(600_000)

t.test('SIGSTOP of the leader: it wakes up as nobody’s leader and answers nothing stale', async t => {
  const cluster = await Cluster.start(t)
  const load = await Load.start(cluster)
  for (let round = 0; round < 2; round++) {
    await load.progress(50, cluster.nodes)
    const leader = await cluster.leader()
    const term = (await leader.status())!.term
    const probe = await load.prober(leader)
    leader.pause()
    const others = cluster.others(leader)
    await load.progress(50, others)
    // It finds these when it wakes up, perhaps before it hears of the others.
    const probed = probe(20)
    await load.progress(5, others)
    t.ok(((await (await cluster.leader(others)).status())?.term ?? 0) > term, 'another one leads')
    leader.resume()
    await probed
    await holds('the old leader to hear of it', async () => ((await leader.status())?.term ?? 0) > term)
    await load.progress(20, cluster.nodes)
  }
  await judge(t, cluster, load)
})

t.test('SIGSTOP of a follower, then of the leader while it catches up', async t => {
  const cluster = await Cluster.start(t)
  const load = await Load.start(cluster)
  const leader = await cluster.leader()
  const follower = cluster.others(leader)[0]!
  follower.pause()
  await load.progress(100, cluster.others(follower))
  follower.resume()
  leader.pause()
  await load.progress(20, cluster.others(leader))
  leader.resume()
  await load.progress(20, cluster.nodes)
  await judge(t, cluster, load)
})

t.test('a rolling restart, the leader last', async t => {
  const cluster = await Cluster.start(t)
  const load = await Load.start(cluster)
  await load.progress(50)
  const leader = await cluster.leader()
  for (const node of [...cluster.others(leader), leader]) {
    t.equal(await node.stop('SIGTERM'), 0, `${node.plan.name} stops in good order`)
    await load.progress(20, cluster.others(node))
    node.start()
    await load.progress(20, cluster.nodes)
  }
  await judge(t, cluster, load)
})
