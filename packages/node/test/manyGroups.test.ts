import { LIMITS, utf8, type GroupId, type KeyRange } from '@kvorum/model'
import type { Parcel } from '@kvorum/node'
import t from 'tap'
import { armTimer, createTimers, nextTimer, refreshTimers } from '#src/timers.js'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { put } from './requests.js'

/** A thousand groups and more must cost next to nothing while nobody asks anything of them. */

const HEARTBEAT = 10

const key = (n: number): string => `k${String(n).padStart(4, '0')}`

/** With the meta group there are as many groups. */
function rangesFor(groups: number): KeyRange[] {
  const bound = (n: number): Uint8Array => utf8(key(n))
  return Array.from({ length: groups - 1 }, (_, i) => ({
    start: i === 0 ? new Uint8Array(0) : bound(i),
    end: i === groups - 2 ? null : bound(i + 1),
  }))
}

function clusterOf(groups: number): MiniCluster {
  const cluster = new MiniCluster({ ranges: rangesFor(groups) })
  cluster.until(() => ledBy(cluster).every(leader => leader !== undefined), 2_000)
  cluster.run(20 * HEARTBEAT)
  return cluster
}

const ledBy = (cluster: MiniCluster): (MiniNode | undefined)[] =>
  [...cluster.nodes[0]!.state.groups.keys()].map(group => cluster.leaderOf(group))

const groupsLed = (node: MiniNode): number =>
  [...node.state.groups.values()].filter(({ raft }) => raft?.role === 'leader').length

const termsOf = (cluster: MiniCluster): number[] =>
  cluster.nodes.flatMap(({ state }) => [...state.groups.values()].map(({ raft }) => raft!.term))

/** Everything that the nodes tell each other from now on. */
function listen(cluster: MiniCluster): Parcel[] {
  const heard: Parcel[] = []
  for (const node of cluster.nodes) {
    const put = node.put.bind(node)
    node.put = (input, delay) => {
      if (input.kind === 'parcels') heard.push(...input.parcels)
      put(input, delay)
    }
  }
  return heard
}

t.test('a thousand idle groups: one message a peer and heartbeat, and nothing else happens', async t => {
  const cluster = clusterOf(1_000)
  const terms = termsOf(cluster)
  const heard = listen(cluster)
  const before = cluster.nodes.map(({ turns, state }) => ({ turns, settled: state.counters.groupsSettled }))
  const beats = 30
  cluster.run(beats * HEARTBEAT)
  t.strictSame(termsOf(cluster), terms, 'nobody campaigned')
  t.strictSame([...new Set(heard.map(({ kind }) => kind))], ['heartbeats'])
  const leaders = cluster.nodes.filter(node => groupsLed(node) > 0).length
  // From every leading node to two others and back, and one to spare for where the beats began.
  t.ok(heard.length <= (beats + 1) * leaders * 4, `${heard.length} messages in ${beats} heartbeats`)
  cluster.nodes.forEach((node, i) => {
    const turns = node.turns - before[i]!.turns
    t.ok(turns <= (beats + 1) * 6, `${turns} turns of node ${node.id}`)
    // The leaders' own ticks, and the followers' timers that fire once in an election timeout at most.
    const settled = node.state.counters.groupsSettled - before[i]!.settled
    t.ok(settled <= (beats + 1) * groupsLed(node) + 1_000, `${settled} groups settled on node ${node.id}`)
  })
})

t.test('after a start the elections come in portions, and soon', async t => {
  const cluster = new MiniCluster({ ranges: rangesFor(300) })
  const asked: number[] = []
  for (const node of cluster.nodes) {
    const put = node.put.bind(node)
    node.put = (input, delay) => {
      const parcels = input.kind === 'parcels' ? input.parcels : []
      asked.push(parcels.filter(parcel => parcel.kind === 'raft' && parcel.message.kind === 'preVote').length)
      put(input, delay)
    }
  }
  cluster.until(() => ledBy(cluster).every(leader => leader !== undefined), 200)
  t.equal(Math.max(...asked), LIMITS.electionsPerTurnMax)
  t.equal(
    asked.reduce((sum, count) => sum + count, 0),
    2 * 300,
    'each once, of two others',
  )
})

t.test('leaders that come at different times beat at one', async t => {
  const cluster = clusterOf(30)
  const old = cluster.leaderOf(0)!
  const next = cluster.nodes.find(node => node !== old)!
  for (const id of [3, 7, 11] as GroupId[]) {
    cluster.run(3)
    const group = old.state.groups.get(id)!
    const target = next.state.groups.get(id)!.replica
    const message = { kind: 'timeoutNow', from: group.replica, to: target, term: group.raft!.term } as const
    next.put({ kind: 'parcels', from: old.id, parcels: [{ kind: 'raft', group: id, message }] })
    cluster.until(() => cluster.leaderOf(id) === next, 1_000)
  }
  cluster.run(5 * HEARTBEAT)
  const heard = listen(cluster)
  cluster.run(10 * HEARTBEAT)
  t.equal(groupsLed(next), 3)
  const asked = heard.flatMap(parcel => (parcel.kind === 'heartbeats' ? [parcel.beats] : []))
  const together = asked.filter(beats => beats.some(({ group }) => group === 3))
  t.ok(together.length >= 36, `${together.length} messages`)
  for (const beats of together)
    t.strictSame(
      beats.map(({ group }) => group).filter(group => group === 7 || group === 11),
      [7, 11],
    )
})

t.test('a node that is cut off leads nothing after its time, and everything is led by others', async t => {
  const cluster = clusterOf(100)
  const old = cluster.leaderOf(0)!
  const others = cluster.nodes.filter(node => node !== old)
  for (const { id } of others) {
    cluster.cut.add(`${old.id}>${id}`)
    cluster.cut.add(`${id}>${old.id}`)
  }
  cluster.until(() => groupsLed(old) === 0, 1_000)
  cluster.until(() => others.reduce((sum, node) => sum + groupsLed(node), 0) === 100, 2_000)
  t.ok(cluster.ask(others[0]!, put(key(50), 'while it is away')).ok)
  cluster.cut.clear()
  cluster.run(50 * HEARTBEAT)
  const terms = termsOf(cluster)
  cluster.run(50 * HEARTBEAT)
  t.strictSame(termsOf(cluster), terms, 'and nobody disturbs them when it is back')
})

t.test('in one message each heartbeat counts for its own group and term', async t => {
  const cluster = clusterOf(30)
  const leader = cluster.leaderOf(5)!
  const follower = cluster.nodes.find(node => node !== leader)!
  const [old, good] = [5, 6].map(id => follower.state.groups.get(id as GroupId)!)
  const from = leader.state.groups.get(5 as GroupId)!.replica
  const term = old!.raft!.term
  const dues = [old, good].map(group => group!.raft!.electionDue)
  cluster.cut.add(`${leader.id}>${follower.id}`)
  cluster.run(3 * HEARTBEAT)
  const heard = listen(cluster)
  const beat = (group: GroupId, at: number) => ({
    group,
    message: { kind: 'heartbeat', from, to: old!.replica, term: at, commit: 1, round: 0 } as const,
  })
  follower.put({
    kind: 'parcels',
    from: leader.id,
    parcels: [{ kind: 'heartbeats', beats: [beat(old!.id, term - 1), beat(good!.id, good!.raft!.term)] }],
  })
  cluster.run(2)
  t.ok(good!.raft!.electionDue > dues[1]! + HEARTBEAT, 'heard in its term')
  t.ok(old!.raft!.electionDue < dues[0]! + 3 * HEARTBEAT, 'not heard in an earlier one')
  const answers = heard.flatMap(parcel => (parcel.kind === 'heartbeats' ? parcel.beats : []))
  t.strictSame(
    answers
      .filter(({ message }) => message.from === old!.replica)
      .map(({ group, message }) => [group, message.kind, message.term]),
    [
      [5, 'heartbeatReply', term],
      [6, 'heartbeatReply', good!.raft!.term],
    ],
    'both are answered, the old leader with the newer term',
  )
})

t.test('lost heartbeats of many groups are lost for each of them', async t => {
  const cluster = clusterOf(30)
  const leader = cluster.leaderOf(9)!
  const raft = leader.state.groups.get(9 as GroupId)!.raft!
  const [progress] = raft.progress.values()
  t.equal(progress!.kind, 'replicate')
  const node = raft.config.replicas.find(({ id }) => id === progress!.id)!.node
  const message = {
    kind: 'heartbeat',
    from: raft.id,
    to: progress!.id,
    term: raft.term,
    commit: 1,
    round: 0,
  } as const
  leader.put({
    kind: 'dropped',
    node,
    parcels: [{ kind: 'heartbeats', beats: [{ group: 9 as GroupId, message }] }],
  })
  cluster.run(1)
  t.equal(progress!.kind, 'probe')
})

t.test('timers that were moved do not fire at their old time', async t => {
  const timers = createTimers()
  const due = new Map<GroupId, number>()
  for (let id = 1 as GroupId; id <= 5; id++) {
    armTimer(timers, id, id * 10)
    due.set(id, id * 10)
  }
  const dueOf = (group: GroupId): number => due.get(group) ?? Infinity
  refreshTimers(timers, dueOf)
  t.equal(nextTimer(timers), 10)
  due.set(1 as GroupId, 100).set(2 as GroupId, 35)
  due.delete(3 as GroupId)
  refreshTimers(timers, dueOf)
  t.equal(nextTimer(timers), 35)
  t.notOk(timers.armed.has(3 as GroupId), 'one without anything to do has no timer')
  armTimer(timers, 1 as GroupId, 5)
  due.set(1 as GroupId, 5)
  refreshTimers(timers, dueOf)
  t.equal(nextTimer(timers), 5)
})
