import { createStageTimes, STAGES, type ClientRequest, type GroupId, type Stage } from '@kvorum/model'
import t from 'tap'
import { addTimes } from '#src/driver/stageTimes.js'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { ALL, get, leader, put } from './requests.js'

/** Where one request was, and for how many milliseconds of virtual time. */
function stagesOf(
  cluster: MiniCluster,
  node: MiniNode,
  request: ClientRequest,
): Partial<Record<Stage, number>> {
  const id = node.request(request)
  const asked = cluster.now
  cluster.until(() => node.results.has(id))
  const reply = node.replies.get(id)!
  if (!reply.result.ok) throw new Error(reply.result.error.code)
  const { times, arrived } = reply
  const spent = STAGES.map(stage => [stage, times[stage]] as const).filter(([, ms]) => ms > 0)
  const sum = spent.reduce((all, [, ms]) => all + ms, 0)
  // Every request waits a millisecond for its turn here, and `until` looks after the answer.
  if (arrived !== asked + 1 || sum !== cluster.now - arrived)
    throw new Error(`${sum} ms of ${cluster.now - arrived} are told`)
  return Object.fromEntries(spent)
}

function quiet(): { cluster: MiniCluster; node: MiniNode; followers: MiniNode[] } {
  const cluster = new MiniCluster()
  const node = leader(cluster)
  cluster.ask(node, put('k', '0'))
  cluster.run(50)
  return { cluster, node, followers: cluster.nodes.filter(each => each !== node) }
}

t.test('a write: the majority, the own disk, the state machine', async t => {
  const { cluster, node, followers } = quiet()
  t.strictSame(stagesOf(cluster, node, put('k', '1')), { replicate: 3, apply: 1 })
  for (const each of followers) each.diskDelay = 20
  t.strictSame(stagesOf(cluster, node, put('k', '2')), { replicate: 22, apply: 1 })
  for (const each of followers) each.diskDelay = 1
  cluster.run(100)
  node.diskDelay = 40
  t.strictSame(stagesOf(cluster, node, put('k', '3')), { replicate: 3, disk: 37, apply: 1 })
  node.diskDelay = 1
  cluster.run(100)
  node.storeDelay = 9
  t.strictSame(stagesOf(cluster, node, put('new', '1')), { replicate: 3, apply: 9 })
})

t.test('writes that wait for the one before them wait in the state machine', async t => {
  const { cluster, node } = quiet()
  node.storeDelay = 30
  const first = node.request(put('a', '1'))
  cluster.run(5)
  const second = node.request(put('b', '2'))
  cluster.until(() => node.results.has(second))
  t.match(node.replies.get(first)!.times, { replicate: 3, disk: 0, apply: 30 })
  const { replicate, apply } = node.replies.get(second)!.times
  t.equal(replicate, 3)
  t.ok(apply > 30, `${apply} ms`)
  const { committed, durable } = node.state.groups.get(1 as GroupId)!.marks
  cluster.ask(node, put('c', '3'))
  t.ok(committed.length <= 3 && durable.length <= 3, 'marks are forgotten')
})

t.test('a read: the proof of leadership, what it has to see, the rows', async t => {
  const { cluster, node, followers } = quiet()
  node.storeDelay = 5
  t.strictSame(stagesOf(cluster, node, get(ALL)), { confirm: 2, store: 5 })
  t.strictSame(stagesOf(cluster, node, get(ALL, true)), { store: 5 })
  const [follower] = followers
  t.match(stagesOf(cluster, follower!, get(ALL)), { store: 1 })
  follower!.diskDelay = 50
  const write = node.request(put('k', '9'))
  cluster.until(() => node.results.has(write))
  const { catchUp, confirm } = stagesOf(cluster, follower!, get(ALL))
  t.ok(catchUp! > 20, `${catchUp} ms until it holds the write`)
  t.ok(confirm! > 0 && confirm! < 20)
})

t.test('what another node leads is there; where nobody leads it waits', async t => {
  const { cluster, node, followers } = quiet()
  const [follower, third] = followers
  t.strictSame(stagesOf(cluster, follower!, put('k', '1')), { forward: 6 })
  node.up = false
  cluster.until(() => leaderless(follower!) || leaderless(third!))
  const { leader: waited } = stagesOf(cluster, leaderless(follower!) ? follower! : third!, put('k', '2'))
  t.ok(waited! > 0, `${waited} ms without a leader`)
})

const leaderless = (node: MiniNode): boolean => node.state.groups.get(1 as GroupId)?.raft?.leader === 0

t.test('the runtime adds what lies before the first turn and after the last', t => {
  const times = { ...createStageTimes(), replicate: 5, apply: 2 }
  const into = { ...createStageTimes(), apply: 1 }
  addTimes(into, { id: 1, result: null as never, arrived: 13, times }, 10, 24)
  t.strictSame(into, { ...createStageTimes(), queue: 3, replicate: 5, apply: 3, reply: 4 })
  t.end()
})
