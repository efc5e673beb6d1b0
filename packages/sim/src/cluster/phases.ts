import { toHex, toKeyString, type GroupId, type KeyValue, type StoreWrite } from '@kvorum/model'
import { createReader, hashKv, overlaySnapshot, readRange, runStep } from '@kvorum/machine'
import type { Group, NodeState } from '@kvorum/node'
import { EMPTY_AUTH, metaWrites } from '@kvorum/placement'
import { MILLISECOND, SECOND, type Micros } from '../schedule.js'
import { isSplit } from '../swarm.js'
import type { AccessWorkload } from './accessWorkload.js'
import { Client } from './client.js'
import type { Cluster } from './cluster.js'
import { Failure } from './failure.js'
import { askHashes } from './memberHashes.js'
import { keyPrefix, type Area } from './plan.js'
import { get, put, range } from './requests.js'
import { members, sound, soundNodes } from './soundReplicas.js'
import type { Watchers } from './watchers.js'
import { followed, isSettled, nothingLeft } from './whereabouts.js'
import type { Workload } from './workload.js'

type Call = NodeState['calls']['deadlines'][number]

/** What must come true after the faults have ended, each within its time. */
const FRESH_WRITES = 10

export function demandProgress(
  cluster: Cluster,
  workload: Workload,
  watchers: Watchers,
  access: AccessWorkload,
): void {
  const { cluster: timing, faults } = cluster.plan.swarm
  const elections = 10 * timing.electionTimeoutMs * MILLISECOND + 2 * SECOND
  // A sync that began while disks were slow ends in its own time, and the votes of too many may wait for one.
  demand(cluster, 'a leader in every group', elections + faults.disk.slowSyncMax, () =>
    cluster.observer.truths.all.every(({ group }) => leads(cluster, group)),
  )
  workload.stop()
  access.stop()
  demand(
    cluster,
    'every request ends',
    workload.longestRequest,
    () => workload.busy === 0 && access.busy === 0,
  )
  access.demandRoom((what, time, holds) => demand(cluster, what, time, holds))
  for (const area of cluster.areas) freshWrites(cluster, area)
  access.demandRights((what, time, holds) => demand(cluster, what, time, holds))
  demand(cluster, 'the groups follow the members', 40 * SECOND, () => followed(cluster))
  // I47: an orphan is asked about within a second, a record of a coordinator that died is brought to its end within
  // three; then come a few rounds of the log, on disks that stay slow.
  if (cluster.plan.swarm.cluster.oracle)
    demand(cluster, 'transactions end, and leave no lock', 15 * SECOND, () => unlocked(cluster))
  demand(cluster, 'splits and moves end, and shards are where the map says', 60 * SECOND, () =>
    isSettled(cluster),
  )
  if (cluster.plan.swarm.cluster.replicas > 0)
    demand(cluster, 'no row is left of what has gone', 20 * SECOND, nothingLeft(cluster))
  demand(cluster, 'replicas converge', 40 * SECOND, () => converged(cluster))
  watchers.hurry()
  demand(cluster, 'watchers catch up', 40 * SECOND, () => caughtUp(cluster, watchers))
  for (const watching of watchers.all) watching.finish()
  // Whoever evens out replicas moves one at a time, with a snapshot each.
  const { balanced, splitBytes } = cluster.plan.swarm.cluster
  const patience = balanced || splitBytes > 0 ? 180 * SECOND : 20 * SECOND
  demand(cluster, 'queues are back to nothing', patience, () => quiet(cluster) && converged(cluster))
}

export function demand(cluster: Cluster, what: string, time: Micros, holds: () => boolean): void {
  const { schedule } = cluster
  const deadline = schedule.now + time
  if (schedule.runWhile(() => !holds(), deadline)) return
  if (holds()) return
  const replicas = [...sound(cluster)].map(({ node, group }) => {
    const { raft, machine } = group
    const positions =
      raft === null ? 'loading' : `${raft.role} t${raft.term} c${raft.commit} l${raft.lastIndex}`
    const { hidden } = group.applying
    const begun =
      hidden === null ? '' : ` hidden${hidden.worked === null ? '' : ' done'} p${hidden.publishedAt}`
    const state = machine.installing ? ' installing' : begun
    return `n${node.station}g${group.id} ${positions} s${raft?.stable ?? 0} a${machine.applied}${state}`
  })
  throw new Failure(`no progress: ${what}`, {
    seconds: time / SECOND,
    up: cluster.nodes.map(node => node.status).join(' '),
    replicas: replicas.join('; '),
  })
}

function unlocked(cluster: Cluster): boolean {
  for (const { group } of sound(cluster)) {
    const { prepared, records } = group.machine.revisions.transactions
    if (prepared.length > 0 || records.length > 0) return false
  }
  return true
}

function leads(cluster: Cluster, group: GroupId): boolean {
  for (const one of sound(cluster)) {
    if (one.group.id === group && one.group.raft?.role === 'leader' && one.group.raft.leader !== 0)
      return true
  }
  return false
}

/** One after the other, at any node, until so many have succeeded. */
function freshWrites(cluster: Cluster, group: Area): void {
  const shard = isSplit(cluster.plan.swarm.cluster) ? cluster.dataGroups[0] : group
  const nodes = [...sound(cluster)].filter(one => one.group.id === shard).map(({ node }) => node)
  const client = new Client(cluster, cluster.random.stream(`fresh ${group}`), nodes)
  const recorder = cluster.histories.get(group)!
  let left = FRESH_WRITES
  let refused = 0
  const write = (): void => {
    const key = `${keyPrefix(group)}fresh${left % 3}`
    client.askKv(
      group,
      recorder,
      { kind: 'write', op: put(key, `fresh ${group} ${left} ${refused}`) },
      outcome => {
        if (outcome.kind !== 'ok') refused++
        client.askKv(group, recorder, { kind: 'read', op: get(key), serializable: false }, read => {
          if (read.kind !== 'ok') refused++
          if (outcome.kind === 'ok' && read.kind === 'ok') left--
          // What was slow before the faults ended may still be under way: then it is tried again.
          const pause = outcome.kind === 'ok' && read.kind === 'ok' ? 0 : 100 * MILLISECOND
          if (left > 0) cluster.schedule.after(pause, 'fresh', write)
        })
      },
    )
  }
  write()
  demand(cluster, `fresh writes in group ${group}`, 30 * SECOND, () => left === 0)
}

function converged(cluster: Cluster): boolean {
  const positions = new Map<GroupId, string>()
  for (const { group } of sound(cluster)) {
    const { raft, machine } = group
    if (raft === null || machine.installing || machine.applied !== raft.lastIndex) return false
    const position = `${machine.applied} ${machine.shard?.digest ?? metaText(machine.meta)}`
    const other = positions.get(group.id)
    if (other !== undefined && other.split(' ')[0] !== `${machine.applied}`) return false
    if (other !== undefined && other !== position) {
      throw new Failure('replicas differ', { group: group.id, one: other, other: position })
    }
    positions.set(group.id, position)
  }
  return positions.size === cluster.observer.truths.all.length
}

const metaText = (meta: Group['machine']['meta']): string =>
  meta === null ? '' : JSON.stringify(metaWrites(meta, EMPTY_AUTH).map(textOf).sort())

const textOf = ({ key, value }: StoreWrite): string => `${toHex(key)} ${toHex(value ?? key)}`

const askedAt = new WeakMap<Watchers, Micros>()

function caughtUp(cluster: Cluster, watchers: Watchers): boolean {
  const { schedule } = cluster
  const last = askedAt.get(watchers) ?? -Infinity
  if (schedule.now - last > SECOND) {
    askedAt.set(watchers, schedule.now)
    for (const watching of watchers.all) watching.askProgress()
  }
  return watchers.all.every(
    watching => watching.created && watching.progress >= cluster.truthOf(watching.group).revision,
  )
}

function quiet(cluster: Cluster): boolean {
  for (const node of cluster.nodes) {
    if (node.state === null) continue
    const { calls, tasks, persisting, streams } = node.state
    if (isBusy(calls) || tasks.size > 0) return false
    // Who has lost its directory is offered snapshots for as long as it is a member.
    if (streams.size > 0 && !members(cluster).some(({ wiped }) => wiped)) return false
    if (persisting.out !== null) return false
  }
  return true
}

/** Beside a node that watches a shard elsewhere: it always waits there for what comes. */
function isBusy({ open, deadlines, forwarded }: NodeState['calls']): boolean {
  const isFollowing = (call: Call): boolean => !call.done && call.request.kind === 'follow'
  return (
    open > deadlines.filter(isFollowing).length ||
    [...forwarded.values()].some(({ call }) => !isFollowing(call))
  )
}

/** I24 */
export function demandHashes(cluster: Cluster): void {
  let answered = false
  askHashes(cluster, soundNodes(cluster), () => (answered = true))
  demand(cluster, 'a hash of every member', 20 * SECOND, () => answered)
}

/** Everybody loses power; what comes back must be what was there. */
export function crashAll(cluster: Cluster): void {
  for (const node of cluster.nodes) node.crash(true)
  for (const node of cluster.nodes) node.start()
  const elections = 10 * cluster.plan.swarm.cluster.electionTimeoutMs * MILLISECOND + 2 * SECOND
  demand(cluster, 'a leader in every group after losing power', elections, () =>
    cluster.observer.truths.all.every(({ group }) => leads(cluster, group)),
  )
  demand(
    cluster,
    'replicas converge after losing power',
    40 * SECOND,
    () => quiet(cluster) && converged(cluster),
  )
}

/** Every replica holds exactly the keys of the ground truth, and equal histories. */
export function compareStates(cluster: Cluster): void {
  const seen = new Map<string, string>()
  for (const { node, group } of sound(cluster)) {
    const { shard } = group.machine
    if (shard === null) continue
    const reader = createReader(shard, overlaySnapshot(node.state!.overlay))
    const fetch = node.engine.fetchSync.bind(node.engine)
    const read = runStep(readRange(reader, range(shard.range)), need => fetch(need))
    const { truth } = cluster.observer.truths.get(group.id)
    const expected = truth.view(truth.revision).scan(shard.range).map(kvText).join('\n')
    const got = read.ok ? read.value.reply.kvs.map(kvText).join('\n') : `refused ${read.error.code}`
    if (got !== expected || shard.revision !== truth.revision) {
      throw new Failure('a replica holds other keys than its log says', {
        node: node.station,
        group: group.id,
        revision: shard.revision,
        truth: truth.revision,
        ...firstDifference(expected, got),
      })
    }
    const hash = runStep(hashKv(reader, 0), need => fetch(need))
    const name = `${group.id} ${shard.revision} ${shard.compactRevision}`
    const text = hash.ok ? `${hash.value.hash}` : hash.error.code
    const other = seen.get(name) ?? text
    seen.set(name, text)
    if (!hash.ok || other !== text) {
      throw new Failure('I24: hashes of histories differ', {
        node: node.station,
        group: group.id,
        other,
        text,
      })
    }
  }
}

function firstDifference(expected: string, got: string): { expected: string; got: string } {
  const [a, b] = [expected.split('\n'), got.split('\n')]
  const at = a.findIndex((line, i) => line !== b[i])
  return { expected: (a[at] ?? '').slice(0, 120), got: (b[at < 0 ? a.length : at] ?? '').slice(0, 120) }
}

const kvText = (kv: KeyValue): string =>
  `${toKeyString(kv.key)} ${kv.create} ${kv.mod} ${kv.version} ${kv.lease} ${toHex(kv.value)}`
