import {
  commandHeader,
  LIMITS,
  META_GROUP,
  type ClientRequest,
  type ClientResult,
  type GroupId,
  type NodeId,
  type Term,
} from '@kvorum/model'
import { decodeMetaCommand, routeRanges } from '@kvorum/placement'
import { failCall, finishCall, openCall, type Call } from './calls.js'
import { isUnchecked } from './checking.js'
import { rangesOf } from './commands.js'
import { compactShards } from './compactShards.js'
import { noteDemand } from './demand.js'
import { queueFollow } from './follows.js'
import { canForwardTo, forwardCall, takeBack } from './forwarding.js'
import { noticeNoSpace, refusedByGuard } from './guard.js'
import { hashForCall } from './hashing.js'
import { queueResolve } from './leaderRevisions.js'
import { inOracleMode, leaderNode, leads } from './membership.js'
import { judgeMemberCommand } from './memberJudgement.js'
import { moveLeader } from './moveLeader.js'
import { queueForOracle } from './oracle.js'
import { readAtOneRevision } from './oracleReads.js'
import { queueRead, readAt } from './reads.js'
import { isElsewhere, noteRemote, placeElsewhere } from './remotes.js'
import { readLocally } from './localReads.js'
import { callMoved } from './moved.js'
import { hasKeysOf, learnRoute } from './routing.js'
import { awaitLeader, enterStage } from './stages.js'
import type { Group, Turn } from './state.js'
import { takeRequest } from './takenRequests.js'
import { coordinate } from './transactions/coordinate.js'
import { revokeLease } from './transactions/revoke.js'
import { isOfSeveralShards } from './transactions/shares.js'

/**
 * The way of a request:
 *
 *     request --> route: which group --> here? --> propose | read | ask the lease clock
 *                                    --> elsewhere: forward to its leader, the answer comes back the same way
 *                                    --> no leader known, or it does not listen yet: wait, until the deadline
 */
export function receiveRequest(turn: Turn, id: number, request: ClientRequest, due: number): void {
  const call = openCall(turn, { kind: 'client', id }, request, due)
  if (call === null) return
  if (turn.state.draining) failCall(turn, call, 'stopped')
  else routeCall(turn, call)
}

/** A request that another node sent on, because it thinks that this one leads. */
export function receiveForwarded(
  turn: Turn,
  from: NodeId,
  id: number,
  groupId: GroupId,
  request: ClientRequest,
): void {
  const peer = turn.state.peers.get(from)
  if (peer === undefined || !takeRequest(peer.taken, id)) return
  const anyNode = request.kind === 'hashKv' || (request.kind === 'read' && request.at !== undefined)
  const timeoutMs = anyNode ? LIMITS.hashMsMax : FORWARDED_TIMEOUT_MS
  const due = turn.now + turn.state.options.electionTimeoutMs * 2 + timeoutMs
  const call = openCall(turn, { kind: 'peer', node: from, id }, request, due)
  if (call === null) return
  const group = turn.state.groups.get(groupId)
  if (group === undefined || !(leads(group) || anyNode)) failCall(turn, call, 'notLeader')
  else {
    call.group = groupId
    placeCall(turn, group, call)
  }
}

const FORWARDED_TIMEOUT_MS = 5_000

export function receiveReply(turn: Turn, from: NodeId, id: number, result: ClientResult): void {
  const { calls } = turn.state
  const forwarded = calls.forwarded.get(id)
  if (forwarded === undefined || forwarded.to !== from) return
  calls.forwarded.delete(id)
  const { call } = forwarded
  call.forward = null
  const group = call.group === null ? undefined : turn.state.groups.get(call.group)
  const untaken = !result.ok && result.error.outcome === 'notApplied'
  const isAnswer = !untaken || !RETRIED.has(result.error.code)
  if (call.group !== null) noteRemote(turn.state, call.group, from, isAnswer)
  if (untaken && result.error.code === 'staleRoute') {
    learnRoute(turn.state, result.error)
    callMoved(turn, group ?? null, call)
    return
  }
  if (isAnswer || call.group === null) finishCall(turn, call, result)
  else takeBackFrom(turn, call.group, call)
}

/** Refusals that only say "not here, not now": the call goes to the next leader. */
const RETRIED: ReadonlySet<string> = new Set(['notLeader', 'leaderChanged', 'noLeader', 'stopped'])

/** The connection to `node` broke: what was sent there may or may not have been taken. */
export function forwardsLost(turn: Turn, node: NodeId): void {
  const { calls } = turn.state
  for (const [id, { call, to }] of calls.forwarded) {
    if (to !== node) continue
    calls.forwarded.delete(id)
    call.forward = null
    if (isIdempotent(call.request) && call.group !== null) {
      call.sentBefore = call.request.kind === 'write'
      noteRemote(turn.state, call.group, node, false)
      const group = turn.state.groups.get(call.group)
      if (group !== undefined) awaitLeader(turn, group, call)
      else notHere(turn, call.group, call)
    } else failCall(turn, call, 'timeoutConnectionLost', 'unknown')
  }
}

/** These never reached the connection: nothing has happened yet. */
export function forwardDropped(turn: Turn, id: number): void {
  const { calls } = turn.state
  const forwarded = calls.forwarded.get(id)
  if (forwarded === undefined) return
  calls.forwarded.delete(id)
  const { call, to } = forwarded
  call.forward = null
  if (call.group === null) return
  noteRemote(turn.state, call.group, to, false)
  takeBackFrom(turn, call.group, call)
}

/** Nothing came of sending it on: another node, if there is one that is not yet asked. */
function takeBackFrom(turn: Turn, id: GroupId, call: Call): void {
  const group = turn.state.groups.get(id)
  if (group !== undefined) takeBack(turn, group, call)
  else notHere(turn, id, call)
}

export function cancelCall(turn: Turn, id: number): void {
  const call = turn.state.calls.byRequest.get(id)
  if (call !== undefined) failCall(turn, call, 'canceled', call.mayHaveEffect ? 'unknown' : 'notApplied')
}

/** Sends on what the node asks on its own account, whom it is for or wherever it belongs. */
export function routeOwn(turn: Turn): void {
  for (let call = turn.routing.shift(); call !== undefined; call = turn.routing.shift()) {
    if (call.done) continue
    if (call.group === null) routeCall(turn, call)
    else placeAt(turn, call.group, call)
  }
}

/** Finds the group of a call and sends it there. */
export function routeCall(turn: Turn, call: Call): void {
  if (isOfSeveralShards(turn.state, call)) {
    coordinate(turn, call)
    return
  }
  if (isTakenApart(turn.state, call)) {
    takeApart(turn, call)
    return
  }
  const id = groupOf(turn, call)
  if (id === null) return
  call.group = id
  placeAt(turn, id, call)
}

function placeAt(turn: Turn, id: GroupId, call: Call): void {
  const group = turn.state.groups.get(id)
  if (group === undefined) notHere(turn, id, call)
  else placeCall(turn, group, call)
}

/** The shard's replicas are elsewhere, or the map knows of a shard that is still to come here. */
function notHere(turn: Turn, id: GroupId, call: Call): void {
  // A hash is of the asked node's own rows; see hashing.ts.
  if (call.request.kind === 'hashKv') failCall(turn, call, 'unhealthy')
  else if (isElsewhere(turn.state, id)) placeElsewhere(turn, id, call)
  else if (call.origin.kind === 'peer') failCall(turn, call, 'notLeader')
  else turn.state.unplaced.push(call)
}

/** Of a client that this node serves: reads of a cluster with an oracle. */
const isTakenApart = (state: Turn['state'], { origin, request }: Call): boolean =>
  (origin.kind === 'client' || origin.kind === 'own') &&
  (request.kind === 'read' || (request.kind === 'compact' && request.resolved !== true)) &&
  inOracleMode(state)

function takeApart(turn: Turn, call: Call): void {
  const { request } = call
  if (request.kind === 'compact') compactShards(turn, call, request)
  else readAtOneRevision(turn, call)
}

function groupOf(turn: Turn, call: Call): GroupId | null {
  const { shards } = turn.state
  const { request } = call
  let id: GroupId
  switch (request.kind) {
    case 'barrier':
    case 'meta':
    case 'alarm':
    case 'oracle':
      id = META_GROUP
      break
    case 'resolve':
    case 'transaction':
    case 'transactionRead':
    case 'follow':
    case 'history':
    case 'rows':
    case 'authFence':
      id = request.group
      break
    case 'moveLeader':
      id = request.group ?? META_GROUP
      break
    case 'write':
    case 'read': {
      const ranges = request.kind === 'write' ? request.ranges : rangesOf(request.op)
      const parts = routeRanges(shards, ranges)
      if (parts.length > 1) {
        // This node has heard of the first split before its log says that the oracle gives revisions now.
        if (call.origin.kind === 'client' && turn.state.splits.length > 0) turn.state.unplaced.push(call)
        else failCall(turn, call, 'crossShard')
        return null
      }
      id = parts[0]?.shard.group ?? shards.shards[0]!.group
      break
    }
    default:
      // Leases, and what concerns all keys, live in the first shard while there is only one (dense mode).
      id = shards.shards[0]!.group
  }
  return id
}

/** Time has passed, or a replica has come. */
export function retryUnplaced(turn: Turn): void {
  const { state } = turn
  if (state.unplaced.length === 0) return
  turn.routing.push(...state.unplaced.filter(call => !call.done))
  state.unplaced = []
}

/** The call's group is known: do it here, or where its leader is. */
export function placeCall(turn: Turn, group: Group, call: Call): void {
  if (group.quarantined !== null) {
    failCall(turn, call, 'quarantined', 'notApplied', group.quarantined)
    return
  }
  const { request } = call
  if (!hasKeysOf(group, request)) callMoved(turn, group, call)
  else if (isUnchecked(group) && request.kind !== 'hashKv' && isAsked(call)) {
    if (call.origin.kind === 'peer') failCall(turn, call, 'notLeader')
    else awaitLeader(turn, group, call)
  } else if (request.kind === 'hashKv') hashForCall(turn, group, call, request.revision)
  else if (isFilling(group) && isAsked(call)) askFilled(turn, group, call)
  else if (request.kind === 'leaseList') readLocally(turn, group, call)
  else if (request.kind === 'read' && request.at !== undefined) readAt(turn, group, call, request.at.index)
  else if (request.kind === 'read' && request.serializable) readLocally(turn, group, call)
  else if (request.kind === 'read' || request.kind === 'barrier') queueRead(turn, group, call)
  else if (request.kind === 'moveLeader') askToMoveLeader(turn, group, call, request)
  else if (request.kind === 'transaction' && isOfOtherTerm(group, request.term))
    failCall(turn, call, 'leaderChanged')
  else if (!leads(group)) sendToLeader(turn, group, call)
  else if (request.kind === 'leaseKeepAlive' || request.kind === 'leaseTimeToLive')
    queueRead(turn, group, call)
  else if (request.kind === 'oracle') queueForOracle(turn, group, call, request.ask)
  else if (request.kind === 'transactionRead' || request.kind === 'history' || request.kind === 'rows')
    readAt(turn, group, call, request.index)
  else if (request.kind === 'follow') queueFollow(turn, group, call)
  else {
    noteDemand(group, request)
    if (request.kind === 'resolve') queueResolve(turn, group, call, request)
    else proposeUnlessRefused(turn, group, call)
  }
}

/** A replica that waits for its state, as long as a large snapshot may take. Others can answer. */
const isFilling = ({ id, machine }: Group): boolean => id !== META_GROUP && machine.installing

function askFilled(turn: Turn, group: Group, call: Call): void {
  if (leaderNode(group) === null && isElsewhere(turn.state, group.id)) placeElsewhere(turn, group.id, call)
  else sendToLeader(turn, group, call)
}

const isOfOtherTerm = (group: Group, term: Term | undefined): boolean =>
  term !== undefined && !(leads(group) && group.ledTerm === term)

/** Of the cluster only its leader does it, as in etcd; of a shard it is asked wherever it is. */
function askToMoveLeader(turn: Turn, group: Group, call: Call, request: MoveLeaderRequest): void {
  if (request.group === undefined || leads(group)) moveLeader(turn, group, call, request.to)
  else sendToLeader(turn, group, call)
}

type MoveLeaderRequest = Extract<ClientRequest, { kind: 'moveLeader' }>

/** By somebody who waits for the answer. */
const isAsked = ({ origin }: Call): boolean =>
  origin.kind === 'client' || origin.kind === 'peer' || origin.kind === 'part' || origin.kind === 'own'

function proposeUnlessRefused(turn: Turn, group: Group, call: Call): void {
  const guarded = refusedByGuard(group, call, turn.state.options.limits)
  if (guarded !== null) {
    noticeNoSpace(turn, group, guarded.code)
    finishCall(turn, call, { ok: false, error: guarded })
    return
  }
  const { request } = call
  if (request.kind === 'compact' && request.resolved !== true && group.revisions !== null) {
    // Whoever asks believes that this shard is the only one.
    if (call.origin.kind === 'peer') failCall(turn, call, 'notLeader')
    else awaitLeader(turn, group, call)
    return
  }
  const refusal =
    request.kind === 'meta'
      ? judgeMemberCommand(turn.state, decodeMetaCommand(request.command), turn.now)
      : null
  if (refusal !== null) {
    failCall(turn, call, refusal)
    return
  }
  if (request.kind === 'leaseRevoke') {
    revokeLease(turn, group, call, request.id)
    return
  }
  group.proposing.push(call)
  turn.touched.add(group)
}

function sendToLeader(turn: Turn, group: Group, call: Call): void {
  const { state } = turn
  const node = leaderNode(group)
  if (call.origin.kind === 'peer') {
    failCall(turn, call, 'notLeader')
    return
  }
  if (node === null || node === state.options.self || !canForwardTo(state, node)) {
    awaitLeader(turn, group, call)
    return
  }
  call.mayHaveEffect = true
  enterStage(call, 'forward', turn.now)
  forwardCall(turn, call, group.id, node)
}

/** The group's leader changed, or time has passed: those who wait try again. */
export function retryWaiting(turn: Turn, group: Group): void {
  if (group.waiting.length === 0) return
  const waiting = group.waiting
  group.waiting = []
  for (const call of waiting) {
    if (call.done) continue
    // What a node asks of its own shard was the judgement of one leadership: it is neither kept for a later one
    // nor sent to another leader, who may have renewed the lease meanwhile.
    if (call.origin.kind === 'self' && group.id !== META_GROUP) failCall(turn, call, 'leaderChanged')
    else if (isTakenApart(turn.state, call)) takeApart(turn, call)
    else placeCall(turn, group, call)
  }
}

/** May be sent twice without harm. */
function isIdempotent(request: ClientRequest): boolean {
  switch (request.kind) {
    case 'read':
    case 'leaseKeepAlive':
    case 'leaseTimeToLive':
    case 'leaseList':
    case 'barrier':
    case 'authFence':
    case 'oracle':
    case 'resolve':
    case 'follow':
    case 'history':
    case 'rows':
    case 'transaction':
    case 'transactionRead':
      return true
    case 'write':
      // The machine recognises a write of a session and answers it as it did the first time.
      return commandHeader(request.command).session !== null
    default:
      return false
  }
}
