import fc from 'fast-check'
import t from 'tap'
import { groupId, nodeId, type NodeId } from '@kvorum/model'
import {
  afterStep,
  canDrain,
  initialPlaces,
  planBalance,
  type BalanceCluster,
  type BalanceNode,
  type BalancePolicy,
  type BalanceShard,
  type BalanceStep,
} from '@kvorum/placement'

const policy: BalancePolicy = {
  replicas: 3,
  deadAfterMs: 300_000,
  steadyAfterMs: 10_000,
  shardsPerNodeMax: 100,
  movesMax: 2,
  transfersMax: 2,
}
const id = (node: number): NodeId => nodeId(BigInt(node))
const node = (at: number, facts: Partial<BalanceNode> = {}): BalanceNode => ({
  node: id(at),
  presentMs: 60_000,
  missingMs: 0,
  draining: false,
  learner: false,
  full: false,
  ...facts,
})
const missing = (ms: number): Partial<BalanceNode> => ({ presentMs: null, missingMs: ms })
const shard = (group: number, on: number[], facts: Partial<BalanceShard> = {}): BalanceShard => ({
  group: groupId(group),
  replicas: on.map(id),
  settled: true,
  leader: on[0] === undefined ? null : id(on[0]),
  led: true,
  held: false,
  bytes: 0,
  ...facts,
})
const moves = (steps: readonly BalanceStep[]): string[] =>
  steps.map(({ kind, group, from, to, reason }) => `${kind} ${group} ${from ?? '-'}>${to ?? '-'} ${reason}`)
const plan = (nodes: BalanceNode[], shards: BalanceShard[], facts: Partial<BalancePolicy> = {}): string[] =>
  moves(planBalance({ nodes, shards }, { ...policy, ...facts }))

t.test('nothing to do', async t => {
  const three = [node(1), node(2), node(3)]
  t.same(plan(three, [shard(1, [1, 2, 3])]), [])
  t.same(plan([...three, node(4)], [shard(1, [1, 2, 3])]), [], 'one shard is not moved for its own sake')
  t.same(plan(three, [shard(1, [1, 2, 3], { leader: id(1) }), shard(2, [1, 2, 3], { leader: id(2) })]), [])
})

t.test('a dead node is replaced after its time, a missing one is waited for', async t => {
  const cluster = (ms: number): BalanceNode[] => [node(1), node(2), node(3, missing(ms)), node(4)]
  t.same(plan(cluster(299_999), [shard(1, [1, 2, 3])]), [])
  t.same(plan(cluster(300_000), [shard(1, [1, 2, 3])]), ['move 1 3>4 nodeDead'])
  t.same(plan([node(1), node(2), node(4)], [shard(1, [1, 2, 3])]), ['move 1 3>4 nodeGone'])
  t.same(plan(cluster(300_000).slice(0, 3), [shard(1, [1, 2, 3])]), [], 'nowhere to go')
  t.same(plan([node(1), node(4), node(5)], [shard(1, [1, 2, 3])]), ['move 1 2>4 nodeGone'], 'two are gone')
})

t.test('nobody gets anything who is missing, new, leaving, full or a learner', async t => {
  for (const facts of [
    missing(5),
    { presentMs: 9_999 },
    { draining: true },
    { full: true },
    { learner: true },
  ]) {
    t.same(plan([node(1), node(2), node(3, missing(1e6)), node(4, facts)], [shard(1, [1, 2, 3])]), [])
  }
  const full = plan(
    [node(1), node(2), node(3, missing(1e6)), node(4)],
    [shard(1, [1, 2, 3]), shard(2, [4])],
    {
      shardsPerNodeMax: 1,
    },
  )
  t.same(full, [], 'a bound of shards per node')
})

t.test('without a quorum, or while it moves, a shard is left alone', async t => {
  const nodes = [node(1), node(2, missing(1e6)), node(3, missing(1e6)), node(4)]
  t.same(plan(nodes, [shard(1, [1, 2, 3])]), [])
  const lonely = [node(1), node(4), node(5)]
  t.same(plan(lonely, [shard(1, [1, 2, 3], { led: false })]), [], 'its group may count on two that are gone')
  const moving = [shard(1, [1, 2], { settled: false }), shard(2, [2, 1, 3, 4])]
  t.same(plan([node(1), node(2), node(3), node(4)], moving, { movesMax: 1 }), [])
})

t.test('a move to a node that dies ends elsewhere', async t => {
  const nodes = [node(1), node(2), node(3, missing(1e6)), node(4)]
  t.same(plan(nodes, [shard(1, [1, 2, 3], { settled: false })], { movesMax: 1 }), ['move 1 3>4 nodeDead'])
})

t.test(
  'moves at a time: those that nobody leads do not count, those of which nothing is known do',
  async t => {
    const nodes = [node(1), node(2), node(4), node(5)]
    const stuck = (led: boolean | null) => shard(1, [1], { settled: false, leader: null, led })
    const mendable = shard(2, [1, 2])
    t.same(plan(nodes, [stuck(null), mendable], { movesMax: 1 }), [])
    t.same(plan(nodes, [stuck(true), mendable], { movesMax: 1 }), [])
    t.same(plan(nodes, [stuck(false), mendable], { movesMax: 1 }), ['move 2 ->4 tooFewReplicas'])
  },
)

t.test('too few and too many', async t => {
  const four = [node(1), node(2), node(3), node(4)]
  t.same(plan(four, [shard(1, [1, 2])]), ['move 1 ->3 tooFewReplicas'])
  t.same(plan(four, [shard(1, [1, 2, 3, 4])]), ['move 1 2>- tooManyReplicas'], 'not the leader')
  t.same(plan([node(1), node(2), node(3), node(4, missing(5))], [shard(1, [1, 2, 3, 4])]), [
    'move 1 4>- tooManyReplicas',
  ])
})

t.test('a leaving node gives away what it leads, then what it holds', async t => {
  const nodes = [node(1, { draining: true }), node(2), node(3), node(4)]
  t.same(plan(nodes, [shard(1, [1, 2, 3])]), ['move 1 1>4 nodeDraining'])
  const busy = plan(nodes, [shard(1, [1, 2, 3]), shard(2, [2, 3, 4], { settled: false })], { movesMax: 1 })
  t.same(busy, ['transfer 1 1>3 nodeDraining'])
})

t.test('replicas and leaders are spread; bytes decide among equals', async t => {
  const four = [node(1), node(2), node(3), node(4)]
  const shards = [10, 300, 20].map((bytes, at) => shard(at + 1, [1, 2, 3], { bytes, leader: id(at + 1) }))
  t.match(plan(four, shards), [/^move 2 1>4 replicasUneven$/])
  const led = [1, 2, 3].map(group => shard(group, [1, 2, 3]))
  t.match(plan(four.slice(0, 3), led), [/^transfer 1 1>2 leadersUneven$/, /^transfer 2 1>3 leadersUneven$/])
})

t.test('a leader that was placed by hand stays, unless its node leaves', async t => {
  const led = (held: boolean[]): BalanceShard[] =>
    held.map((each, at) => shard(at + 1, [1, 2, 3], { held: each }))
  const three = [node(1), node(2), node(3)]
  t.same(plan(three, led([true, true, true])), [])
  t.match(plan(three, led([true, false, true])), [/^transfer 2 1>2 leadersUneven$/])
  const leaving = plan([node(1, { draining: true }), node(2), node(3)], led([true, true]))
  t.ok(leaving.some(step => step.startsWith('transfer') && step.endsWith('nodeDraining')))
})

t.test('whether a node can be emptied', async t => {
  const three = [node(1), node(2), node(3)]
  const cluster = (nodes: BalanceNode[]): BalanceCluster => ({
    nodes,
    shards: [shard(1, [1, 2, 3]), shard(2, [1, 2, 3])],
  })
  t.notOk(canDrain(cluster(three), policy, id(1)), 'three replicas on two nodes')
  t.ok(canDrain(cluster([...three, node(4)]), policy, id(1)))
  t.notOk(canDrain(cluster([...three, node(4)]), { ...policy, shardsPerNodeMax: 1 }, id(1)))
  t.notOk(canDrain(cluster([...three, node(4, missing(10))]), policy, id(1)))
})

t.test('the first places', async t => {
  t.same(initialPlaces([id(1), id(2), id(3), id(4), id(5)], 3, 3), [
    [1n, 2n, 3n],
    [1n, 4n, 5n],
    [2n, 3n, 4n],
  ])
  t.same(initialPlaces([id(1), id(2)], 1, 3), [[1n, 2n]])
})

interface Drawn {
  readonly cluster: BalanceCluster
  readonly policy: BalancePolicy
}

const drawnNode = fc.record({
  state: fc.constantFrom('present', 'present', 'present', 'new', 'missing', 'dead'),
  draining: fc.boolean(),
  learner: fc.constantFrom(false, false, false, true),
  full: fc.constantFrom(false, false, false, true),
})
const drawn: fc.Arbitrary<Drawn> = fc
  .record({
    nodes: fc.array(drawnNode, { minLength: 1, maxLength: 8 }),
    shards: fc.array(
      fc.record({
        seed: fc.nat(),
        size: fc.integer({ min: 1, max: 5 }),
        bytes: fc.nat(1_000),
        leader: fc.nat(4),
      }),
      { minLength: 1, maxLength: 12 },
    ),
    replicas: fc.integer({ min: 1, max: 5 }),
    shardsPerNodeMax: fc.integer({ min: 1, max: 12 }),
    movesMax: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ nodes, shards, replicas, shardsPerNodeMax, movesMax }) => ({
    policy: { ...policy, replicas, shardsPerNodeMax, movesMax },
    cluster: {
      nodes: nodes.map(({ state, draining, learner, full }, at) =>
        node(at + 1, {
          draining,
          learner,
          full,
          presentMs: state === 'present' ? 20_000 : state === 'new' ? 5 : null,
          missingMs: state === 'missing' ? 5 : state === 'dead' ? 400_000 : 0,
        }),
      ),
      shards: shards.map(({ seed, size, bytes, leader }, at) => {
        const on = Array.from(
          { length: Math.min(size, nodes.length) },
          (_, place) => 1 + ((seed + place) % nodes.length),
        )
        return shard(at + 1, on, { bytes, leader: id(on[leader % on.length]!) })
      }),
    },
  }))

/** Makes all steps, as a cluster would that stays as it is; fails when that does not end. */
function converge(
  { cluster, policy: by }: Drawn,
  seen: (before: BalanceCluster, step: BalanceStep) => void,
): BalanceCluster {
  let now = cluster
  for (let rounds = 0; rounds < 2_000; rounds++) {
    const steps = planBalance(now, by)
    if (steps.length === 0) return now
    for (const step of steps) {
      seen(now, step)
      now = afterStep(now, step)
    }
  }
  throw new Error('it never ends')
}

t.test('whatever the cluster: it converges, and never does what it must not', async t => {
  fc.assert(
    fc.property(drawn, it => {
      const { policy: by } = it
      const once = planBalance(it.cluster, by)
      if (once.filter(({ kind }) => kind === 'move').length > by.movesMax) throw new Error('too many moves')
      const done = converge(it, (before, step) => {
        const target = before.nodes.find(each => each.node === step.to)
        if (step.to !== null) {
          if (target?.presentMs == null || target.presentMs < by.steadyAfterMs) throw new Error('not there')
          if (target.draining || target.learner) throw new Error('a node that may have nothing')
          if (step.kind === 'move' && target.full) throw new Error('a full node')
        }
        const changed = before.shards.find(({ group }) => group === step.group)!
        const after = afterStep(before, step).shards.find(({ group }) => group === step.group)!
        const presentIn = ({ replicas }: BalanceShard): number =>
          replicas.filter(on => before.nodes.some(each => each.node === on && each.presentMs !== null)).length
        if (presentIn(after) < Math.floor(after.replicas.length / 2) + 1) throw new Error('below its quorum')
        if (step.kind === 'move' && step.to !== null && step.from !== null)
          if (after.replicas.length !== changed.replicas.length) throw new Error('a replica was lost')
        const held = afterStep(before, step).shards.filter(
          ({ replicas }) => step.to !== null && replicas.includes(step.to),
        )
        if (step.kind === 'move' && held.length > by.shardsPerNodeMax && step.to !== null)
          throw new Error('more shards than a node may have')
      })
      return planBalance(done, by).length === 0
    }),
    { numRuns: 300 },
  )
  t.pass('300 clusters')
})

t.test('healthy nodes end up even, and empty ones are filled', async t => {
  const healthy = fc.record({
    nodes: fc.integer({ min: 3, max: 8 }),
    shards: fc.integer({ min: 1, max: 24 }),
  })
  fc.assert(
    fc.property(healthy, ({ nodes, shards }) => {
      const cluster = {
        nodes: Array.from({ length: nodes }, (_, at) => node(at + 1)),
        shards: Array.from({ length: shards }, (_, at) => shard(at + 1, [1, 2, 3])),
      }
      const done = converge({ cluster, policy }, () => undefined)
      const held = cluster.nodes.map(
        each => done.shards.filter(({ replicas }) => replicas.includes(each.node)).length,
      )
      return Math.max(...held) - Math.min(...held) <= 1
    }),
    { numRuns: 60 },
  )
  t.pass('60 clusters')
})
