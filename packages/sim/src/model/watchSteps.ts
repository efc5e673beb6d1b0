import { ALL_KEYS, type GroupId } from '@kvorum/model'
import type { MergedWatch } from '@kvorum/placement'
import { askLeaders, COMPACT_RESOLVE, readAtLeader, readDrained, WATCH_RESOLVE } from './clientSteps.js'
import { compactionResolved } from './compactSteps.js'
import { farPromised, isFarResolve } from './farWatch.js'
import { holds, KEYS, keysIn } from './keys.js'
import type { Emit } from './oracleSteps.js'
import { must, tellAll, upTo } from './properties.js'
import { applyEntry, rightHalf, splits } from './replica.js'
import type { Context } from './rules.js'
import { nameOf, setAgent } from './shardSteps.js'
import {
  replicaOf,
  streamOf,
  without,
  type Shard,
  type WatchEvent,
  type WatchWorld,
  type World,
} from './world.js'

/** Leaders keep the promises they can keep now, whoever they were asked by. */
export function settleSteps(context: Context, world: World, emit: Emit): void {
  const { rules } = context
  for (const [s, shard] of world.shards.entries())
    for (const [i, agent] of shard.agents.entries()) {
      const { leader, replica, applied } = agent
      const { transactions, highest } = replica
      if (leader.resolves.length > 0)
        emit(`${nameOf(world, s, i)} resolves`, () => {
          const { leader: next, resolved } = rules.settleResolves(leader, transactions, applied)
          let to = setAgent(world, s, i, { ...agent, leader: next })
          for (const { id, revision, index } of resolved)
            to = promised(context, to, s, i, id, revision, index)
          return resolved.length === 0 ? null : to
        })
      if (leader.drains.length > 0)
        emit(`${nameOf(world, s, i)} serves a drain read`, () => {
          const at = { index: applied, revision: highest }
          const { leader: next, drained } = rules.settleDrains(leader, transactions, at)
          let to = setAgent(world, s, i, { ...agent, leader: next })
          for (const { id, revision } of drained) to = readDrained(context, to, s, i, id, revision)
          return drained.length === 0 ? null : to
        })
    }
}

function promised(
  context: Context,
  world: World,
  s: number,
  i: number,
  id: number,
  revision: number,
  index: number,
): World {
  if (isFarResolve(id)) return farPromised(context, world, s, i, id, { revision, index })
  if (id === COMPACT_RESOLVE) return compactionResolved(world, s)
  if (id !== WATCH_RESOLVE && context.plan.reads[id]!.kind === 'snapshot')
    return readAtLeader(context, world, s, i, id)
  const watch = world.watch!
  const message = { group: world.shards[s]!.group, promised: { revision, index } }
  const inbox = [...watch.inbox, message].sort(
    (a, b) => a.group - b.group || a.promised.revision - b.promised.revision,
  )
  return { ...world, watch: { ...watch, inbox } }
}

export function watchSteps(context: Context, world: World, emit: Emit): void {
  const { watch } = world
  if (watch === null) return
  const { rules, plan } = context
  for (const [m, { group, promised: what }] of watch.inbox.entries()) {
    const stream = streamOf(watch, group)
    if (stream === undefined) continue
    emit(`the watcher hears that group ${group} is resolved to ${what.revision} at ${what.index}`, () =>
      come(context, world, {
        ...watch,
        // Which epoch the leader spoke of is not said; one that spoke behind a split is not heard in front of it.
        watch: rules.watchPromised(watch.watch, group, { ...what, epoch: stream.epoch }),
        inbox: without(watch.inbox, m),
      }),
    )
  }
  for (const { group, applied } of watch.replicas)
    if (applied < shardOfGroup(world, group).committed)
      emit(`the watcher's replica of group ${group} applies`, () => applyAtWatcher(context, world, group))
  if (plan.snapshots > 0) snapshotSteps(context, world, watch, emit)
  if (!plan.watch) return
  if (watch.stranded) return
  for (const { group, revision } of rules.watchWants(watch.watch, watch.lostUpTo)) {
    const s = world.shards.findIndex(shard => shard.group === group)
    const wanted = plan.breach === 'futureResolved' ? revision + 1 : revision
    if (watch.inbox.some(other => other.group === group && other.promised.revision >= wanted)) continue
    const held = streamOf(watch, group)?.held ?? []
    if (held.some(other => other.revision >= wanted)) continue
    askLeaders(
      context,
      world,
      s,
      { id: WATCH_RESOLVE, revision: wanted, ranges: [ALL_KEYS] },
      'the watcher',
      emit,
    )
  }
}

const shardOfGroup = (world: World, group: GroupId): Shard =>
  world.shards.find(shard => shard.group === group)!

/** Replicas of the watcher's node that are behind are replaced, and one that is not there yet comes like this. */
function snapshotSteps(context: Context, world: World, watch: WatchWorld, emit: Emit): void {
  for (const { group, committed, end } of world.shards) {
    const here = watch.replicas.find(other => other.group === group)
    // No two replicas of a node have rows of one key.
    const isTaken = watch.replicas.some(
      other => other.group !== group && keysIn(end.range).some(key => holds(other.replica.range, key)),
    )
    const isBehind = here === undefined || (world.snapshots > 0 && here.applied < committed)
    if (isTaken || !isBehind) continue
    emit(`the watcher's replica of group ${group} comes by a snapshot`, () => {
      const others = watch.replicas.filter(other => other !== here)
      const replicas = [...others, { group, applied: committed, replica: end }]
      replicas.sort((a, b) => a.group - b.group)
      const snapshots = here === undefined ? world.snapshots : world.snapshots - 1
      const next = placed(context, { ...watch, replicas, stranded: true })
      return come(context, { ...world, snapshots }, next)
    })
  }
}

/** As soon as all keys are here, those who wait go on at a hub that begins anew. */
function placed({ rules, plan }: Context, watch: WatchWorld): WatchWorld {
  const { replicas } = watch
  if (!watch.stranded) return watch
  const areThere = KEYS.every(key => replicas.some(({ replica }) => holds(replica.range, key)))
  if (!areThere && plan.breach !== 'restOfASplitNotWaitedFor')
    return { ...watch, watch: { ...watch.watch, streams: [] } }
  const shards = replicas.map(({ group, replica: { epoch } }) => ({ group, epoch }))
  const fresh = rules.newMergedWatch<WatchEvent>(shards, 0)
  const begun = replicas.reduce(
    (hub, { group, applied }) => rules.watchApplied(hub, group, applied, []),
    fresh,
  )
  const seen = Math.max(...replicas.map(({ replica }) => replica.highest))
  const lostUpTo = plan.breach === 'snapshotTakenForEvents' ? 0 : seen
  return { ...watch, watch: begun, lostUpTo, stranded: false }
}

/** One committed entry at the watcher's replica of a shard. */
function applyAtWatcher(context: Context, world: World, group: GroupId): World {
  const { rules, plan } = context
  const watch = world.watch!
  const shard = shardOfGroup(world, group)
  const before = watch.replicas.find(other => other.group === group)!
  const entry = shard.log[before.applied]!
  const index = before.applied + 1
  const { replica, applied } = applyEntry(rules, plan.breach, before.replica, entry)
  const replicas = watch.replicas.map(other =>
    other === before ? { group, applied: index, replica } : other,
  )
  if (entry.kind === 'split' && splits(before.replica, entry)) {
    const right = { group: entry.heir, applied: 0, replica: rightHalf(rules, before.replica, entry) }
    const split = { group, index, epoch: replica.epoch, right: entry.heir }
    const joined = watch.stranded ? watch.watch : rules.watchSplit(watch.watch, split)
    const all = [...replicas, right].sort((a, b) => a.group - b.group)
    return come(context, world, placed(context, { ...watch, replicas: all, watch: joined }))
  }
  const events: WatchEvent[] = []
  if (applied.kind === 'written' && entry.kind === 'write' && entry.key !== null)
    events.push({ revision: applied.revision, key: entry.key })
  if (applied.kind === 'leaseEnded')
    for (const key of applied.written) events.push({ revision: applied.revision, key })
  if (applied.kind === 'ended' && applied.ended.outcome?.kind === 'commit')
    for (const key of applied.written) events.push({ revision: applied.ended.outcome.revision, key })
  const seen = rules.watchApplied(watch.watch, group, index, events)
  if (!plan.watchByLog) return come(context, world, { ...watch, replicas, watch: seen })
  const revision = rules.resolvedByLog(replica.transactions, replica.highest)
  const known = rules.watchPromised(seen, group, { revision, index, epoch: replica.epoch })
  return come(context, world, { ...watch, replicas, watch: known })
}

/** What the watcher may rely on now is told, and what can be emitted is. */
function come(context: Context, world: World, next: WatchWorld): World {
  let told = world
  for (const { group, stream } of next.watch.streams)
    if (stream.resolved > (streamOf(world.watch!, group)?.resolved ?? 0))
      told = tellAll(told, replicaOf(next, group), stream.resolved)
  if (next.stranded) return { ...told, watch: next }
  const { watch, emitted } = context.rules.emitMerged(next.watch)
  if (watch.emitted <= next.told) return { ...told, watch: { ...next, watch } }
  const isLost = next.watch.emitted < next.lostUpTo
  const count = isLost ? inHistory(next, watch.emitted) : judgeEmitted(next.watch, emitted)
  const delivered = next.delivered + count
  const there = world.shards.reduce((sum, { end }) => sum + countUpTo(end, watch.emitted), 0)
  must(delivered === there, () => `Watch: ${delivered} events up to ${watch.emitted}, there are ${there}`)
  return { ...told, watch: { ...next, watch, delivered, told: watch.emitted } }
}

/** Events behind what was told, in the history of the replicas here. */
const inHistory = ({ replicas, told }: WatchWorld, upTo: number): number =>
  replicas.reduce((sum, { replica }) => sum + countUpTo(replica, upTo) - countUpTo(replica, told), 0)

function judgeEmitted(
  before: MergedWatch<WatchEvent>,
  emitted: readonly { readonly revision: number; readonly events: readonly WatchEvent[] }[],
): number {
  let last = before.emitted
  let count = 0
  for (const { revision, events } of emitted) {
    must(revision > last, () => `Watch: events at ${revision} behind ${last}`)
    last = revision
    count += events.length
  }
  return count
}

const countUpTo = (replica: World['shards'][number]['end'], revision: number): number =>
  keysIn(replica.range).reduce((sum, key) => sum + upTo(replica, key, revision), 0)
