import {
  incarnation,
  intersectRanges,
  isEmptyRange,
  rangesOverlap,
  type GroupId,
  type KeyRange,
  type TransactionId,
  type TransactionOutcome,
} from '@kvorum/model'
import type { Coordinator, CoordinatorOrder } from '@kvorum/placement'
import { HOME, KEYS, POINTS, type Key } from './keys.js'
import { workOf } from './lease.js'
import { askOracle, askStaleOracles, withoutAnswer, type Emit } from './oracleSteps.js'
import { wouldWait } from './replica.js'
import type { Context, Rules } from './rules.js'
import { append, isLeader, nameOf, openLeaderOf, setAgent } from './shardSteps.js'
import {
  ownerOf,
  replaceAt,
  without,
  type TransactionMessage,
  type TransactionOp,
  type World,
} from './world.js'

interface CoordinatorStep {
  readonly coordinator: Coordinator
  readonly orders: readonly CoordinatorOrder[]
}

const idOf = (t: number): TransactionId => ({ coordinator: incarnation(1n), sequence: t + 1 })

const setOp = (world: World, t: number, op: TransactionOp): World => ({
  ...world,
  transactions: replaceAt(world.transactions, t, op),
})

const shardOf = (world: World, group: GroupId): number =>
  world.shards.findIndex(shard => shard.group === group)

/** Gives a coordinator that lives what it has been told, and carries out its orders. */
export function tellCoordinator(
  context: Context,
  world: World,
  t: number,
  step: (rules: Rules, coordinator: Coordinator) => CoordinatorStep,
): World {
  const op = world.transactions[t]!
  if (op.coordinator === null) return world
  const { coordinator, orders } = step(context.rules, op.coordinator)
  return carryOut(context, setOp(world, t, { ...op, coordinator }), t, orders)
}

function carryOut(context: Context, world: World, t: number, orders: readonly CoordinatorOrder[]): World {
  let next = world
  for (const order of orders) {
    const op = next.transactions[t]!
    switch (order.kind) {
      case 'askRevision':
        if (context.plan.breach !== 'revisionBeforeVotes') next = askRevision(context, next, t) ?? next
        break
      case 'answer': {
        const { outcome } = order
        const acked = outcome.kind === 'commit' ? Math.max(next.acked, outcome.revision) : next.acked
        next = { ...setOp(next, t, { ...op, stage: 'over' }), acked }
        break
      }
      default:
        next = send(context, next, t, order)
    }
  }
  return next
}

function send(
  context: Context,
  world: World,
  t: number,
  order: Exclude<CoordinatorOrder, { kind: 'askRevision' | 'answer' }>,
): World {
  const { prepareCopies, endCopies } = context.plan
  const copies = order.kind === 'prepare' ? prepareCopies : order.kind === 'forget' ? 1 : endCopies
  return post(world, t, { ...order, copies, waited: false })
}

function post(world: World, t: number, message: TransactionMessage): World {
  const op = world.transactions[t]!
  const alike = op.messages.findIndex(other => other.kind === message.kind && other.group === message.group)
  if (alike >= 0 && message.kind !== 'prepare') return world
  return setOp(world, t, { ...op, messages: [...op.messages, message] })
}

/** Its locks are not free yet: the leader proposes the prepare again later. */
export const waitForLocks = (world: World, s: number, t: number): World =>
  post(world, t, { kind: 'prepare', group: world.shards[s]!.group, copies: 1, waited: true })

/** A shard that asked for the record is told. Where there is none any more, nothing was committed. */
export const tellAsker = (
  context: Context,
  world: World,
  t: number,
  asker: GroupId,
  outcome: TransactionOutcome | null,
): World => postEnd(world, t, asker, outcome ?? context.rules.orphanAsks())

const postEnd = (world: World, t: number, group: GroupId, outcome: TransactionOutcome): World =>
  post(world, t, { kind: 'end', group, outcome, copies: 1, waited: false })

/** The primary's leader has had a record for too long: it tells everybody, then has it forgotten. */
function finishSteps(context: Context, world: World, t: number, emit: Emit): void {
  const op = world.transactions[t]!
  if (op.stage !== 'crashed' || op.finisher !== null) return
  for (const [s, { group, agents }] of world.shards.entries()) {
    const i = openLeaderOf(world, s)
    const record = i < 0 ? undefined : context.rules.recordOf(agents[i]!.replica.transactions, idOf(t))
    if (record === undefined) continue
    const waiting = [...record.participants, ...record.heirs].filter(other => other !== group)
    emit(`transaction ${t + 1}: ${nameOf(world, s, i)} brings the record to its end`, () =>
      tell(setOp(world, t, { ...op, finisher: { waiting: [], told: [group] } }), t, waiting, record.outcome),
    )
  }
}

function tell(world: World, t: number, groups: readonly GroupId[], outcome: TransactionOutcome): World {
  const op = world.transactions[t]!
  const { waiting, told } = op.finisher!
  const fresh = groups.filter(group => !told.includes(group) && !waiting.includes(group))
  const all = [...waiting, ...fresh].sort((p, q) => p - q)
  const next = setOp(world, t, { ...op, finisher: { waiting: all, told } })
  if (all.length === 0) return post(next, t, { kind: 'forget', group: told[0]!, copies: 1, waited: false })
  return fresh.reduce((to, group) => postEnd(to, t, group, outcome), next)
}

/** A participant has applied the end, and names those that were split off from it since it was locked. */
export function tellFinisher(
  world: World,
  t: number,
  group: GroupId,
  heirs: readonly GroupId[],
  outcome: TransactionOutcome,
): World {
  const op = world.transactions[t]!
  if (op.finisher?.waiting.includes(group) !== true) return world
  const told = [op.finisher.told[0]!, ...[...op.finisher.told.slice(1), group].sort((p, q) => p - q)]
  const waiting = op.finisher.waiting.filter(other => other !== group)
  return tell(setOp(world, t, { ...op, finisher: { waiting, told } }), t, heirs, outcome)
}

function askRevision(context: Context, world: World, t: number): World | null {
  const op = world.transactions[t]!
  const request = { kind: 'alloc', from: { kind: 'transaction', transaction: t }, count: 1 } as const
  return askOracle(context, setOp(world, t, { ...op, asked: true }), request)?.to ?? null
}

export function transactionSteps(context: Context, world: World, emit: Emit): void {
  const { plan } = context
  for (const [t, op] of world.transactions.entries()) {
    const name = `transaction ${t + 1}`
    if (op.stage === 'new' && mayBegin(context, world, t))
      emit(`${name} begins`, () => begin(context, world, t))
    if (op.coordinator !== null && mayDie(context, op, t)) {
      const dead = { ...op, stage: 'crashed' as const, coordinator: null }
      emit(`${name}: its coordinator dies`, () => setOp(world, t, dead))
      if (op.messages.length > 0 && !plan.successors)
        emit(`${name}: its coordinator dies, and its messages are lost`, () =>
          setOp(world, t, { ...dead, messages: [], orphans: [] }),
        )
    }
    const phase = op.coordinator?.phase
    if (phase?.kind === 'asking' && !op.asked) {
      const request = { kind: 'alloc', from: { kind: 'transaction', transaction: t }, count: 1 } as const
      const asked = setOp(world, t, { ...op, asked: true })
      emit(`${name} asks its revision`, () => askRevision(context, world, t))
      for (const { to, note } of askStaleOracles(context, asked, request))
        emit(`${name} asks its revision${note}`, () => to)
    }
    for (const m of op.messages.keys()) deliverSteps(context, world, t, m, emit)
    orphanSteps(context, world, t, emit)
    if (plan.successors) finishSteps(context, world, t, emit)
  }
}

/** Where there is a next life, the lives before it end while they tell others of the outcome. */
function mayDie({ plan }: Context, { coordinator }: TransactionOp, t: number): boolean {
  const phase = coordinator?.phase.kind
  if (!plan.coordinatorCrash || phase === 'over') return false
  return !plan.successors || (phase === 'ending' && t < plan.transactions.length - 1)
}

/** A next life begins nothing before the one before it has ended. */
const mayBegin = ({ plan }: Context, world: World, t: number): boolean =>
  (plan.transactions[t]!.work === 'op' || participantsOf(plan, world, t).length > 1) &&
  (!plan.successors || world.transactions.slice(0, t).every(({ stage }) => stage === 'crashed'))

/** The home takes part where a lease or a session is concerned. Who ends a lease asks where it says that keys may be. */
function participantsOf({ transactions }: Context['plan'], world: World, t: number): readonly number[] {
  const { work, writes, compares } = transactions[t]!
  const owners = [...writes, ...compares].map(key => ownerOf(world, key))
  if (work !== 'op') owners.push(HOME)
  if (work === 'endLease')
    for (const [s, { end }] of world.shards.entries())
      if (s !== HOME && overlaps(elsewhereOf(world), end.range)) owners.push(s)
  return [...new Set(owners)].sort((p, q) => p - q)
}

const overlaps = (ranges: readonly KeyRange[], range: KeyRange): boolean =>
  ranges.some(other => rangesOverlap(other, range))

/** As far as the leader of the home has applied. */
function elsewhereOf(world: World): readonly KeyRange[] {
  const i = openLeaderOf(world, HOME)
  return i < 0 ? [] : (world.shards[HOME]!.agents[i]!.replica.home?.elsewhere ?? [])
}

function begin(context: Context, world: World, t: number): World {
  const { rules, plan } = context
  const { work, writes, compares } = plan.transactions[t]!
  const keys = [...writes, ...compares]
  const locked = plan.breach === 'comparedNotLocked' ? writes : keys
  const id = idOf(t)
  const age = { ...id, since: 0 }
  const shards = participantsOf(plan, world, t)
  const places = work === 'endLease' ? elsewhereOf(world) : rangesElsewhere(world, writes)
  const groups = shards.map(s => world.shards[s]!.group)
  const { coordinator, orders } = rules.beginTransaction(id, age, groups)
  const parts = shards.map((s, k) => {
    const { range } = world.shards[s]!.end
    const locks =
      work === 'endLease'
        ? places.map(place => intersectRanges(place, range)).filter(place => !isEmptyRange(place))
        : KEYS.filter(key => locked.includes(key) && ownerOf(world, key) === s).map(key => POINTS[key])
    const bytes = workOf(work, s === HOME, places)
    const prepare = { id, age, primary: groups[0]!, participants: groups, locks, work: bytes }
    return { group: groups[k]!, prepare }
  })
  const op = {
    ...world.transactions[t]!,
    stage: 'going' as const,
    born: world.acked,
    coordinator,
    parts,
    endedBelow: plan.successors ? id.sequence : 0,
  }
  const begun = carryOut(context, setOp(world, t, op), t, orders)
  return plan.breach === 'revisionBeforeVotes' ? (askRevision(context, begun, t) ?? begun) : begun
}

/** Of other shards, those that get keys. */
const rangesElsewhere = (world: World, writes: readonly Key[]): readonly KeyRange[] =>
  [...new Set(writes.map(key => ownerOf(world, key)))]
    .filter(s => s !== HOME)
    .sort((p, q) => p - q)
    .map(s => world.shards[s]!.end.range)

/** The oracle's answer reaches a coordinator, or finds it dead. */
export function deliverRevision(
  context: Context,
  world: World,
  at: number,
  t: number,
  revision: number,
): World | null {
  const op = world.transactions[t]!
  if (op.coordinator !== null && op.coordinator.phase.kind === 'preparing') return null
  return tellCoordinator(context, withoutAnswer(world, at), t, (rules, coordinator) =>
    rules.revisionArrived(coordinator, revision),
  )
}

/** A message reaches a leader; a deposed one would propose in vain. */
function deliverSteps(context: Context, world: World, t: number, m: number, emit: Emit): void {
  const { rules, plan } = context
  const op = world.transactions[t]!
  const message = op.messages[m]!
  const s = shardOf(world, message.group)
  for (const [i, agent] of world.shards[s]!.agents.entries()) {
    if (!agent.leader.open || !isLeader(world, s, i)) continue
    const { term, leader } = agent
    const messages =
      message.copies > 1
        ? replaceAt(op.messages, m, { ...message, copies: message.copies - 1 })
        : without(op.messages, m)
    const label = `transaction ${t + 1}: ${message.kind} reaches ${nameOf(world, s, i)}`
    const taken = setOp(world, t, { ...op, messages })
    switch (message.kind) {
      case 'prepare': {
        const { prepare } = op.parts.find(({ group }) => group === message.group)!
        if (message.waited && rules.locksOn(agent.replica.transactions, prepare.locks).length > 0) break
        if (message.waited && wouldWait(rules, plan.breach, agent.replica, prepare)) break
        emit(label, () => {
          const after = rules.prepareAfter(leader)
          const proposed = append(context, taken, s, {
            kind: 'prepare',
            term,
            transaction: t,
            prepare,
            after,
            endedBelow: op.endedBelow,
          })
          if (plan.breach !== 'voteBeforeApply') return proposed
          return tellCoordinator(context, proposed, t, (_, coordinator) =>
            rules.voteArrived(coordinator, message.group, { kind: 'prepared', after }),
          )
        })
        break
      }
      case 'decide':
      case 'end':
        emit(label, () => proposeEnd(context, taken, t, s, i, message.kind, message.outcome, null))
        break
      case 'forget':
        emit(label, () => append(context, taken, s, { kind: 'forget', term, id: idOf(t) }))
        break
    }
  }
}

function proposeEnd(
  context: Context,
  world: World,
  t: number,
  s: number,
  i: number,
  kind: 'decide' | 'end',
  outcome: TransactionOutcome,
  asker: GroupId | null,
): World {
  const agent = world.shards[s]!.agents[i]!
  const leader =
    outcome.kind === 'commit' ? context.rules.commitProposed(agent.leader, outcome.revision) : agent.leader
  const raised = leader === agent.leader ? world : setAgent(world, s, i, { ...agent, leader })
  const { writes } = world.transactions[t]!
  const entry = { kind, term: agent.term, transaction: t, asker, id: idOf(t), outcome, writes } as const
  return append(context, raised, s, entry)
}

/** A shard whose leader has applied a prepare grows impatient, at any time, and asks the primary. */
function orphanSteps(context: Context, world: World, t: number, emit: Emit): void {
  const { rules, plan } = context
  const op = world.transactions[t]!
  if (!plan.coordinatorCrash || (plan.successors && op.stage !== 'crashed')) return
  for (const [s, shard] of world.shards.entries()) {
    const i = openLeaderOf(world, s)
    if (i < 0) continue
    const held = shard.agents[i]!.replica.transactions.prepared.find(({ id }) => id.sequence === t + 1)
    if (held === undefined) continue
    const p = shardOf(world, held.primary)
    const j = openLeaderOf(world, p)
    if (j < 0) continue
    const { term } = world.shards[p]!.agents[j]!
    if (op.orphans.some(other => other.shard === s && other.term === term)) continue
    const others = op.orphans.filter(other => other.shard !== s)
    const orphans = [...others, { shard: s, term }].sort((a, b) => a.shard - b.shard)
    const asked = setOp(world, t, { ...op, orphans })
    const label = `transaction ${t + 1}: shard ${s + 1} asks the primary what became of it`
    const record = rules.recordOf(world.shards[p]!.agents[j]!.replica.transactions, idOf(t))
    if (plan.breach === 'orphanToldAbort' && record === undefined)
      emit(`${label}, which has no record`, () =>
        tellAsker(context, asked, t, shard.group, { kind: 'abort' }),
      )
    else emit(label, () => proposeEnd(context, asked, t, p, j, 'decide', rules.orphanAsks(), shard.group))
  }
}
