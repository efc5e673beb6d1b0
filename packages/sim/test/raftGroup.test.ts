import t from 'tap'
import { drawCuts, PARTITION_KINDS, Random, SECOND, Violation } from '@kvorum/sim'
import { RaftGroup, type Mistake } from './raftGroup.js'

/** Twenty seconds of faults, then peace. */
function run(seed: number, mistake: Mistake = 'none'): RaftGroup {
  const random = new Random(seed).stream('script')
  const group = new RaftGroup(seed, random.pick([1, 3, 3, 5]), mistake)
  const stations = group.nodes.map(node => node.at.node)
  while (group.schedule.now < 20 * SECOND) {
    group.schedule.runUntil(group.schedule.now + random.int(1, 2 * SECOND))
    const node = random.pick(group.nodes)
    if (random.chance(0.3)) group.crash(node)
    if (random.chance(0.3)) group.network.block(drawCuts(random.pick(PARTITION_KINDS), stations, random))
    if (random.chance(0.4)) group.network.heal()
    for (const down of group.nodes) if (down.raft === null && random.chance(0.5)) group.start(down)
  }
  group.network.heal()
  group.network.calm()
  for (const node of group.nodes) if (node.raft === null) group.start(node)
  return group
}

void t.test('the consensus core keeps every invariant under faults, and goes on afterwards', async t => {
  let committed = 0
  for (let seed = 0; seed < 60; seed++) {
    const group = run(seed)
    const before = group.committed
    group.schedule.runUntil(group.schedule.now + 5 * SECOND)
    if (group.committed < before + 20)
      t.fail(`seed ${seed}: ${group.committed - before} entries in five quiet seconds`)
    const applied = group.nodes.map(node => node.raft!.applied)
    if (Math.max(...applied) - Math.min(...applied) > 20) t.fail(`seed ${seed}: applied ${applied.join(' ')}`)
    committed += group.committed
  }
  t.ok(committed > 10_000, `${committed} entries`)
})

void t.test('a seed run twice does the same', async t => {
  for (const seed of [1, 2, 3]) t.equal(run(seed).schedule.trace.hex(), run(seed).schedule.trace.hex())
  t.not(run(1).schedule.trace.hex(), run(2).schedule.trace.hex())
})

void t.test('mistakes of the owner are noticed', async t => {
  const noticed = (mistake: Mistake): string => {
    for (let seed = 0; seed < 40; seed++) {
      try {
        run(seed, mistake)
      } catch (error) {
        if (error instanceof Violation) return error.id
        throw error
      }
    }
    return 'never'
  }
  t.equal(noticed('acknowledge before the sync'), 'I10')
  t.equal(noticed('lose durable entries'), 'I11')
  t.equal(noticed('forget the vote'), 'I6')
})
