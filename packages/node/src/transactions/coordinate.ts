import {
  assert,
  commandHeader,
  decodeReply,
  decodeShardCommand,
  encodeReply,
  encodeShardCommand,
  encodeWork,
  LIMITS,
  META_GROUP,
  NO_HEADER,
  refuse,
  type ErrorCode,
  type GroupId,
  type KeyRange,
  type KvError,
  type Millis,
  type Reply,
  type Revision,
  type TransactionVote,
} from '@kvorum/model'
import { chooseBranches, hasDuplicateKey, refusalOf } from '@kvorum/machine'
import {
  beginTransaction,
  endArrived,
  giveUp,
  recordArrived,
  revisionArrived,
  voteArrived,
  type Coordinator,
  type CoordinatorOrder,
} from '@kvorum/placement'
import { answerCall, failCall, finishCall, type Call } from '../calls.js'
import { noteOracleTerm, oracleTerm } from '../membership.js'
import type { NodeState, Turn } from '../state.js'
import { answerToKeep, asksForData, isKept, replyTo } from './answers.js'
import { ask, askShard, endedIn } from './asking.js'
import { mayGoOn } from './revoking.js'
import { sharesOf } from './shares.js'
import type { ClientTransaction, Running, RunningPart, Task } from './state.js'

/**
 * An operation over several shards, coordinated by the node that the client asked. The rules are placement's; here are
 * the calls that they order.
 *
 *     client's call --> prepare in all shards --> revision from the oracle --> what it answers is read, under the locks
 *          ^                  | a lock of an older one, a shard that moved        |
 *          |                  v                                                   v
 *          +-- answer     abort, and another try under the old age      commit in the primary --> answer, the others
 */
export function coordinate(turn: Turn, call: Call): void {
  const { request } = call
  const command = request.kind === 'write' ? decodeShardCommand(request.command) : null
  if (request.kind !== 'write' || command?.kind !== 'write') {
    failCall(turn, call, 'crossShard')
    return
  }
  // The edge has checked that; two changes of a key at one revision would overwrite each other's rows.
  if (command.op.kind === 'txn' && hasDuplicateKey(command.op)) {
    failCall(turn, call, 'duplicateKey')
    return
  }
  begin(turn, call, { kind: 'op', op: command.op, session: commandHeader(request.command).session })
}

export const begin = (turn: Turn, call: Call, task: Task): void => {
  tryOnce(turn, { call, task, age: null, tries: 0 })
}

/** The client's call ends, or a try of it is under way afterwards. */
function tryOnce(turn: Turn, work: ClientTransaction): void {
  const { state } = turn
  const { transactions: duty } = state
  const { call, task } = work
  if (call.done || !mayGoOn(turn, call, task)) return
  if (duty.running.size >= LIMITS.transactionsMax) {
    failCall(turn, call, 'tooManyRequests')
    return
  }
  const shares = sharesOf(state, call, task)
  if (shares === 'later') {
    after(turn, RETRY_MS, later => {
      tryOnce(later, work)
    })
    return
  }
  if (shares.length < 2) {
    // The shards of an earlier map, or of none: it goes its plain way.
    turn.routing.push(call)
    return
  }
  const id = { coordinator: duty.coordinator, sequence: duty.nextSequence++ }
  work.age ??= { ...id, since: state.hub.seen }
  work.tries++
  const { age } = work
  const participants = shares.map(({ group }) => group)
  const [primary] = participants
  const oldest = duty.running.keys().next()
  const endedBelow = oldest.done === true ? id.sequence : oldest.value
  const header = { ...NO_HEADER, ...authorityOf(call) }
  const parts = shares.map(({ group, locks, work: share }): [GroupId, RunningPart] => {
    const bytes = encodeWork(share)
    const prepare = { id, age, primary: primary!, participants, locks, work: bytes }
    const encoded = encodeShardCommand({ kind: 'prepare', prepare, after: 0, endedBelow }, header)
    return [group, newPart(group, locks, encoded, bytes)]
  })
  const { coordinator, orders } = beginTransaction(id, age, participants)
  const running: Running = {
    work,
    coordinator,
    parts: new Map(parts),
    since: turn.now,
    chosen: null,
    refused: null,
    known: null,
    answered: false,
  }
  duty.running.set(id.sequence, running)
  carryOut(turn, running, orders)
}

const newPart = (
  group: GroupId,
  ranges: readonly KeyRange[],
  prepare: Uint8Array,
  work: Uint8Array,
): RunningPart => ({
  group,
  ranges,
  prepare,
  work,
  judgement: null,
  index: 0,
  answers: null,
})

function authorityOf({ request }: Call) {
  const { authority } = request
  if (authority === undefined) return {}
  return authority.writable === null
    ? { authRevision: authority.fence }
    : { authRevision: authority.fence, writable: authority.writable }
}

/** Everything that the rules answer to what has happened. */
function advance(
  turn: Turn,
  running: Running,
  step: { readonly coordinator: Coordinator; readonly orders: readonly CoordinatorOrder[] },
): void {
  running.coordinator = step.coordinator
  carryOut(turn, running, step.orders)
  if (running.coordinator.phase.kind === 'over')
    turn.state.transactions.running.delete(running.coordinator.id.sequence)
}

function carryOut(turn: Turn, running: Running, orders: readonly CoordinatorOrder[]): void {
  const { id } = running.coordinator
  for (const order of orders) {
    switch (order.kind) {
      case 'prepare':
        prepare(turn, running, order.group)
        break
      case 'askRevision':
        askRevision(turn, running)
        break
      case 'decide':
        if (order.outcome.kind === 'commit') running.work.call.mayHaveEffect = true
        decide(turn, running, encodeShardCommand({ ...order, id, ...answerToKeep(running, order.outcome) }))
        break
      case 'answer':
        answer(turn, running, order.outcome.kind === 'commit')
        break
      case 'end':
        end(turn, running, order.group, encodeShardCommand({ ...order, id }))
        break
      case 'forget':
        askShard(turn, order.group, encodeShardCommand({ kind: 'forget', id }), () => undefined)
    }
  }
}

function prepare(turn: Turn, running: Running, group: GroupId): void {
  const part = running.parts.get(group)
  assert(part !== undefined, () => `group ${group} takes no part`)
  const { call, task } = running.work
  // A lease whose time is up by this leader's clock may have been kept alive by the next one.
  const term = task.kind === 'revoke' && call.origin.kind === 'self' ? task.term : undefined
  const request = { kind: 'transaction', group, command: part.prepare } as const
  const bound = task.kind === 'revoke' && group === task.home && term !== undefined
  ask(turn, group, bound ? { ...request, term } : request, (later, result) => {
    const reply = result.ok ? decodeReply(result.value.body) : null
    if (reply?.kind === 'voted') voted(later, running, part, reply.vote)
    else refused(later, running, result.ok ? refuse('internal').error : result.error)
  })
}

function voted(turn: Turn, running: Running, part: RunningPart, vote: TransactionVote): void {
  if (vote.kind === 'answered') {
    running.known ??= vote.reply
    advance(turn, running, giveUp(running.coordinator))
    return
  }
  if (vote.kind === 'prepared') {
    part.judgement = vote.judgement
    part.index = vote.index
  }
  advance(turn, running, voteArrived(running.coordinator, part.group, vote))
}

/** A shard refuses the transaction, or cannot be reached: no commit has been sent, so there will be none. */
function refused(turn: Turn, running: Running, error: KvError): void {
  const step = giveUp(running.coordinator)
  if (step.orders.length === 0) return
  running.refused ??= { ...error, outcome: 'notApplied' }
  advance(turn, running, step)
}

function askRevision(turn: Turn, running: Running): void {
  const request = { kind: 'oracle', ask: { kind: 'alloc', count: 1 } } as const
  ask(turn, META_GROUP, request, (later, result) => {
    const reply = result.ok ? decodeReply(result.value.body) : null
    if (!result.ok) refused(later, running, result.error)
    else if (reply?.kind !== 'block') refused(later, running, refuse('internal').error)
    else {
      noteOracleTerm(later.state, result.value.header.term)
      choose(later, running, reply.first)
    }
  })
}

/** The place in the order is known: what the operation does, and whether it may. */
function choose(turn: Turn, running: Running, revision: Revision): void {
  if (running.coordinator.phase.kind !== 'asking') return
  const { task } = running.work
  if (task.kind === 'revoke') {
    running.chosen = { branches: [], revision }
    advance(turn, running, revisionArrived(running.coordinator, revision))
    return
  }
  const { op } = task
  const judgements = [...running.parts.values()].map(({ judgement }) => judgement!)
  const branches = chooseBranches(op, judgements)
  const error = refusalOf(op, branches, judgements, revision - 1)
  if (error !== null) {
    refused(turn, running, error)
    return
  }
  running.chosen = { branches, revision }
  if (!asksForData(op)) {
    advance(turn, running, revisionArrived(running.coordinator, revision, branches))
    return
  }
  for (const part of running.parts.values()) readPart(turn, running, part)
}

/**
 * Before the decision, under the locks: an answer that cannot be given is a reason not to commit. A shard that was split
 * since it prepared has only a part of the keys: the transaction is tried again by the new map.
 */
function readPart(turn: Turn, running: Running, part: RunningPart): void {
  const { chosen } = running
  assert(chosen !== null, () => 'nothing is read before it is known at which revision')
  const { group, index, work, ranges } = part
  ask(turn, group, { kind: 'transactionRead', group, index, work, ranges, ...chosen }, (later, result) => {
    const reply = result.ok ? decodeReply(result.value.body) : null
    if (reply?.kind !== 'part') {
      refused(later, running, result.ok ? refuse('internal').error : result.error)
      return
    }
    part.answers = reply.answers
    if ([...running.parts.values()].some(({ answers }) => answers === null)) return
    advance(later, running, revisionArrived(running.coordinator, chosen.revision, chosen.branches))
  })
}

/** Until there is a record: it may be a commit. */
function decide(turn: Turn, running: Running, command: Uint8Array): void {
  const { primary } = running.coordinator
  askShard(turn, primary, command, (later, result) => {
    const reply = endedIn(result)
    if (reply === null) after(later, RETRY_MS, now => decide(now, running, command))
    else advance(later, running, recordArrived(running.coordinator, reply.outcome, reply.heirs))
    if (reply?.outcome === null) answer(later, running, false)
  })
}

function end(turn: Turn, running: Running, group: GroupId, command: Uint8Array): void {
  askShard(turn, group, command, (later, result) => {
    const reply = endedIn(result)
    if (reply !== null) advance(later, running, endArrived(running.coordinator, group, reply.heirs))
    // Whoever leads the primary goes on from its record (orphans.ts).
    else if (later.now - running.since > GIVEN_UP_MS) dropped(later, running)
    else after(later, RETRY_MS, now => end(now, running, group, command))
  })
}

function dropped(turn: Turn, running: Running): void {
  turn.state.transactions.running.delete(running.coordinator.id.sequence)
}

/** The record is there: committed, refused for good, or to be tried again. */
function answer(turn: Turn, running: Running, committed: boolean): void {
  if (running.answered) return
  running.answered = true
  const { work, chosen, refused: error } = running
  const { call, task } = work
  if (call.done) return
  if (committed) {
    assert(chosen !== null, () => 'a commit that nobody chose')
    const { branches, revision } = chosen
    const reply = task.kind === 'revoke' ? DONE : replyTo(task.op, running.parts, branches, revision)
    answerCall(turn, call, { revision, term: oracleTerm(turn.state) }, encodeReply(reply))
    return
  }
  call.mayHaveEffect = false
  if (running.known !== null) {
    const { revision, result } = running.known
    if (result.ok) answerCall(turn, call, { revision, term: oracleTerm(turn.state) }, result.value)
    else finishCall(turn, call, result)
    return
  }
  // What judges the write of a session is told when its home has kept it, and says so.
  if (error !== null && !RETRIED.has(error.code) && !isKept(task, error)) {
    finishCall(turn, call, { ok: false, error })
    return
  }
  tryAgain(turn, running)
}

/** Not before all shards have ended this try: a slow one would get more of them than it can carry out. */
function tryAgain(turn: Turn, running: Running): void {
  const { work, coordinator } = running
  after(turn, Math.min(RETRY_MS_MAX, 2 ** work.tries), later => {
    if (!work.call.done && later.state.transactions.running.has(coordinator.id.sequence))
      tryAgain(later, running)
    else tryOnce(later, work)
  })
}

const DONE: Reply = { kind: 'done' }

/** What says only "not here, not now". */
const RETRIED: ReadonlySet<ErrorCode> = new Set([
  'staleRoute',
  'notLeader',
  'leaderChanged',
  'noLeader',
  'stopped',
  'timeout',
  'timeoutLeaderFailure',
  'timeoutConnectionLost',
])
const RETRY_MS = 50
const RETRY_MS_MAX = 100
/** Ends that nobody has confirmed by then are left to the primary. */
const GIVEN_UP_MS = 10_000

/** Done in a later turn, when that time has passed. */
export function after(turn: Turn, ms: Millis, run: (turn: Turn) => void): void {
  const { transactions: duty } = turn.state
  duty.waiting = [...duty.waiting, { due: turn.now + ms, run }]
}

/** What waited long enough goes on, and what nobody waits for any more is given up while it can be. */
export function driveTransactions(turn: Turn): void {
  const { transactions: duty } = turn.state
  if (duty.waiting.some(({ due }) => due <= turn.now)) {
    const due = duty.waiting.filter(item => item.due <= turn.now)
    duty.waiting = duty.waiting.filter(item => item.due > turn.now)
    for (const { run } of due) run(turn)
  }
  for (const running of [...duty.running.values()])
    if (running.work.call.done) refused(turn, running, refuse('canceled').error)
}

export const nextTransactionDue = ({ transactions }: NodeState): Millis =>
  transactions.waiting.reduce((next, { due }) => Math.min(next, due), Infinity)
