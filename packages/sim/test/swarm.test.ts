import t from 'tap'
import { drawSwarm, Random, WORKLOAD_KINDS, type SwarmOptions } from '@kvorum/sim'
import { planRun } from '#src/cluster/plan.js'

const draw = (seed: number): SwarmOptions => drawSwarm(seed, new Random(seed))
const runs = Array.from({ length: 2000 }, (_, seed) => draw(seed))
const earlier = runs.map(({ seed }) => drawSwarm(seed, new Random(seed), 2))

void t.test('a run is its seed, and survives JSON', async t => {
  t.same(draw(77), runs[77])
  t.same(JSON.parse(JSON.stringify(runs[77])), runs[77])
  t.equal(new Set(runs.map(run => JSON.stringify({ ...run, seed: 0 }))).size, runs.length)
})

void t.test('every choice stays in its range and every value occurs', async t => {
  const between = (name: string, pick: (run: SwarmOptions) => number, min: number, max: number): void => {
    const values = runs.map(pick)
    t.ok(Math.min(...values) >= min && Math.max(...values) <= max, name)
    t.ok(new Set(values).size > 1, `${name} varies`)
  }
  between('nodes', run => run.cluster.nodes, 1, 7)
  between('data groups', run => run.cluster.dataGroups, 1, 8)
  between('heartbeat', run => run.cluster.heartbeatMs, 50, 150)
  between('election', run => run.cluster.electionTimeoutMs / run.cluster.heartbeatMs, 3, 20)
  between('snapshot', run => run.tuning.snapshotEvery, 10, 200)
  between('keep', run => run.tuning.keepEntries, 0, 80)
  between('keys', run => run.workload.keys, 5, 500)
  t.same(
    [...new Set(runs.map(run => run.cluster.nodes))].sort((a, b) => a - b),
    [1, 3, 5, 7],
  )
  for (const run of runs) {
    if (run.tuning.appendBytesMax > run.tuning.inflightBytesMax) t.fail('one append must fit the window')
    if (run.workload.kinds.length === 0) t.fail('a run without work')
  }
})

void t.test('each class of fault is on in about half of the runs', async t => {
  const classes: Record<string, (run: SwarmOptions) => boolean> = {
    drop: run => run.faults.links.dropChance > 0,
    replay: run => run.faults.links.replayChance > 0,
    cut: run => run.faults.links.cutChance > 0,
    partition: run => run.faults.partition.every > 0,
    crash: run => run.faults.crash.every > 0,
    pause: run => run.faults.pause.every > 0,
    wipe: run => run.faults.wipe.every > 0,
    bitRot: run => run.faults.disk.bitRotChance > 0,
  }
  for (const [name, isOn] of Object.entries(classes)) {
    const share = earlier.filter(isOn).length / earlier.length
    t.ok(share > 0.45 && share < 0.55, `${name}: ${share}`)
  }
  const both = runs.filter(run => classes['crash']!(run) && classes['partition']!(run)).length / runs.length
  t.ok(both > 0.2 && both < 0.3, 'independently of each other')
  for (const kind of WORKLOAD_KINDS)
    t.ok(
      runs.some(run => run.workload.kinds.includes(kind)),
      kind,
    )
})

void t.test('members come and go from the third draw on, where nothing else needs everybody', async t => {
  t.ok(earlier.every(run => run.faults.membership.every === 0))
  const moving = runs.filter(run => run.faults.membership.every > 0)
  const share = moving.length / runs.length
  t.ok(share > 0.15 && share < 0.35, `${share}`)
  t.ok(moving.every(({ users, quota }) => users === null && quota === null))
  t.ok(moving.every(({ faults }) => faults.wipe.every === 0))
})

void t.test('members come and go while shards split and move from the eighth draw on', async t => {
  for (const profile of ['shards', 'moves'] as const) {
    const plans = Array.from({ length: 100 }, (_, seed) => planRun(seed, { profile }).swarm)
    const coming = plans.filter(({ faults }) => faults.membership.every > 0)
    t.ok(coming.length > 55 && coming.length < 85, `${coming.length}`)
    t.ok(coming.every(({ cluster }) => cluster.replicas === 0 || cluster.balanced))
    const large = plans.filter(({ cluster }) => cluster.splitBytes > 0)
    t.ok(large.length > 45 && large.length < 75, `${large.length}`)
    t.ok(large.some(({ cluster }) => cluster.busyRequests > 0))
    const before = planRun(coming[0]!.seed, { profile, draw: 7 })
    t.equal(before.swarm.faults.membership.every, 0)
    t.equal(before.swarm.cluster.splitBytes, 0)
    t.equal(before.spares, 0)
  }
})

void t.test('shards are split from the sixth draw on, in most runs of their profile', async t => {
  const plans = Array.from({ length: 100 }, (_, seed) => planRun(seed, { profile: 'shards' }))
  const split = plans.filter(({ swarm }) => swarm.cluster.splitEvery > 0)
  t.ok(split.length > 60 && split.length < 90, `${split.length}`)
  t.ok(split.every(({ bootstrap }) => bootstrap.shards.length <= 2))
  const dense = split.filter(({ bootstrap }) => bootstrap.oracle !== true)
  t.ok(dense.length > 25 && dense.length < split.length, `${dense.length}`)
  t.ok(dense.every(({ bootstrap }) => bootstrap.shards.length === 1))
  t.ok(plans.every(({ swarm }) => swarm.workload.listsAcross && swarm.faults.oracle.every > 0))
  const before = planRun(split[0]!.seed, { profile: 'shards', draw: 5 })
  t.equal(before.swarm.cluster.splitEvery, 0)
  t.equal(before.bootstrap.shards.length, before.areas.length)
})
