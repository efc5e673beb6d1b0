import { KvorumClient, type Member } from '@kvorum/client'
import t, { type Test } from 'tap'
import { Cluster } from './cluster.js'
import { refused } from './refused.js'
import type { ServerProcess } from './serverProcess.js'
import { holds, until } from './until.js'

/** Changes of the members of which the leader dies half-way, and several at once. */
t.setTimeout(600_000)

const GONE = /the member has been permanently removed from the cluster/
/** The change before it is under way, or nobody knows how this one ended. */
const AGAIN = /unhealthy cluster|not enough started|timed out|no leader|leader changed/

function clientOf(t: Test, nodes: readonly ServerProcess[], timeoutMs = 20_000): KvorumClient {
  const client = new KvorumClient({ endpoints: nodes.map(({ plan }) => plan.clientUrl), timeoutMs })
  t.teardown(() => client.close())
  return client
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Of the meta group: what is in its log there and not yet decided. */
async function undecided(node: ServerProcess): Promise<number> {
  const response = await fetch(`${node.plan.clientUrl}/kvorum/v1/admin/groups`, {
    method: 'POST',
    body: '{}',
  })
  const { groups } = (await response.json()) as { groups: Record<string, string | undefined>[] }
  const meta = groups.find(({ group }) => (group ?? '0') === '0')!
  return Number(meta['last_index'] ?? 0) - Number(meta['committed'] ?? 0)
}

/** The change is in the leader's log and nowhere else acknowledged when the leader dies; the others then go on. */
async function dieHalfway(
  cluster: Cluster,
  leader: ServerProcess,
  ask: () => Promise<unknown>,
): Promise<void> {
  const others = cluster.others(leader)
  await holds('a quiet meta group', async () => (await undecided(leader)) === 0)
  for (const node of others) node.pause()
  const asked = ask().then(
    () => 'done',
    () => 'not known',
  )
  await holds('the change to be in the log', async () => (await undecided(leader)) > 0)
  await leader.stop('SIGKILL')
  for (const node of others) node.resume()
  await asked
  await cluster.healthy(others)
}

/** Asks again until it is done, or the answer says that it was. */
const untilDone = (what: string, ask: () => Promise<unknown>, done: RegExp): Promise<true> =>
  until(what, async () => {
    try {
      await ask()
      return true
    } catch (error) {
      if (done.test(textOf(error))) return true
      if (AGAIN.test(textOf(error))) return null
      throw error
    }
  })

const listed = (members: readonly Member[]): string[] =>
  members.map(({ id, peerUrls }) => `${id} ${peerUrls.join()}`).sort()

/** All of them say the same, and nobody twice. */
async function agree(t: Test, nodes: readonly ServerProcess[], count: number): Promise<readonly Member[]> {
  const lists = await until('one list of members', async () => {
    const all = await Promise.all(nodes.map(node => clientOf(t, [node]).members()))
    return all.every(list => listed(list).join() === listed(all[0]!).join()) ? all : null
  })
  const members = lists[0]!
  t.equal(members.length, count)
  t.equal(new Set(members.flatMap(({ peerUrls }) => peerUrls)).size, count, 'each address once')
  return members
}

t.test(
  'the leader dies in the middle of MemberAdd: asked again, there is one new member, and it joins',
  async t => {
    const cluster = await Cluster.start(t)
    const leader = await cluster.leader()
    const others = cluster.others(leader)
    const { server, peerUrl } = await cluster.newcomer('n4')
    await dieHalfway(cluster, leader, () => clientOf(t, [leader], 5_000).addMember([peerUrl]))
    leader.start()
    await leader.healthy()
    const client = clientOf(t, others)
    await untilDone('n4 to be a member', () => client.addMember([peerUrl]), /Peer URLs already exists/)
    server.start()
    await server.healthy()
    const members = await agree(t, [...cluster.nodes, server], 4)
    t.equal(members.filter(({ peerUrls }) => peerUrls.includes(peerUrl)).length, 1)
    t.ok((await clientOf(t, [server]).put('through', 'the new one')).revision > 0)
  },
)

t.test('the leader dies in the middle of its own MemberRemove: it is gone, and stays out', async t => {
  const cluster = await Cluster.start(t)
  const leader = await cluster.leader()
  const others = cluster.others(leader)
  const client = clientOf(t, others)
  const { id } = (await client.members()).find(({ name }) => name === leader.plan.name)!
  await dieHalfway(cluster, leader, () => clientOf(t, [leader], 5_000).removeMember(id))
  await untilDone('it to be removed', () => client.removeMember(id), /member not found/)
  await agree(t, others, 2)
  t.ok((await client.put('without', 'it')).revision > 0)
  await refused(t, leader, GONE)
})

t.test('several changes at once: each is done or refused as a whole', async t => {
  const cluster = await Cluster.start(t)
  const newcomers = await Promise.all(['n4', 'n5', 'n6', 'n7'].map(name => cluster.newcomer(name)))
  const [a, b, c, d] = newcomers.map(({ peerUrl }) => peerUrl)
  const from = (node: number): KvorumClient => clientOf(t, [cluster.nodes[node]!])
  const voters = await Promise.allSettled([from(0).addMember([a!]), from(1).addMember([b!])])
  t.same(
    voters.map(({ status }) => status),
    ['fulfilled', 'fulfilled'],
    'one after the other',
  )
  const same = await Promise.allSettled([
    from(1).addMember([c!], { learner: true }),
    from(2).addMember([d!], { learner: true }),
  ])
  const refusals = same.flatMap(result => (result.status === 'rejected' ? [textOf(result.reason)] : []))
  t.same(refusals, ['etcdserver: too many learner members in cluster'], 'one of two learners')
  const members = await agree(t, cluster.nodes, 6)
  const unstarted = members.filter(({ name }) => name === '')
  const removed = await Promise.allSettled(unstarted.map(({ id }, at) => from(at % 3).removeMember(id)))
  t.ok(removed.every(({ status }) => status === 'fulfilled'))
  await agree(t, cluster.nodes, 3)
  const gone = unstarted[0]!.id
  const twice = await Promise.allSettled([from(0).removeMember(gone), from(1).removeMember(gone)])
  t.same(
    twice.map(result => (result.status === 'rejected' ? textOf(result.reason) : 'done')),
    ['etcdserver: member not found', 'etcdserver: member not found'],
  )
})
