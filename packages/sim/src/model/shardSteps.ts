import { groupId } from '@kvorum/model'
import { askOracle, askStaleOracles, handOne, type Emit } from './oracleSteps.js'
import {
  attachedKeys,
  judgeAsked,
  judgeAttach,
  judgeDeleted,
  leaseEnds,
  sessionWrites,
} from './leaseTruth.js'
import { judgeOrder, judgeWrite, must, tellAll } from './properties.js'
import { applyEntry, rightHalf, splits, type AppliedEntry, type Entry, type Replica } from './replica.js'
import type { Context } from './rules.js'
import { holds, KEYS, POINTS, type Key } from './keys.js'
import { newShard, replaceAt, type Agent, type Shard, type World } from './world.js'

export const setShard = (world: World, s: number, shard: Shard): World => ({
  ...world,
  shards: replaceAt(world.shards, s, shard),
})

export const setAgent = (world: World, s: number, i: number, agent: Agent): World => {
  const shard = world.shards[s]!
  return setShard(world, s, { ...shard, agents: replaceAt(shard.agents, i, agent) })
}

export const nameOf = (world: World, s: number, i: number): string =>
  `shard ${s + 1} term ${world.shards[s]!.agents[i]!.term}`

export const isLeader = (world: World, s: number, i: number): boolean =>
  world.shards[s]!.agents[i]!.term === world.shards[s]!.term

/** The leader of the day that has applied its no-op, or -1. */
export const openLeaderOf = (world: World, s: number): number =>
  world.shards[s]!.agents.findIndex(({ term, leader }) => leader.open && term === world.shards[s]!.term)

/** The entry reaches the log if its proposer still leads; otherwise it is lost. */
export function append(context: Context, world: World, s: number, entry: Entry): World {
  const shard = world.shards[s]!
  if (entry.term !== shard.term) return world
  const longer = setShard(world, s, { ...shard, log: [...shard.log, entry] })
  return context.plan.tails ? longer : commitNext(context, longer, s)
}

function commitNext(context: Context, world: World, s: number): World {
  const shard = world.shards[s]!
  const entry = shard.log[shard.committed]!
  const applied = applyCached(context, shard.end, entry)
  const judged = judge(context, world, shard, entry, applied)
  const committed = { ...judged.shards[s]!, end: applied.replica, committed: shard.committed + 1 }
  const next = setShard(judged, s, committed)
  if (entry.kind !== 'split' || !splits(shard.end, entry)) return next
  const right = rightHalf(context.rules, shard.end, entry)
  return { ...next, shards: [...next.shards, newShard(context.rules, entry.heir, right, right.highest)] }
}

const cache = new WeakMap<Context, WeakMap<Replica, Map<Entry, AppliedEntry>>>()

/** Applying is a function of state and entry, and the same few are met over and over. */
function applyCached(context: Context, replica: Replica, entry: Entry): AppliedEntry {
  let ofContext = cache.get(context)
  if (ofContext === undefined) cache.set(context, (ofContext = new WeakMap()))
  let ofReplica = ofContext.get(replica)
  if (ofReplica === undefined) ofContext.set(replica, (ofReplica = new Map()))
  let applied = ofReplica.get(entry)
  if (applied === undefined) {
    applied = applyEntry(context.rules, context.plan.breach, replica, entry)
    ofReplica.set(entry, applied)
  }
  return applied
}

/** An entry is committed: what it does is true from now on. */
function judge(context: Context, world: World, shard: Shard, entry: Entry, { applied }: AppliedEntry): World {
  const before = shard.end
  switch (applied.kind) {
    case 'nothing':
      // What is compacted is told to be all there is, by replicas that forget it each at its own pace.
      return entry.kind === 'compact' ? tellAll(world, before, entry.revision) : world
    case 'refused':
    case 'moved':
    case 'spread':
    case 'known':
      return world
    case 'written': {
      if (entry.kind !== 'write' || entry.key === null) return world
      const { work, key, write, stamp } = entry
      const { revision } = applied
      judgeOrder(before, key, revision)
      judgeWrite(world, key, revision, world.writes[write]!.born)
      if (work === 'attach') judgeAttach(world, revision)
      const next = work === 'session' ? sessionWrites(world, revision) : world
      if (stamp !== null) return next
      return { ...next, oracle: { ...next.oracle, handed: handOne(next.oracle.handed, revision) } }
    }
    case 'leaseEnded': {
      if (entry.kind !== 'write') return world
      const { revision, written } = applied
      judgeDeleted(before, attachedKeys(world), written, revision)
      return leaseEnds(world, revision, world.writes[entry.write]!.born)
    }
    case 'vote': {
      if (entry.kind !== 'prepare' || applied.vote.kind !== 'prepared') return world
      return noteCompared(context, world, shard, entry.transaction)
    }
    case 'ended': {
      if (entry.kind !== 'decide' && entry.kind !== 'end') return world
      const { outcome, released } = applied.ended
      const known = world.transactions[entry.transaction]!.decision
      const next =
        entry.kind === 'decide' && outcome !== null && known === null
          ? decided(world, entry.transaction, outcome)
          : world
      const decision = next.transactions[entry.transaction]!.decision
      if (outcome !== null && (entry.kind === 'decide' || released !== null))
        must(
          decision !== null && same(decision, outcome),
          () =>
            `Atomic: transaction ${entry.transaction + 1} ends with ${text(outcome)}, decided: ${text(decision)}`,
        )
      if (outcome?.kind !== 'commit') return next
      const { work, writes } = next.transactions[entry.transaction]!
      if (work === 'endLease' && released !== null) {
        const due = writes.filter(key => holds(before.range, key))
        judgeDeleted(before, due, applied.written, outcome.revision)
      } else for (const key of applied.written) judgeOrder(before, key, outcome.revision)
      return next
    }
  }
}

type Decided = NonNullable<World['transactions'][number]['decision']>
const text = (outcome: Decided | null): string =>
  outcome === null ? 'nothing' : outcome.kind === 'commit' ? `commit at ${outcome.revision}` : 'abort'
const same = (a: Decided, b: Decided): boolean =>
  a.kind === 'commit' && b.kind === 'commit' ? a.revision === b.revision : a.kind === b.kind

function noteCompared(context: Context, world: World, shard: Shard, transaction: number): World {
  const op = world.transactions[transaction]!
  const keys = context.plan.transactions[transaction]!.compares.filter(
    key => !op.compared.some(other => other.key === key) && holds(shard.end.range, key),
  )
  if (keys.length === 0) return world
  const noted = keys.map(key => ({ key, last: lastOf(shard.end, key) }))
  const next = { ...op, compared: [...op.compared, ...noted] }
  return { ...world, transactions: replaceAt(world.transactions, transaction, next) }
}

const lastOf = (replica: Replica, key: Key): number => replica.written[KEYS.indexOf(key)]!.at(-1) ?? 0

/** The record of a transaction is in its primary's log: it has happened, everywhere, or never will. */
function decided(world: World, transaction: number, outcome: Decided): World {
  const op = world.transactions[transaction]!
  const transactions = replaceAt(world.transactions, transaction, { ...op, decision: outcome })
  if (outcome.kind === 'abort') return { ...world, transactions }
  const { revision } = outcome
  must(revision > op.born, () => `Real time: transaction at ${revision}, but ${op.born} was known before`)
  if (op.work === 'endLease') {
    judgeAsked(world, transaction + 1)
    const all = replaceAt(transactions, transaction, {
      ...op,
      decision: outcome,
      writes: attachedKeys(world),
    })
    return { ...leaseEnds(world, revision, op.born), transactions: all }
  }
  for (const key of op.writes) judgeWrite(world, key, revision, op.born)
  if (op.work === 'attach') judgeAttach(world, revision)
  const { lease } = op.work === 'session' ? sessionWrites(world, revision) : world
  let { guards } = world
  for (const { key, last } of op.compared) {
    const now = world.shards.find(({ end }) => holds(end.range, key))!.end
    must(lastOf(now, key) === last, () => `Atomic: ${key} has changed since it was compared`)
    guards = guards.map((guard, i) => (KEYS[i] === key ? Math.max(guard, revision) : guard))
  }
  return { ...world, transactions, guards, lease }
}

/** Asks revisions for what is queued at a leader, and has the question reach the oracle. */
export function askFor(
  context: Context,
  world: World,
  s: number,
  i: number,
  label: string,
  emit: Emit,
): void {
  const agent = world.shards[s]!.agents[i]!
  const { leader, ask } = context.rules.askRevisions(agent.leader, agent.replica.transactions)
  if (ask === null) return
  const asked = setAgent(world, s, i, { ...agent, leader })
  const spare = context.plan.breach === 'leftoverOfBlockKept'
  const request = {
    kind: 'alloc',
    from: { kind: 'leader', shard: s, term: ask.term, ask: ask.ask },
    count: spare ? ask.count + 1 : ask.count,
  } as const
  const usual = askOracle(context, asked, request)
  if (usual !== null) emit(label, () => usual.to)
  for (const { to, note } of askStaleOracles(context, asked, request)) emit(label + note, () => to)
}

export function shardSteps(context: Context, world: World, emit: Emit): void {
  for (const [s, shard] of world.shards.entries()) {
    if (shard.committed < shard.log.length)
      emit(`shard ${s + 1} commits ${shard.log[shard.committed]!.kind}`, () => commitNext(context, world, s))
    electSteps(context, world, s, emit)
    if (s === 0) switchStep(context, world, emit)
    for (const i of shard.agents.keys()) agentSteps(context, world, s, i, emit)
  }
  for (const [k, left] of world.splits.entries()) if (left > 0) splitStep(context, world, k, emit)
}

function agentSteps(context: Context, world: World, s: number, i: number, emit: Emit): void {
  const { rules, plan } = context
  const shard = world.shards[s]!
  const agent = shard.agents[i]!
  const { leader } = agent
  const name = nameOf(world, s, i)
  const leads = isLeader(world, s, i)
  if (!leader.open) {
    const noop = shard.log.findIndex(entry => entry.kind === 'noop' && entry.term === agent.term)
    if (leads && noop < shard.committed)
      emit(`${name} applies up to its no-op`, () => {
        const opened = rules.openLeader(leader, shard.end.highest)
        return setAgent(world, s, i, {
          ...agent,
          applied: shard.committed,
          replica: shard.end,
          leader: opened,
        })
      })
    return
  }
  if (leads && leader.queued.length > 0) askFor(context, world, s, i, `${name} asks again`, emit)
  const waits = [...leader.resolves, ...leader.drains]
  if (plan.slowRounds && leads && waits.some(({ proof }) => proof.kind === 'wanted'))
    emit(`${name} starts a round`, () =>
      setAgent(world, s, i, { ...agent, leader: rules.leaderRoundStarts(leader, 1) }),
    )
  if (waits.some(({ proof }) => proof.kind === 'underWay'))
    emit(`${name}'s round succeeds`, () =>
      setAgent(world, s, i, { ...agent, leader: rules.leaderRoundSucceeds(leader, 1) }),
    )
  for (const [k, kept] of agent.kept.entries()) {
    if (kept.write < 0) continue
    const entry = {
      kind: 'write',
      term: agent.term,
      write: kept.write,
      ...plan.writes[kept.write]!,
      stamp: kept.revision,
    } as const
    const ranges = entry.key === null ? [] : [POINTS[entry.key]]
    if (leads && rules.locksOn(agent.replica.transactions, ranges).length === 0)
      emit(`${name} proposes write ${kept.write + 1}@${kept.revision} again`, () => {
        const forgotten = { ...agent, kept: agent.kept.filter((_, j) => j !== k) }
        return append(context, setAgent(world, s, i, forgotten), s, entry)
      })
  }
  if (plan.handBack && !leads && (leader.queued.length > 0 || leader.asks.length > 0))
    emit(`${name} hands back what it has not proposed`, () => {
      const given = rules.retire(leader).map(({ write }) => write)
      const writes = world.writes.map((op, w) => (given.includes(w) ? { ...op, stage: 'new' as const } : op))
      return { ...setAgent(world, s, i, { ...agent, leader: { ...leader, queued: [], asks: [] } }), writes }
    })
}

function electSteps(context: Context, world: World, s: number, emit: Emit): void {
  const { rules, plan } = context
  const shard = world.shards[s]!
  if (shard.term + 1 >= (plan.terms[s] ?? 1)) return
  const term = shard.term + 1
  const start = shard.agents[0]!.replica
  for (let keep = shard.committed; keep <= shard.log.length; keep++)
    emit(`shard ${s + 1} elects term ${term}${plan.tails ? ` with ${keep} entries` : ''}`, () => {
      const agent = { term, applied: 0, replica: start, leader: rules.electLeader(term), kept: [] }
      const elected = { ...shard, term, log: shard.log.slice(0, keep), agents: [...shard.agents, agent] }
      return append(context, setShard(world, s, elected), s, { kind: 'noop', term })
    })
}

/** A split is ordered, or ordered again. */
function splitStep(context: Context, world: World, k: number, emit: Emit): void {
  const { rules, plan } = context
  const { group, at } = plan.splits[k]!
  const s = world.shards.findIndex(shard => shard.group === groupId(group))
  const i = s < 0 ? -1 : openLeaderOf(world, s)
  if (i < 0) return
  const agent = world.shards[s]!.agents[i]!
  const epoch = epochOf(plan, k)
  if (agent.replica.epoch < epoch - 1) return
  emit(`${nameOf(world, s, i)} proposes a split at ${at}`, () => {
    const { term, replica } = agent
    const uncounted = plan.breach === 'splitBeforeTheSwitchNotCounted' && replica.mode.kind === 'dense'
    const proposed = uncounted ? agent : { ...agent, leader: rules.splitProposed(agent.leader) }
    const left = world.splits.map((copies, other) => (other === k ? copies - 1 : copies))
    const heir = groupId(plan.shards + 1 + k)
    const next = { ...setAgent(world, s, i, proposed), splits: left }
    return append(context, next, s, { kind: 'split', term, at, heir, epoch })
  })
}

/** Of the halves of a split: the splits of a group follow each other. */
function epochOf(plan: Context['plan'], k: number): number {
  const { splits: planned, shards } = plan
  const { group } = planned[k]!
  const before = planned.slice(0, k).filter(other => other.group === group).length
  const made = group - shards - 1
  return (made < 0 ? 1 : epochOf(plan, made)) + before + 1
}

/** The first shard leaves dense mode. */
function switchStep(context: Context, world: World, emit: Emit): void {
  const { plan } = context
  const i = openLeaderOf(world, 0)
  if (i < 0) return
  const agent = world.shards[0]!.agents[i]!
  const { term } = agent
  if (world.switches > 0)
    emit(`${nameOf(world, 0, i)} proposes the end of dense mode`, () => {
      const { oracle } = world
      const early = plan.breach === 'oracleStartsAtProposal'
      const next = {
        ...world,
        switches: 0,
        oracle: early ? { ...oracle, committed: agent.replica.highest } : oracle,
      }
      return append(context, next, 0, { kind: 'switch', term })
    })
}

export const applyNext = (context: Context, shard: Shard, agent: Agent): AppliedEntry =>
  applyCached(context, agent.replica, shard.log[agent.applied]!)
