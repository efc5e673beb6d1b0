import { ALL_KEYS } from '@kvorum/model'
import type { OracleAnswer } from '@kvorum/placement'
import type { PlannedWork } from './configuration.js'
import { holds, HOME, POINTS } from './keys.js'
import { askOracle, askStaleOracles, withoutAnswer, type Emit } from './oracleSteps.js'
import { must, tell } from './properties.js'
import type { Replica } from './replica.js'
import type { Context } from './rules.js'
import { append, askFor, isLeader, nameOf, openLeaderOf, setAgent } from './shardSteps.js'
import { deliverRevision } from './transactionSteps.js'
import { ownerOf, replaceAt, replicaOf, streamOf, type Asker, type ReadOp, type World } from './world.js'

/** Writes arrive at leaders, answers of the oracle at whoever asked. */
export function writeSteps(context: Context, world: World, emit: Emit): void {
  const { rules, plan } = context
  for (const [w, op] of world.writes.entries()) {
    if (op.stage !== 'new') continue
    const { work, key } = plan.writes[w]!
    // Writes of one key are alike: they begin in the order of their numbers.
    const earlier = world.writes.findIndex(
      (other, v) => other.stage === 'new' && plan.writes[v]!.key === key && plan.writes[v]!.work === work,
    )
    const s = key === null ? HOME : ownerOf(world, key)
    const i = openLeaderOf(world, s)
    if (i < 0 || (earlier < w && !plan.handBack)) continue
    const agent = world.shards[s]!.agents[i]!
    if (!isOfOneShard(context, work, agent.replica)) continue
    const label = `write ${w + 1} of ${key ?? 'the lease'} reaches ${nameOf(world, s, i)}`
    const going = { stage: 'going' as const, born: Math.max(op.born, world.acked) }
    const begun = { ...world, writes: replaceAt(world.writes, w, going) }
    if (agent.replica.mode.kind === 'dense') {
      emit(label, () =>
        append(context, begun, s, { kind: 'write', term: agent.term, write: w, work, key, stamp: null }),
      )
      continue
    }
    const spare = agent.kept.find(({ write }) => write === -1)
    if (spare !== undefined && spare.revision > agent.leader.floor) {
      emit(`${label}, which has revision ${spare.revision} left`, () => {
        const used = { ...agent, kept: agent.kept.filter(kept => kept !== spare) }
        const entry = { kind: 'write', term: agent.term, write: w, work, key, stamp: spare.revision } as const
        return append(context, setAgent(begun, s, i, used), s, entry)
      })
      continue
    }
    const ranges = key === null ? [agent.replica.range] : [POINTS[key]]
    const leader = rules.queueWrite(agent.leader, { write: w, ranges })
    const queued = setAgent(begun, s, i, { ...agent, leader })
    if (rules.askRevisions(leader, agent.replica.transactions).ask === null) emit(label, () => queued)
    else askFor(context, queued, s, i, `${label}, which asks its revision`, emit)
  }
}

/** By what its leader has applied. The others go as transactions, which are planned as such. */
function isOfOneShard({ plan }: Context, work: PlannedWork, { home }: Replica): boolean {
  switch (work) {
    case 'op':
      return true
    case 'attach':
      return home !== null
    case 'session':
      return home !== null || plan.breach === 'sequenceAtAnyShard'
    case 'endLease':
      return home?.elsewhere.length === 0
  }
}

export function answerSteps(context: Context, world: World, emit: Emit): void {
  for (const [at, answer] of world.oracle.answers.entries()) {
    const { to } = answer
    if (to.kind === 'leader') blockSteps(context, world, at, to, answer, emit)
    else if (to.kind === 'transaction' && answer.kind === 'block')
      emit(`revision ${answer.first} reaches transaction ${to.transaction + 1}`, () =>
        deliverRevision(context, world, at, to.transaction, answer.first),
      )
    else if (to.kind === 'read' && answer.kind === 'current')
      emit(`current revision ${answer.revision} reaches read ${to.read + 1}`, () => {
        const op = world.reads[to.read]!
        const { revision } = answer
        must(
          revision >= op.born,
          () => `Real time: a read at ${revision}, but ${op.born} was known when it began`,
        )
        return setRead(withoutAnswer(world, at), to.read, { ...op, stage: 'reading', at: revision })
      })
  }
}

const setRead = (world: World, r: number, read: ReadOp): World => ({
  ...world,
  reads: replaceAt(world.reads, r, read),
})

/** To the term that asked; and to later terms of the same node, which have to notice that it is not theirs. */
function blockSteps(
  context: Context,
  world: World,
  at: number,
  to: Extract<Asker, { kind: 'leader' }>,
  answer: OracleAnswer<Asker>,
  emit: Emit,
): void {
  if (answer.kind !== 'block') return
  const { rules, plan } = context
  const { shard: s, term, ask } = to
  const { agents } = world.shards[s]!
  for (const [i, agent] of agents.entries()) {
    if (agent.term < term || agent.term % 2 !== term % 2) continue
    const spare = plan.breach === 'leftoverOfBlockKept' ? 1 : 0
    const { first } = answer
    const count = answer.count - spare
    const { leader, propose } = rules.takeBlock(agent.leader, { term, ask, first, count })
    if (agent.term !== term && leader === agent.leader) continue
    emit(
      `revision ${first} reaches ${nameOf(world, s, i)}${propose.length > 0 ? '' : ', which drops it'}`,
      () => {
        const kept = spare > 0 ? [...agent.kept, { write: -1, revision: first + count }] : agent.kept
        let next = setAgent(withoutAnswer(world, at), s, i, { ...agent, leader, kept })
        const forwarded = plan.breach === 'stampForwarded' && !isLeader(world, s, i)
        for (const { write, revision } of propose) {
          const by = forwarded ? world.shards[s]!.term : agent.term
          next = append(context, next, s, {
            kind: 'write',
            term: by,
            write,
            ...plan.writes[write]!,
            stamp: revision,
          })
        }
        return next
      },
    )
  }
}

export function readSteps(context: Context, world: World, emit: Emit): void {
  for (const [r, op] of world.reads.entries()) {
    const { kind } = context.plan.reads[r]!
    if (op.stage === 'new') {
      if (kind === 'drain') drainBegins(context, world, r, emit)
      else if (kind === 'dense') denseBegins(context, world, r, emit)
      else snapshotBegins(context, world, r, emit)
    } else if (op.stage === 'reading') {
      if (kind === 'snapshot' || kind === 'follower') resolveSteps(context, world, r, emit)
      if (kind === 'follower') followerReads(context, world, r, emit)
      if (kind === 'dense') denseReads(context, world, r, emit)
    }
  }
}

const shardsOf = (context: Context, world: World, r: number): readonly number[] =>
  context.plan.oldMap ? [0] : ownersOf(context, world, r)

const ownersOf = (context: Context, world: World, r: number): readonly number[] =>
  [...new Set(context.plan.reads[r]!.keys.map(key => ownerOf(world, key)))].sort((p, q) => p - q)

function snapshotBegins(context: Context, world: World, r: number, emit: Emit): void {
  const op = world.reads[r]!
  const begun = setRead(world, r, { ...op, stage: 'asked', born: world.acked })
  const request = { kind: 'current', from: { kind: 'read', read: r } } as const
  const usual = askOracle(context, begun, request)
  if (usual !== null) emit(`read ${r + 1} begins`, () => usual.to)
  for (const { to, note } of askStaleOracles(context, begun, request))
    emit(`read ${r + 1} begins${note}`, () => to)
}

/** Asks every shard it touches to resolve its revision. A deposed leader, asked now, never answers. */
function resolveSteps(context: Context, world: World, r: number, emit: Emit): void {
  const op = world.reads[r]!
  for (const s of shardsOf(context, world, r)) {
    if (op.asked.includes(s) || op.answered.includes(s)) continue
    const asked = setRead(world, r, { ...op, asked: [...op.asked, s].sort((p, q) => p - q) })
    const { kind, keys } = context.plan.reads[r]!
    // What the follower hears counts for all that the watcher's node has of the shard.
    const ranges =
      kind === 'follower'
        ? [ALL_KEYS]
        : keys.filter(key => context.plan.oldMap || ownerOf(world, key) === s).map(key => POINTS[key])
    askLeaders(context, asked, s, { id: r, revision: op.at, ranges }, `read ${r + 1}`, emit)
  }
}

/** The numbers that a watch's resolves go by, and a compaction's. */
export const WATCH_RESOLVE = 100
export const COMPACT_RESOLVE = 101

export function askLeaders(
  context: Context,
  world: World,
  s: number,
  resolve: {
    readonly id: number
    readonly revision: number
    readonly ranges: readonly (typeof POINTS)['a'][]
  },
  who: string,
  emit: Emit,
): void {
  const { rules, plan } = context
  for (const [i, agent] of world.shards[s]!.agents.entries()) {
    // Whoever counts its own revisions promises none.
    if (agent.replica.mode.kind === 'dense') continue
    const label = `${who} asks ${nameOf(world, s, i)} to resolve ${resolve.revision}`
    if (agent.leader.resolves.some(({ id, revision }) => id === resolve.id && revision >= resolve.revision))
      continue
    const asked = rules.askResolve(agent.leader, { ...resolve, patient: false })
    const to = (leader: typeof asked): World => setAgent(world, s, i, { ...agent, leader })
    const inRound = [...agent.leader.resolves, ...agent.leader.drains].some(
      ({ proof }) => proof.kind === 'underWay',
    )
    if (isLeader(world, s, i) && agent.leader.open) {
      const proven = rules.leaderRoundSucceeds(rules.leaderRoundStarts(asked, 1), 1)
      emit(label, () => to(plan.slowRounds ? asked : proven))
    } else if (inRound) emit(label, () => to(asked))
    else {
      const current = isLeader(world, s, i)
      const proven = current ? rules.leaderRoundSucceeds(rules.leaderRoundStarts(asked, 1), 1) : asked
      if (rules.settleResolves(proven, agent.replica.transactions, agent.applied).resolved.length > 0)
        emit(`${label}, ${current ? 'before its no-op' : 'deposed'}`, () => to(proven))
    }
  }
}

/** A leader's promise for a read arrives: the values are read at the leader in the same step. */
export function readAtLeader(context: Context, world: World, s: number, i: number, r: number): World {
  const op = world.reads[r]!
  const { replica } = world.shards[s]!.agents[i]!
  if (isCompacted(context, replica, op)) return setRead(world, r, { ...op, stage: 'done' })
  const keys = context.plan.reads[r]!.keys.filter(key => holds(replica.range, key))
  const told = tell(world, keys, op.at, () => replica)
  return shardAnswered(context, told, r, s)
}

/** A read whose revision is compacted under way begins again, as another one. */
function isCompacted({ plan }: Context, { compacted }: Replica, { at }: ReadOp): boolean {
  if (compacted <= at) return false
  must(
    plan.breach !== 'compactedReadServed',
    () => `Compaction: read at ${at} where ${compacted} is compacted`,
  )
  return true
}

function shardAnswered(context: Context, world: World, r: number, s: number): World {
  const op = world.reads[r]!
  const answered = [...op.answered, s].sort((p, q) => p - q)
  const asked = op.asked.filter(other => other !== s)
  const isDone = shardsOf(context, world, r).every(other => answered.includes(other))
  const next = setRead(world, r, { ...op, asked, answered, stage: isDone ? 'done' : op.stage })
  return isDone ? { ...next, acked: Math.max(next.acked, op.at) } : next
}

/** The watcher's node serves a read from its own replicas, as far as they are resolved. */
function followerReads(context: Context, world: World, r: number, emit: Emit): void {
  const { watch } = world
  const op = world.reads[r]!
  if (watch === null) return
  for (const s of shardsOf(context, world, r)) {
    const { group } = world.shards[s]!
    if (op.answered.includes(s) || (streamOf(watch, group)?.resolved ?? -1) < op.at) continue
    emit(`read ${r + 1} reads shard ${s + 1} at a follower`, () => {
      const replica = replicaOf(watch, group)
      if (isCompacted(context, replica, op)) return setRead(world, r, { ...op, stage: 'done' })
      const keys = context.plan.reads[r]!.keys.filter(key => holds(replica.range, key))
      return shardAnswered(
        context,
        tell(world, keys, op.at, () => replica),
        r,
        s,
      )
    })
  }
}

function drainBegins(context: Context, world: World, r: number, emit: Emit): void {
  const { rules, plan } = context
  const [s] = shardsOf(context, world, r)
  const op = world.reads[r]!
  for (const [i, agent] of world.shards[s!]!.agents.entries()) {
    const ranges = plan.reads[r]!.keys.map(key => POINTS[key])
    if (!isLeader(world, s!, i) || !agent.leader.open) continue
    // The reader's node may have seen all there is to see, or nothing yet.
    for (const seen of new Set([0, world.acked])) {
      const asked = rules.askDrain(agent.leader, { id: r, ranges, seen })
      const leader = plan.slowRounds ? asked : rules.leaderRoundSucceeds(rules.leaderRoundStarts(asked, 1), 1)
      const begun = setRead(world, r, { ...op, stage: 'asked', born: world.acked, at: seen })
      emit(`drain read ${r + 1} reaches ${nameOf(world, s!, i)}`, () =>
        setAgent(begun, s!, i, { ...agent, leader }),
      )
    }
  }
}

/** The drained state is what is told, at the header and at whatever was known when the read began. */
export function readDrained(
  context: Context,
  world: World,
  s: number,
  i: number,
  r: number,
  header: number,
): World {
  const op = world.reads[r]!
  must(header >= op.at, () => `Header: ${header}, but the reader's node had seen ${op.at}`)
  const { replica } = world.shards[s]!.agents[i]!
  const told = tell(world, context.plan.reads[r]!.keys, Math.max(header, op.born), () => replica)
  return { ...setRead(told, r, { ...op, stage: 'done' }), acked: Math.max(told.acked, header) }
}

function denseBegins(context: Context, world: World, r: number, emit: Emit): void {
  const [s] = shardsOf(context, world, r)
  const i = openLeaderOf(world, s!)
  if (i < 0 || !context.rules.servesDenseReads(world.shards[s!]!.agents[i]!.replica.mode)) return
  const { term } = world.shards[s!]!.agents[i]!
  const begun = { ...world.reads[r]!, stage: 'reading' as const, born: world.acked }
  const index = world.shards[s!]!.committed
  emit(`dense read ${r + 1} reaches ${nameOf(world, s!, i)}, read index ${index}`, () =>
    setRead(world, r, { ...begun, at: index, asked: [term] }),
  )
}

function denseReads(context: Context, world: World, r: number, emit: Emit): void {
  const [s] = shardsOf(context, world, r)
  const op = world.reads[r]!
  const agent = world.shards[s!]!.agents[op.asked[0]!]!
  if (agent.applied < op.at) return
  if (!context.rules.servesDenseReads(agent.replica.mode))
    return emit(`dense read ${r + 1} is refused: dense mode is over`, () =>
      setRead(world, r, { ...op, stage: 'done' }),
    )
  emit(`dense read ${r + 1} is served`, () => {
    const { highest } = agent.replica
    must(highest >= op.born, () => `Real time: a read at ${highest}, but ${op.born} was known when it began`)
    const told = tell(world, context.plan.reads[r]!.keys, highest, () => agent.replica)
    return { ...setRead(told, r, { ...op, stage: 'done' }), acked: Math.max(told.acked, highest) }
  })
}
