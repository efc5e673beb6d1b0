import t from 'tap'
import { groupId } from '@kvorum/model'
import { createCompactionDuty, moveTarget } from '#src/autoCompaction.js'
import type { AutoCompaction } from '#src/maintenance.js'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { leader, put } from './requests.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

/** The targets over `until` milliseconds where one revision is written a minute: what was compacted when. */
function targets(policy: Exclude<AutoCompaction, { kind: 'off' }>, until: number): [number, number][] {
  const duty = createCompactionDuty()
  const seen: [number, number][] = []
  for (let now = 0; now <= until; now += MINUTE / 6) {
    if (now < duty.lookAt) continue
    const before = duty.target
    moveTarget(duty, policy, now, 1 + Math.floor(now / MINUTE))
    if (duty.target !== before) seen.push([now / MINUTE, duty.target])
  }
  return seen
}

t.test(
  'periodic: after one retention, and then every retention, the revision of one retention ago',
  async t => {
    t.strictSame(targets({ kind: 'periodic', retentionMs: 10 * MINUTE }, 35 * MINUTE), [
      [10, 1],
      [20, 11],
      [30, 21],
    ])
  },
)

t.test('periodic: with more than an hour it is every hour', async t => {
  t.strictSame(targets({ kind: 'periodic', retentionMs: 3 * HOUR }, 6 * HOUR), [
    [180, 1],
    [240, 61],
    [300, 121],
    [360, 181],
  ])
})

t.test('periodic: a member that slept compacts nothing that is younger than the retention', async t => {
  const duty = createCompactionDuty()
  const policy = { kind: 'periodic', retentionMs: 10 * MINUTE } as const
  moveTarget(duty, policy, 0, 1)
  moveTarget(duty, policy, MINUTE, 5)
  moveTarget(duty, policy, HOUR, 900)
  t.equal(duty.target, 5, 'the newest of which it knows that it is old enough')
  moveTarget(duty, policy, HOUR + 5 * MINUTE, 950)
  moveTarget(duty, policy, HOUR + 10 * MINUTE, 999)
  t.equal(duty.target, 900)
})

t.test('periodic: however long the retention, what is remembered is bounded', async t => {
  const duty = createCompactionDuty()
  const policy = { kind: 'periodic', retentionMs: 1_000_000 * HOUR } as const
  for (let at = 0; at < policy.retentionMs * 2; at = duty.lookAt) moveTarget(duty, policy, at, 1)
  t.ok(duty.notes.length <= 20_002)
})

t.test('revision: every five minutes all but the newest', async t => {
  t.strictSame(targets({ kind: 'revision', keep: 10 }, 21 * MINUTE), [
    [10, 1],
    [15, 6],
    [20, 11],
  ])
})

const compactRevisionOf = (node: MiniNode): number =>
  node.state.groups.get(groupId(1))!.machine.shard!.compactRevision

const SECOND = { autoCompaction: { kind: 'periodic', retentionMs: 1_000 } } as const

t.test('the leader compacts for everybody; what is younger than the retention stays', async t => {
  const cluster = new MiniCluster({ maintenance: SECOND })
  const first = leader(cluster)
  const began = cluster.now
  const writtenAt = new Map<number, number>()
  for (let i = 0; cluster.now < began + 3_000; i++) {
    const result = cluster.ask(first, put('k', `${i}`))
    if (!result.ok) throw new Error(result.error.code)
    writtenAt.set(result.value.header.revision, cluster.now)
    for (const node of cluster.nodes) {
      const compacted = compactRevisionOf(node)
      if (compacted > 2)
        t.ok(
          (writtenAt.get(compacted + 1) ?? Infinity) <= cluster.now &&
            writtenAt.get(compacted)! <= cluster.now - 990,
        )
    }
  }
  const entries = (first.log.get(groupId(1)) ?? []).length
  cluster.until(() => cluster.nodes.every(node => compactRevisionOf(node) === writtenAt.size + 1), 5_000)
  const more = (first.log.get(groupId(1)) ?? []).length - entries
  t.ok(more <= 8, `one compaction of one member at a time: ${more} entries`)
  t.ok(first.notes.some(text => text.includes('--auto-compaction-retention')))
  cluster.run(3_000)
  t.equal((first.log.get(groupId(1)) ?? []).length, entries + more, 'and nothing where nothing is written')
})

t.test('it goes on when the leader is gone, and a client’s compaction is in nobody’s way', async t => {
  const cluster = new MiniCluster({ maintenance: SECOND })
  const first = leader(cluster)
  for (let i = 0; i < 20; i++) cluster.ask(first, put('k', `${i}`))
  cluster.run(900)
  first.up = false
  for (const { id } of cluster.nodes) {
    cluster.cut.add(`${first.id}>${id}`)
    cluster.cut.add(`${id}>${first.id}`)
  }
  const rest = cluster.nodes.filter(node => node !== first)
  cluster.until(() => rest.every(node => compactRevisionOf(node) === 21), 3_000)
  const next = rest.find(node => node === cluster.leaderOf(1))!
  for (let i = 0; i < 20; i++) cluster.ask(next, put('k', `${i}`))
  const compacted = cluster.ask(next, { kind: 'compact', revision: 41, physical: true })
  t.ok(compacted.ok)
  const notes = next.notes.filter(text => text.includes('--auto-compaction-retention')).length
  cluster.run(4_000)
  t.equal(next.notes.filter(text => text.includes('--auto-compaction-retention')).length, notes)
  t.ok(rest.every(node => compactRevisionOf(node) === 41))
})
