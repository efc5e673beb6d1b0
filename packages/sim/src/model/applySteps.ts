import type { KeyRange } from '@kvorum/model'
import { replaceAt, type Agent, type World } from './world.js'
import type { Emit } from './oracleSteps.js'
import { POINTS } from './keys.js'
import { toldKnown } from './leaseTruth.js'
import type { Applied, Entry } from './replica.js'
import type { Context } from './rules.js'
import { applyNext, nameOf, setAgent } from './shardSteps.js'
import { tellAsker, tellCoordinator, tellFinisher, waitForLocks } from './transactionSteps.js'

/** A leader, of the day or of an earlier one, applies the next committed entry and answers for what it proposed. */
export function applySteps(context: Context, world: World, emit: Emit): void {
  for (const [s, shard] of world.shards.entries())
    for (const [i, agent] of shard.agents.entries()) {
      if (!agent.leader.open || agent.applied >= shard.committed) continue
      if (agent.term !== shard.term && isIdle(agent)) continue
      const entry = shard.log[agent.applied]!
      emit(`${nameOf(world, s, i)} applies ${describe(entry)}`, () => applyHere(context, world, s, i))
    }
}

/** A deposed leader to which nothing can happen any more: where it stays behind makes no difference. */
const isIdle = ({ leader }: Agent): boolean =>
  [leader.asks, leader.pending, leader.resolves, leader.drains].every(list => list.length === 0)

function applyHere(context: Context, world: World, s: number, i: number): World {
  const shard = world.shards[s]!
  const agent = shard.agents[i]!
  const entry = shard.log[agent.applied]!
  const { replica, applied } = applyNext(context, shard, agent)
  const leader = noteApplied(context, agent, entry, applied)
  const kept =
    context.plan.breach === 'refusedKeepsRevision' && applied.kind === 'refused' && isOwn(agent, entry)
      ? [...agent.kept, { write: entry.write, revision: entry.stamp! }]
      : agent.kept
  const next = setAgent(world, s, i, { ...agent, applied: agent.applied + 1, replica, leader, kept })
  return entry.term === agent.term ? answer(context, next, s, entry, applied) : next
}

const rangesOf = ({ replica }: Agent, { key }: OwnWrite): readonly KeyRange[] =>
  key === null ? [replica.range] : [POINTS[key]]

type OwnWrite = Extract<Entry, { kind: 'write' }>
const isOwn = (agent: Agent, entry: Entry): entry is OwnWrite =>
  entry.kind === 'write' && entry.term === agent.term

function noteApplied(context: Context, agent: Agent, entry: Entry, applied: Applied): Agent['leader'] {
  const { rules, plan } = context
  const { leader } = agent
  switch (applied.kind) {
    case 'written':
    case 'leaseEnded':
      return rules.revisionApplied(leader, applied.revision)
    case 'known':
      // What changes nothing has its place in the order all the same.
      return entry.kind === 'write' && entry.stamp !== null
        ? rules.revisionApplied(leader, entry.stamp)
        : leader
    case 'refused':
      if (!isOwn(agent, entry) || plan.breach === 'refusedKeepsRevision') return leader
      return entry.stamp === null
        ? rules.queueWrite(leader, { write: entry.write, ranges: rangesOf(agent, entry) })
        : rules.writeRefused(leader, entry.stamp, applied.behind)
    case 'spread':
    case 'moved':
      return isOwn(agent, entry) && entry.stamp !== null ? rules.writeMoved(leader, entry.stamp) : leader
    case 'ended': {
      const { outcome } = applied.ended
      return outcome?.kind === 'commit' ? rules.revisionApplied(leader, outcome.revision) : leader
    }
    case 'vote':
      return leader
    case 'nothing':
      if (entry.kind === 'compact') return rules.revisionApplied(leader, entry.revision)
      if (entry.kind !== 'split') return leader
      if (plan.breach === 'splitBeforeTheSwitchNotCounted' && leader.splitting === 0) return leader
      return rules.splitApplied(leader, entry.term)
  }
}

/** The proposer answers: a client, or a coordinator, in the same step. A lost answer is a coordinator that dies. */
function answer(context: Context, world: World, s: number, entry: Entry, applied: Applied): World {
  switch (entry.kind) {
    case 'write': {
      const op = world.writes[entry.write]!
      if (applied.kind === 'moved')
        return { ...world, writes: replaceAt(world.writes, entry.write, { ...op, stage: 'new' }) }
      if (applied.kind === 'refused') return world
      const writes = replaceAt(world.writes, entry.write, { ...op, stage: 'done' as const })
      const done = { ...world, writes }
      if (applied.kind === 'known') return toldKnown(done, applied.answer)
      if (applied.kind !== 'written' && applied.kind !== 'leaseEnded') return done
      return { ...done, acked: Math.max(world.acked, applied.revision) }
    }
    case 'prepare': {
      const { transaction } = entry
      if (applied.kind === 'known') return answered(context, world, transaction, applied.answer)
      if (applied.kind !== 'vote') return world
      if (applied.vote.kind === 'wait') return waitForLocks(world, s, transaction)
      const { vote } = applied
      return tellCoordinator(context, world, transaction, (rules, coordinator) =>
        rules.voteArrived(coordinator, world.shards[s]!.group, vote),
      )
    }
    case 'decide': {
      if (applied.kind !== 'ended') return world
      const { outcome, heirs } = applied.ended
      if (entry.asker !== null) return tellAsker(context, world, entry.transaction, entry.asker, outcome)
      return tellCoordinator(context, world, entry.transaction, (rules, coordinator) =>
        rules.recordArrived(coordinator, outcome, heirs),
      )
    }
    case 'end': {
      if (applied.kind !== 'ended') return world
      const { heirs } = applied.ended
      const { group } = world.shards[s]!
      if (world.transactions[entry.transaction]!.coordinator === null)
        return tellFinisher(world, entry.transaction, group, heirs, entry.outcome)
      return tellCoordinator(context, world, entry.transaction, (rules, coordinator) =>
        rules.endArrived(coordinator, group, heirs),
      )
    }
    default:
      return world
  }
}

/** The home knows the answer, so that nothing is to be done: the coordinator tells it, and gives up. */
function answered(context: Context, world: World, t: number, answer: number | null): World {
  if (world.transactions[t]!.coordinator === null) return world
  const told = toldKnown(world, answer)
  return tellCoordinator(context, told, t, (rules, coordinator) => rules.giveUp(coordinator))
}

function describe(entry: Entry): string {
  switch (entry.kind) {
    case 'write':
      return `write ${entry.write + 1}, ${entry.key ?? 'the lease'}@${entry.stamp ?? 'next'}`
    case 'prepare':
      return `prepare of transaction ${entry.transaction + 1}`
    case 'decide':
    case 'end':
      return `${entry.kind} of transaction ${entry.transaction + 1}, ${entry.outcome.kind}`
    default:
      return entry.kind
  }
}
