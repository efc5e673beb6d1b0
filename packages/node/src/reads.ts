import { encodeReply, passesFence, type ClientRequest, type Index } from '@kvorum/model'
import { servesDenseReads } from '@kvorum/placement'
import { readIndex, type ReadState } from '@kvorum/raft'
import { answerCall, failCall, type Call } from './calls.js'
import { serveHistory } from './follows.js'
import { proofBegins, proofGiven, wantsProof } from './leaderRevisions.js'
import { mayReadBefore } from './longCommands.js'
import { renewLease } from './leases.js'
import { readLocally } from './localReads.js'
import { readAtOneRevision } from './oracleReads.js'
import { headerTerm, leads } from './membership.js'
import { callMoved } from './moved.js'
import { hasKeysOf } from './routing.js'
import { awaitLeader, enterStage } from './stages.js'
import { takeId, type Group, type Turn } from './state.js'
import { timeToLive } from './timeToLive.js'
import { serveRows } from './shardRows.js'
import { serveTransactionRead } from './transactions/parts.js'

/**
 * Linearizable reads (thesis 6.4): all that arrived in one turn share one round. The round's index is taken
 * and confirmed after they arrived; when the state machine has applied it, they are served from here.
 */
export interface Reads {
  /** Not asked for yet. */
  queued: Call[]
  /** Asked; by the round's context. */
  readonly asked: Map<number, readonly Call[]>
  /** Confirmed; waiting for the state machine. Ascending by index. */
  confirmed: { readonly index: Index; readonly calls: readonly Call[] }[]
  /** Reads of one revision; each waits until everything at or below it is applied here, at its index. */
  at: { readonly index: Index; readonly call: Call }[]
}

/** Whatever waits to be read here, to be read elsewhere. */
export function takeReads({ reads }: Group): Call[] {
  const calls = [
    ...reads.queued,
    ...[...reads.asked.values()].flat(),
    ...reads.confirmed.flatMap(read => read.calls),
    ...reads.at.map(read => read.call),
  ]
  reads.queued = []
  reads.asked.clear()
  reads.confirmed = []
  reads.at = []
  return calls
}

export const createReads = (): Reads => ({ queued: [], asked: new Map(), confirmed: [], at: [] })

export function queueRead(turn: Turn, group: Group, call: Call): void {
  group.reads.queued.push(call)
  turn.touched.add(group)
}

/** Starts one round for everything queued. */
export function askReads(turn: Turn, group: Group): void {
  const { reads, raft } = group
  const proof = wantsProof(group)
  if (raft === null || (reads.queued.length === 0 && !proof)) return
  const calls = reads.queued.filter(call => !call.done)
  reads.queued = []
  if (calls.length === 0 && !proof) return
  const context = takeId(turn.state)
  const refusal = readIndex(raft, turn.now, context)
  if (refusal === null) {
    reads.asked.set(context, calls)
    proofBegins(group, context)
    for (const call of calls) enterStage(call, 'confirm', turn.now)
    turn.state.counters.readRounds++
    turn.state.counters.reads += calls.length
  } else {
    for (const call of calls) awaitLeader(turn, group, call)
  }
}

export function readsConfirmed(turn: Turn, group: Group, read: ReadState): void {
  const { reads } = group
  const calls = reads.asked.get(read.context)
  if (calls === undefined) return
  reads.asked.delete(read.context)
  if (read.index !== null) proofGiven(turn, group, read.context)
  if (read.index === null) {
    for (const call of calls) awaitLeader(turn, group, call)
    return
  }
  if (read.index > group.machine.applied) for (const call of calls) enterStage(call, 'catchUp', turn.now)
  if (calls.length === 0) return
  reads.confirmed.push({ index: read.index, calls })
  serveReads(turn, group)
}

/** Serves what the state machine has caught up with, or what may see it as it was before a long command. */
export function serveReads(turn: Turn, group: Group): void {
  const { reads, machine } = group
  if (machine.installing) return
  serveReadsAt(turn, group)
  if (reads.confirmed.length === 0) return
  const waiting = reads.confirmed
  reads.confirmed = []
  for (const read of waiting) {
    if (read.index <= machine.applied) {
      for (const call of read.calls) serve(turn, group, call)
    } else if (mayReadBefore(group, read.index)) {
      const left = read.calls.filter(call => !maySeeBefore(group, call))
      if (left.length > 0) reads.confirmed.push({ index: read.index, calls: left })
      for (const call of read.calls) if (maySeeBefore(group, call)) serve(turn, group, call)
    } else {
      reads.confirmed.push(read)
    }
  }
}

/**
 * A leader has promised that everything at or below the revision is applied at `index`. A long command that is hidden
 * here may be one of those: it is waited for.
 */
export function readAt(turn: Turn, group: Group, call: Call, index: Index): void {
  group.reads.at.push({ index, call })
  if (index <= group.machine.applied) serveReads(turn, group)
  else enterStage(call, 'catchUp', turn.now)
}

function serveReadsAt(turn: Turn, group: Group): void {
  const { reads, machine } = group
  if (reads.at.length === 0) return
  const due = reads.at.filter(({ index }) => index <= machine.applied)
  reads.at = reads.at.filter(({ index, call }) => index > machine.applied && !call.done)
  for (const { call } of due) serve(turn, group, call)
}

/**
 * A lease is kept alive only by a leader that knows of every revocation in the log: one that has applied an entry of
 * its own term proposed all that came behind it. An earlier leader's may be the long command itself.
 */
const maySeeBefore = (group: Group, { request }: Call): boolean =>
  request.kind !== 'leaseKeepAlive' || group.leases?.armed === true

function serve(turn: Turn, group: Group, call: Call): void {
  if (call.done) return
  if (group.quarantined !== null) {
    failCall(turn, call, 'quarantined', 'notApplied', group.quarantined)
    return
  }
  // The node that asks looks after the rights of its watches.
  if (call.request.kind === 'history') {
    serveHistory(turn, group, call, call.request)
    return
  }
  if (call.request.kind === 'rows') {
    serveRows(turn, group, call, call.request)
    return
  }
  // What the part of a transaction is read for was allowed when it was prepared.
  if (call.request.kind !== 'transactionRead' && isOutdated(group, call.request)) {
    failCall(turn, call, 'authOutdated')
    return
  }
  if (!hasKeysOf(group, call.request)) {
    callMoved(turn, group, call)
    return
  }
  switch (call.request.kind) {
    case 'transactionRead':
      serveTransactionRead(turn, group, call, call.request)
      return
    case 'read':
      // The switch came in front of this read: the shard's last revision says nothing of other shards.
      if (call.request.at === undefined && !servesDenseReads(group.machine.revisions.mode))
        readAtOneRevision(turn, call)
      else readLocally(turn, group, call)
      return
    case 'barrier':
      answerCall(turn, call, { revision: 0, term: headerTerm(turn.state) }, encodeReply({ kind: 'done' }))
      return
    case 'leaseKeepAlive':
    case 'leaseTimeToLive':
      if (group.machine.shard?.guard.corrupt === true) failCall(turn, call, 'corrupt')
      // The clock of leases is the leader's; if it is not here any more, the next leader is asked.
      else if (!leads(group)) awaitLeader(turn, group, call)
      else if (call.request.kind === 'leaseKeepAlive') renewLease(turn, group, call, call.request.id)
      else timeToLive(turn, group, call, call.request)
      return
    default:
      failCall(turn, call, 'internal')
  }
}

/** Users or roles have changed since the request was allowed: this shard knows of something newer. */
export function isOutdated(group: Group, { authority }: ClientRequest): boolean {
  const { shard } = group.machine
  return shard !== null && !passesFence(shard.authFence, authority?.fence ?? null)
}
