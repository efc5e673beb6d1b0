import t from 'tap'
import { fromUtf8, groupId, utf8 } from '@kvorum/model'
import { versionCharge } from '@kvorum/machine'
import { DEFAULT_BALANCE, type BalanceOptions } from '@kvorum/node'
import { shardPlanOf } from '#src/shardsView.js'
import { splitBytesOf } from '#src/splitView.js'
import { shardMapProblem, type MetaState } from '@kvorum/placement'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { ALL, get, pairs, put } from './requests.js'

const balance: BalanceOptions = {
  ...DEFAULT_BALANCE,
  steadyAfterMs: 100,
  everyMs: 50,
  splitBytes: 30_000,
  tellLoadsMs: 200,
  busyRequests: 20,
  hotForMs: 1_000,
}
const metaOf = ({ state }: MiniNode): MetaState => state.groups.get(groupId(0))!.machine.meta!
const startsIn = (cluster: MiniCluster): string[] =>
  metaOf(cluster.nodes[0]!).shards.shards.map(({ range }) => fromUtf8(range.start))
const isQuiet = (cluster: MiniCluster): boolean =>
  cluster.nodes.every(node => metaOf(node).operations.length === 0)
const keys = Array.from({ length: 40 }, (_, at) => `key-${String(at).padStart(2, '0')}`)

t.test(
  'by itself nothing is split unless a size is given, or there are more members than replicas',
  async t => {
    const cluster = new MiniCluster({ balance })
    cluster.until(() => cluster.leaderOf(0) !== undefined)
    const whole = metaOf(cluster.nodes[0]!)
    const placed = (replicas: number): MetaState => ({
      ...whole,
      placement: { ...whole.placement, replicas },
    })
    const given = { ...balance, splitBytes: null }
    t.equal(whole.nodes.length, 3)
    t.equal(splitBytesOf(whole, given), 0, 'every member has everything')
    t.equal(splitBytesOf(placed(3), given), 0, 'as many members as replicas')
    t.equal(splitBytesOf(placed(1), given), 268_435_456)
    const learner = whole.nodes.map((node, at) => ({ ...node, learner: at > 0 }))
    t.equal(splitBytesOf({ ...placed(1), nodes: learner }, given), 0, 'learners hold nothing for the others')
    t.equal(splitBytesOf(placed(1), { ...given, splitBytes: 0 }), 0, 'turned off')
    t.equal(splitBytesOf(whole, { ...given, splitBytes: 1_048_576 }), 1_048_576)
    t.equal(splitBytesOf(placed(1), undefined), 0, 'no balancer')
  },
)

t.test('a shard that grows too large is split in the middle of its bytes, and then no more', async t => {
  const cluster = new MiniCluster({ balance })
  cluster.until(() => [0, 1].every(group => cluster.leaderOf(group) !== undefined))
  for (const [at, key] of keys.entries())
    t.ok(cluster.ask(cluster.nodes[at % 3]!, put(key, 'v'.repeat(744))).ok)
  t.equal(versionCharge(keys[0]!.length, 744) * keys.length, 40_240, 'bytes that were written')
  cluster.until(() => startsIn(cluster).length === 2 && isQuiet(cluster), 20_000)
  // In the middle of what there was when it had become too large.
  t.match(startsIn(cluster), ['', /^key-1[5-9]$/])
  t.equal(shardMapProblem(metaOf(cluster.nodes[1]!).shards), null)
  cluster.run(3_000)
  t.equal(startsIn(cluster).length, 2, 'the halves are small enough')

  // One key gets a long history: it cannot be split, and what little is beside it is not worth a shard.
  for (let round = 0; round < 30; round++)
    t.ok(cluster.ask(cluster.nodes[0]!, put('key-20', 'w'.repeat(3_000))).ok)
  cluster.run(3_000)
  cluster.until(() => isQuiet(cluster))
  t.match(startsIn(cluster), ['', /^key-1[5-9]$/, 'key-21'], 'never inside of one key')
  const plans = cluster.nodes.map(({ state }) => shardPlanOf(state, cluster.now)!.steps)
  t.ok(
    plans.every(steps => steps.every(({ kind }) => kind !== 'split')),
    'nothing more is to be split',
  )
  t.equal(pairs(cluster.ask(cluster.nodes[2]!, get(ALL))).length, keys.length)
})

t.test('a shard of which a hand-made split has told too little is read, and split', async t => {
  const ranges = ['', 'key-39'].map((start, at) => ({
    start: utf8(start),
    end: at === 0 ? utf8('key-39') : null,
  }))
  const cluster = new MiniCluster({ balance: { ...balance, splitBytes: 60_000 }, ranges, oracle: true })
  cluster.until(() => [0, 1, 2].every(group => cluster.leaderOf(group) !== undefined))
  for (const [at, key] of keys.entries())
    t.ok(cluster.ask(cluster.nodes[at % 3]!, put(key, 'v'.repeat(1_744))).ok)
  for (const { state } of cluster.nodes) {
    // As if it had been halved without a look at its keys.
    const { shard } = state.groups.get(groupId(1))!.machine
    shard!.logicalBytes = Math.floor(shard!.logicalBytes / 2)
  }
  cluster.until(() => startsIn(cluster).length === 3 && isQuiet(cluster), 20_000)
  t.match(startsIn(cluster), ['', /^key-(19|20)$/, 'key-39'])
})

t.test('a shard with far more requests than the others is split where half of them are', async t => {
  const ranges = ['', 'b', 'c', 'k', 'x'].map((start, at, all) => ({
    start: utf8(start),
    end: all[at + 1] === undefined ? null : utf8(all[at + 1]!),
  }))
  const cluster = new MiniCluster({ balance: { ...balance, splitBytes: 1e9 }, ranges, oracle: true })
  cluster.until(() => [0, 1, 2, 3, 4, 5].every(group => cluster.leaderOf(group) !== undefined))
  const load = (rounds: number, over: readonly string[]): void => {
    for (let round = 0; round < rounds; round++)
      for (const key of over) {
        cluster.nodes[round % 3]!.request(put(key, 'v'), 5_000)
        cluster.run(2)
      }
  }
  load(150, ['a', 'b', 'c', 'k', 'x'])
  t.equal(startsIn(cluster).length, 5, 'all have as many')
  load(250, ['k1', 'k1', 'x'])
  t.equal(startsIn(cluster).length, 5, 'one key cannot be split')
  for (let round = 0; round < 20 && startsIn(cluster).length === 5; round++)
    load(40, ['k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'k7', 'k8'])
  t.strictSame(startsIn(cluster), ['', 'b', 'c', 'k', 'k5', 'x'])
})
