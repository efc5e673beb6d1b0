import t from 'tap'
import { ALL_KEYS, groupId, incarnation, nodeId, replicaId, type GroupConfig } from '@kvorum/model'
import { applyMetaCommand, createMetaState, type MetaCommand, type MetaState } from '@kvorum/placement'
import { enterJoint, leaveJoint } from '@kvorum/raft'
import { votersOf } from '@kvorum/node'
import { isAsWanted, nextChange } from '#src/membershipPlan.js'

const replicas = [1, 2, 3].map(id => ({ id: replicaId(id), node: nodeId(BigInt(id)) }))
const everybody = (): boolean => true
const nobody = (): boolean => false

function meta(...commands: MetaCommand[]): MetaState {
  const nodes = replicas.map(({ node }) => ({
    id: node,
    name: `n${node}`,
    peerUrls: [`http://n${node}`],
    clientUrls: [],
    learner: false,
    serverVersion: '',
  }))
  const state = createMetaState(nodes, [{ group: groupId(1), range: ALL_KEYS, epoch: 1, replicas }])
  for (const command of commands) applyMetaCommand(state, command)
  return state
}

const add = (id: bigint, learner = false): MetaCommand => ({
  kind: 'addMember',
  node: nodeId(id),
  peerUrls: [`http://n${id}`],
  learner,
  strict: false,
})
const bind = (id: bigint): MetaCommand => ({
  kind: 'bindMember',
  node: nodeId(id),
  incarnation: incarnation(id),
})
const remove = (id: bigint): MetaCommand => ({ kind: 'removeMember', node: nodeId(id), strict: false })

/** Takes steps until there is none; each as raft would take it. */
function follow(config: GroupConfig, state: MetaState, caughtUp = everybody): GroupConfig[] {
  const seen: GroupConfig[] = []
  for (let at = config; seen.length < 20;) {
    const change = nextChange(at, state, replicaId(1), caughtUp)
    if (change === null) return seen
    const joint = enterJoint(at, change)
    if (joint === null) throw new Error('a change that does not fit')
    seen.push((at = leaveJoint(joint)))
  }
  throw new Error('it never ends')
}

t.test('nothing to do', async t => {
  t.equal(nextChange(votersOf(replicas), meta(), replicaId(1), everybody), null)
  t.equal(nextChange(votersOf(replicas), meta(add(4n)), replicaId(1), everybody), null, 'not bound yet')
})

t.test('a newcomer is a learner before it votes, and does not vote before it has caught up', async t => {
  const state = meta(add(4n), bind(4n))
  const steps = follow(votersOf(replicas), state)
  t.match(steps, [
    { voters: [1, 2, 3], learners: [4] },
    { voters: [1, 2, 3, 4], learners: [] },
  ])
  t.match(follow(votersOf(replicas), state, nobody), [{ voters: [1, 2, 3], learners: [4] }])
  t.match(follow(votersOf(replicas), meta(add(4n, true), bind(4n))), [{ voters: [1, 2, 3], learners: [4] }])
})

t.test('who was removed goes, the leader last; the newcomer takes its place', async t => {
  const state = meta(add(4n), bind(4n), remove(1n), remove(2n))
  const steps = follow(votersOf(replicas), state)
  t.match(steps.at(-1), { voters: [3, 4], learners: [], replicas: { length: 2 } })
  const firstWithout = (id: number): number =>
    steps.findIndex(({ voters }) => !voters.includes(replicaId(id)))
  t.ok(firstWithout(2) < firstWithout(1), 'the leader goes last')
  t.ok(steps.every(({ voters }) => voters.length > 0))
})

t.test('who may not go yet stays, and is no hindrance to others', async t => {
  const state = meta(add(4n), bind(4n), remove(2n), remove(3n))
  const stays = (id: number): boolean => id !== 2
  t.match(nextChange(votersOf(replicas), state, replicaId(1), everybody, stays), { remove: [3] })
  t.equal(nextChange(votersOf(replicas), meta(remove(2n)), replicaId(1), everybody, stays), null)
})

t.test('nothing begins that those who are there could not end', async t => {
  const step = (config: GroupConfig, state: MetaState, ...ids: number[]) =>
    nextChange(config, state, replicaId(1), id => ids.includes(id))
  const removing = meta(remove(2n))
  t.equal(step(votersOf(replicas), removing, 2), null, 'of 1 and 3 one alone is there')
  t.match(step(votersOf(replicas), removing, 2, 3), { remove: [2] })
  t.match(step(votersOf(replicas), removing, 3), { remove: [2] }, 'who goes need not be there')
  t.match(step(votersOf(replicas), meta(remove(2n), remove(3n)), 2), { remove: [2, 3] }, 'the leader remains')
  t.equal(
    step(votersOf(replicas.slice(0, 2)), meta(remove(1n), remove(3n)), 3),
    null,
    'it would leave nobody',
  )
  const joining = meta(add(4n), bind(4n), remove(2n), remove(3n))
  const joined = follow(votersOf(replicas), meta(add(4n), bind(4n)), nobody).at(-1)!
  t.match(step(joined, joining, 2, 3), { promote: [], remove: [2, 3] }, 'a newcomer that is not there waits')
  t.match(step(joined, joining, 2, 4), { promote: [4], remove: [2, 3] })
})

const five = [1, 2, 3, 4, 5].map(id => ({ id: replicaId(id), node: nodeId(BigInt(id)) }))
const place = (before: bigint[], nodes: bigint[]): MetaCommand => ({
  kind: 'placeShard',
  group: groupId(1),
  before: before.map(nodeId),
  nodes: nodes.map(nodeId),
  override: false,
})

/** Five members, the shard on the first three. */
function placedMeta(...commands: MetaCommand[]): MetaState {
  const nodes = five.map(({ node }) => ({
    id: node,
    name: `n${node}`,
    peerUrls: [`http://n${node}`],
    clientUrls: [],
    learner: false,
    serverVersion: '',
  }))
  const shard = { group: groupId(1), range: ALL_KEYS, epoch: 1, replicas: five.slice(0, 3) }
  const state = createMetaState(nodes, [shard], { replicas: 3, members: five })
  for (const command of commands) applyMetaCommand(state, command)
  return state
}

function followShard(config: GroupConfig, state: MetaState, self: number): GroupConfig[] {
  const seen: GroupConfig[] = []
  for (let at = config; seen.length < 20;) {
    const change = nextChange(at, state, replicaId(self), everybody, everybody, groupId(1))
    if (change === null) return seen
    seen.push((at = leaveJoint(enterJoint(at, change)!)))
  }
  throw new Error('it never ends')
}

t.test('a replica moves: it is copied, then both ends change in one step', async t => {
  const before = votersOf(five.slice(0, 3))
  t.same(followShard(before, placedMeta(), 1), [])
  t.ok(isAsWanted(before, placedMeta(), groupId(1)))
  const moving = placedMeta(place([1n, 2n, 3n], [1n, 2n, 4n]))
  t.notOk(isAsWanted(before, moving, groupId(1)))
  const steps = followShard(before, moving, 1)
  t.match(steps, [
    { voters: [1, 2, 3], learners: [4] },
    { voters: [1, 2, 4], learners: [] },
  ])
  t.ok(isAsWanted(steps.at(-1)!, moving, groupId(1)))
  t.equal(
    nextChange(steps[0]!, moving, replicaId(1), nobody, everybody, groupId(1)),
    null,
    'nobody goes before the other has caught up',
  )
})

t.test('where the leader itself is moved it goes last', async t => {
  const steps = followShard(votersOf(five.slice(0, 3)), placedMeta(place([1n, 2n, 3n], [2n, 3n, 4n])), 1)
  t.match(steps, [{ learners: [4] }, { voters: [1, 2, 3, 4] }, { voters: [2, 3, 4] }])
})

t.test('of the meta group not everybody votes where shards are placed', async t => {
  const state = placedMeta(add(6n), bind(6n))
  const config = votersOf(five)
  const step = nextChange(config, state, replicaId(1), everybody)
  t.match(step, { addLearners: [{ id: 6 }] })
  const next = leaveJoint(enterJoint(config, step!)!)
  t.equal(nextChange(next, state, replicaId(1), everybody), null, 'five are enough')
  const without = placedMeta(add(6n), bind(6n), remove(2n))
  t.match(nextChange(next, without, replicaId(1), everybody), { promote: [6], remove: [2] })
})
