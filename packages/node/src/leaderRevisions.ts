import {
  decodeReply,
  encodeReply,
  META_GROUP,
  refuse,
  type ClientRequest,
  type ClientResult,
  type Entry,
  type GroupId,
  type KeyRange,
  type Revision,
  type Term,
  type TransactionId,
} from '@kvorum/model'
import {
  askFailed,
  askResolve,
  askRevisions,
  electLeader,
  leaderRoundStarts,
  leaderRoundSucceeds,
  losePatience,
  openLeader,
  oracleRoundStarts,
  oracleRoundSucceeds,
  queueWrite,
  retire,
  revisionApplied,
  settleResolves,
  splitApplied,
  splitProposed,
  takeBlock,
  writeMoved,
  writeRefused,
  type LeaderRevisions,
  type RevisionAsk,
} from '@kvorum/placement'
import { answerCall, finishCall, openCall, type Call } from './calls.js'
import { leads, noteOracleTerm, oracleTerm } from './membership.js'
import { hasKeysOf, routeOf } from './routing.js'
import { awaitLeader } from './stages.js'
import { takeId, type Group, type Turn } from './state.js'

/**
 * What a shard's leader does about revisions in oracle mode: asks them for the writes that wait, proposes the writes
 * with what it got, and promises that nothing can come any more at or below a revision. The rules are placement's;
 * here are the calls that they are about. All of it belongs to one leadership and ends with it.
 */
export interface Stamping {
  /** By the number that the rules know them by: from their arrival until they are applied. */
  readonly writes: Map<number, Call>
  readonly resolves: Map<number, Call>
  /** Split entries proposed in this term and not applied, also those proposed before the shard had left dense mode. */
  splits: { readonly term: Term; readonly entries: number }
  /** Transactions prepared here whose end is proposed and not applied; some of them may be over. */
  ending: readonly TransactionId[]
}

export const createStamping = (): Stamping => ({
  writes: new Map(),
  resolves: new Map(),
  splits: { term: 0, entries: 0 },
  ending: [],
})

/** This node leads the shard, or the shard that it leads has left dense mode. */
export function beginStamping(group: Group): void {
  if (group.revisions !== null || group.ledTerm === 0) return
  if (group.machine.revisions.mode.kind !== 'oracle') return
  const { splits } = group.stamping
  const leader = electLeader(group.ledTerm)
  group.revisions = splits.term === leader.term ? splitProposed(leader, splits.entries) : leader
}

/** Whatever was not proposed goes to the next leader, without a stamp. */
export function endStamping(turn: Turn, group: Group): void {
  const { revisions, stamping } = group
  group.revisions = null
  if (revisions === null) return
  for (const call of stamping.writes.values()) call.stamp = null
  for (const { write } of retire(revisions)) {
    const call = stamping.writes.get(write)
    if (call !== undefined && !call.done) awaitLeader(turn, group, call)
  }
  for (const call of stamping.resolves.values()) if (!call.done) awaitLeader(turn, group, call)
  stamping.writes.clear()
  stamping.resolves.clear()
  stamping.ending = []
}

/** A write that has no revision yet; it is asked for at the end of the turn, with all others. */
export function queueForRevision(turn: Turn, group: Group, call: Call): void {
  if (group.revisions === null) {
    awaitLeader(turn, group, call)
    return
  }
  const write = takeId(turn.state)
  group.stamping.writes.set(write, call)
  group.revisions = queueWrite(group.revisions, { write, ranges: rangesTouched(group, call.request) })
  turn.touched.add(group)
}

/** Of a lease only the shard knows which keys it holds. */
function rangesTouched(group: Group, request: ClientRequest): readonly KeyRange[] {
  if (request.kind === 'write') return request.ranges
  return group.range === null ? [] : [group.range]
}

/** Asks for all that wait, in one question. */
export function driveStamping(turn: Turn, group: Group): void {
  if (group.revisions === null) return
  dropAbandoned(group)
  const { leader, ask } = askRevisions(group.revisions, group.machine.revisions.transactions)
  group.revisions = leader
  if (leader.open) for (const { write } of leader.queued) waitsForLock(group, write)
  if (ask === null) return
  const request = { kind: 'oracle', ask: { kind: 'alloc', count: ask.count } } as const
  const due = turn.now + turn.state.options.electionTimeoutMs * 2
  const { id } = group
  const done = (later: Turn, result: ClientResult): void => {
    revisionsArrived(later, id, ask, result)
  }
  const call = openCall(turn, { kind: 'own', done }, request, due)
  if (call !== null) turn.routing.push(call)
}

/** When the locks are gone it goes first (transactions/lockOrder.ts). */
function waitsForLock({ stamping }: Group, write: number): void {
  const call = stamping.writes.get(write)
  if (call !== undefined) call.metLock = true
}

/** Nobody waits for these any more: no revision need be asked for them. */
function dropAbandoned(group: Group): void {
  const { revisions, stamping } = group
  if (revisions === null || revisions.queued.length === 0) return
  const waited = revisions.queued.filter(({ write }) => stamping.writes.get(write)?.done === false)
  if (waited.length === revisions.queued.length) return
  for (const { write } of revisions.queued) {
    if (stamping.writes.get(write)?.done !== false) stamping.writes.delete(write)
  }
  group.revisions = { ...revisions, queued: waited }
}

/** The oracle's answer, or that there is none. One to an earlier leadership is nobody's. */
function revisionsArrived(turn: Turn, id: GroupId, asked: RevisionAsk, result: ClientResult): void {
  const group = turn.state.groups.get(id)
  if (group === undefined || group.revisions === null || group.revisions.term !== asked.term) return
  turn.touched.add(group)
  const reply = result.ok ? decodeReply(result.value.body) : null
  if (!result.ok || reply?.kind !== 'block') {
    group.revisions = askFailed(group.revisions, asked.ask)
    return
  }
  noteOracleTerm(turn.state, result.value.header.term)
  const { first, count } = reply
  const { leader, propose } = takeBlock(group.revisions, { term: asked.term, ask: asked.ask, first, count })
  group.revisions = leader
  for (const { write, revision } of propose) {
    const call = group.stamping.writes.get(write)
    if (call === undefined || call.done) {
      group.stamping.writes.delete(write)
      group.revisions = writeMoved(group.revisions, revision)
      continue
    }
    call.stamp = revision
    group.proposing.push(call)
  }
}

/** A stamped write did not get into the log: its revision is never used. */
export function stampUnused(group: Group, call: Call): void {
  const { stamp } = call
  call.stamp = null
  if (stamp === null || group.revisions === null) return
  forgetWrite(group, stamp)
  group.revisions = writeMoved(group.revisions, stamp)
}

function forgetWrite(group: Group, stamp: Revision): void {
  const pending = group.revisions?.pending.find(({ revision }) => revision === stamp)
  if (pending !== undefined) group.stamping.writes.delete(pending.write)
}

/**
 * An entry of the shard is applied here. `stamp`: what it was proposed with. `behind`: it was not carried out, because of
 * the locks of these; null: it was.
 */
export function revisionEntryApplied(
  turn: Turn,
  group: Group,
  entry: Entry,
  stamp: Revision | null,
  behind: readonly TransactionId[] | null,
): void {
  beginStamping(group)
  const { revisions, machine } = group
  if (revisions === null) return
  let leader: LeaderRevisions = revisions
  if (!leader.open && entry.term === leader.term) leader = openLeader(leader, machine.shard?.revision ?? 0)
  if (stamp !== null)
    leader = behind === null ? done(group, leader, stamp) : refused(group, leader, stamp, behind)
  group.revisions = leader
  turn.touched.add(group)
}

function done(group: Group, leader: LeaderRevisions, stamp: Revision): LeaderRevisions {
  forgetWrite(group, stamp)
  return revisionApplied(leader, stamp)
}

/** A command that somebody waits for is queued again under its number. */
function refused(
  group: Group,
  leader: LeaderRevisions,
  stamp: Revision,
  behind: readonly TransactionId[],
): LeaderRevisions {
  const pending = leader.pending.find(({ revision }) => revision === stamp)
  if (pending !== undefined && group.stamping.writes.get(pending.write)?.done === false) {
    waitsForLock(group, pending.write)
    return writeRefused(leader, stamp, behind)
  }
  forgetWrite(group, stamp)
  return writeMoved(leader, stamp)
}

/** The right half may be led elsewhere as soon as the entry is committed: nothing is promised until it is applied. */
export function splitEntriesProposed(group: Group, term: Term, entries: number): void {
  const { revisions, stamping } = group
  const { splits } = stamping
  stamping.splits = { term, entries: splits.term === term ? splits.entries + entries : entries }
  if (revisions?.term === term) group.revisions = splitProposed(revisions, entries)
}

/** The entry was applied, or refused. What was asked of keys that are another shard's now is asked there. */
export function splitEntryApplied(turn: Turn, group: Group, term: Term): void {
  const { revisions, stamping } = group
  const { splits } = stamping
  if (splits.term === term) stamping.splits = { term, entries: splits.entries - 1 }
  if (revisions === null) return
  group.revisions = splitApplied(revisions, term)
  for (const call of stamping.resolves.values())
    if (!hasKeysOf(group, call.request)) finishCall(turn, call, refuse('staleRoute', routeOf(group)))
  turn.touched.add(group)
}

/** Its entry was not carried out. One that this leadership stamped is queued again by now. */
export function writeAgain(turn: Turn, group: Group, call: Call): void {
  const wasStamped = call.stamp !== null
  call.stamp = null
  call.mayHaveEffect = false
  if (group.revisions === null || !leads(group)) awaitLeader(turn, group, call)
  else if (!wasStamped) queueForRevision(turn, group, call)
}

/** Somebody wants to know when everything at or below a revision is applied. */
export function queueResolve(
  turn: Turn,
  group: Group,
  call: Call,
  { revision, ranges }: { readonly revision: Revision; readonly ranges: readonly KeyRange[] },
): void {
  if (group.revisions === null) {
    awaitLeader(turn, group, call)
    return
  }
  const id = takeId(turn.state)
  group.stamping.resolves.set(id, call)
  group.revisions = askResolve(group.revisions, { id, revision, ranges, patient: true })
  turn.touched.add(group)
}

/** Answers what can be promised by now. */
export function driveResolves(turn: Turn, group: Group): void {
  if (group.revisions === null || group.revisions.resolves.length === 0) return
  forgetEnded(group, group.revisions)
  const { leader, resolved } = settleResolves(
    group.revisions,
    group.machine.revisions.transactions,
    group.machine.applied,
  )
  group.revisions = leader
  for (const { id, revision, index } of resolved) {
    const call = group.stamping.resolves.get(id)
    group.stamping.resolves.delete(id)
    if (call === undefined || call.done) continue
    const header = { revision, term: oracleTerm(turn.state) }
    answerCall(turn, call, header, encodeReply({ kind: 'resolved', index }))
  }
}

function forgetEnded(group: Group, leader: LeaderRevisions): void {
  const { resolves } = group.stamping
  const open = leader.resolves.filter(({ id }) => resolves.get(id)?.done === false)
  if (open.length === leader.resolves.length) return
  for (const { id } of leader.resolves) if (resolves.get(id)?.done !== false) resolves.delete(id)
  group.revisions = { ...leader, resolves: open }
}

/** An answer of the oracle that does not come must not hold up readers for ever. Part of the duties. */
export function losePatienceWithOracle(turn: Turn, group: Group): void {
  if (group.revisions === null || group.stamping.resolves.size + group.stamping.writes.size === 0) return
  const { heartbeatMs } = turn.state.options
  for (const [id, call] of group.stamping.resolves) {
    if (turn.now - call.arrived >= heartbeatMs) group.revisions = losePatience(group.revisions, id)
  }
  turn.touched.add(group)
}

/** Whether somebody waits for a round of heartbeats that proves the leadership. */
export const wantsProof = ({ id, revisions, oracle }: Group): boolean =>
  id === META_GROUP
    ? oracle !== null &&
      oracle.handedOut !== null &&
      oracle.waiting.some(({ proof }) => proof.kind === 'wanted')
    : revisions !== null && revisions.resolves.some(({ proof }) => proof.kind === 'wanted')

/** A round of heartbeats begins; it proves the leadership to all that wait by now. */
export function proofBegins(group: Group, round: number): void {
  if (!leads(group)) return
  if (group.revisions !== null) group.revisions = leaderRoundStarts(group.revisions, round)
  if (group.oracle !== null) group.oracle = oracleRoundStarts(group.oracle, round)
}

export function proofGiven(turn: Turn, group: Group, round: number): void {
  if (group.revisions !== null) group.revisions = leaderRoundSucceeds(group.revisions, round)
  if (group.oracle !== null) group.oracle = oracleRoundSucceeds(group.oracle, round)
  if (group.revisions !== null || group.oracle !== null) turn.touched.add(group)
}
