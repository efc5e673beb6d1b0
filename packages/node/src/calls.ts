import {
  createStageTimes,
  decodeReply,
  isJudged,
  ok,
  refuse,
  type ClientRequest,
  type ClientResult,
  type ErrorCode,
  type GroupId,
  type Millis,
  type NodeId,
  type Outcome,
  type ReplyHeader,
  type RequestId,
  type Revision,
  type Stage,
  type StageTimes,
  type StoreHash,
  type Term,
} from '@kvorum/model'
import { fenceApplied } from './authFences.js'
import { nextDueOf, popDue, pushHeap, type Heap } from './heap.js'
import { membersKnown } from './membership.js'
import { enterStage } from './stages.js'
import { note, sendTo, type Turn } from './state.js'
import { noteSeen } from './watch/news.js'

/**
 * A request on its way through this node: where it came from, and whether it may already have had an effect.
 * Every call ends exactly once, with `finishCall`.
 */
export interface Call {
  readonly origin: Origin
  readonly request: ClientRequest
  due: Millis
  readonly arrived: Millis
  /** Where it is, since when, and how long it was elsewhere; see stages.ts. */
  stage: Stage
  since: Millis
  readonly times: StageTimes
  /** The group it was routed to; null until routed. */
  group: GroupId | null
  /** The id under which it was sent on; null while it is here. */
  forward: number | null
  /** Once true, a lost call is 'unknown' and is never sent again. */
  mayHaveEffect: boolean
  /** An earlier sending of it was lost on the way: what refuses a later one says nothing about that. */
  sentBefore: boolean
  /** The revision that the oracle gave it, on its way into the log of this leadership; null: none. */
  stamp: Revision | null
  /** A write that has waited for the locks of a transaction. */
  metLock: boolean
  /** Calls that were made to answer this one; see gather.ts. */
  parts: Call[]
  done: boolean
}

export type Origin =
  | { readonly kind: 'client'; readonly id: RequestId }
  | { readonly kind: 'peer'; readonly node: NodeId; readonly id: number }
  /** The node itself (expired leases, announcements): nobody waits for the answer. */
  | { readonly kind: 'self' }
  /** A group's leader wants to know that it knows the members; see membershipDuty.ts. */
  | { readonly kind: 'members'; readonly group: GroupId; readonly term: Term }
  /** A part of what this node does to answer another call; it ends with it. See gather.ts. */
  | {
      readonly kind: 'part'
      readonly parent: Call
      readonly done: (turn: Turn, result: ClientResult) => void
    }
  /** A question of the node's own; whoever asked it hears of its end. */
  | { readonly kind: 'own'; readonly done: (turn: Turn, result: ClientResult) => void }
  /** The hash of another node's data, for a comparison of this node's; see comparison.ts. */
  | { readonly kind: 'hash'; readonly node: NodeId; readonly answers: Map<NodeId, StoreHash | null> }

export interface Calls {
  readonly byRequest: Map<RequestId, Call>
  readonly deadlines: Heap<Call>
  /** Sent on to another node, by the id that travels with them. */
  readonly forwarded: Map<number, { readonly call: Call; readonly to: NodeId }>
  nextForward: number
  /** Calls that have not ended, ... */
  open: number
  /** ...and those among them that follow a shard: they stand here all the time, and have a bound of their own. */
  following: number
}

export const createCalls = (firstForward: number): Calls => ({
  byRequest: new Map(),
  deadlines: [],
  forwarded: new Map(),
  nextForward: firstForward,
  open: 0,
  following: 0,
})

/** Takes a request in, or null when the node holds as many as it may (the caller has been answered then). */
export function openCall(turn: Turn, origin: Origin, request: ClientRequest, due: Millis): Call | null {
  const { calls, options } = turn.state
  const call: Call = {
    origin,
    request,
    due,
    arrived: turn.now,
    stage: 'leader',
    since: turn.now,
    times: createStageTimes(),
    group: null,
    forward: null,
    mayHaveEffect: false,
    sentBefore: false,
    stamp: null,
    metLock: false,
    parts: [],
    done: false,
  }
  count(calls, call, 1)
  const isForeign = origin.kind === 'client' || origin.kind === 'peer'
  if (calls.open - calls.following > options.limits.pendingRequestsMax && isForeign) {
    failCall(turn, call, 'tooManyRequests')
    return null
  }
  if (origin.kind === 'client') calls.byRequest.set(origin.id, call)
  pushHeap(calls.deadlines, call)
  return call
}

function count(calls: Calls, { request }: Call, by: 1 | -1): void {
  calls.open += by
  if (request.kind === 'follow') calls.following += by
}

export function answerCall(turn: Turn, call: Call, header: ReplyHeader, body: Uint8Array): void {
  finishCall(turn, call, ok({ header: keepTerm(turn, header), body }))
}

export function failCall(
  turn: Turn,
  call: Call,
  code: ErrorCode,
  outcome: Outcome = 'notApplied',
  detail?: string,
): void {
  finishCall(turn, call, refuse(code, { outcome, ...(detail === undefined ? {} : { detail }) }))
}

export function finishCall(turn: Turn, call: Call, last: ClientResult): void {
  if (call.done) return
  const result = call.sentBefore ? ofAllSendings(last) : last
  call.done = true
  const { calls } = turn.state
  count(calls, call, -1)
  if (call.forward !== null) calls.forwarded.delete(call.forward)
  if (call.parts.length > 0) endParts(turn, call)
  switch (call.origin.kind) {
    case 'client':
      calls.byRequest.delete(call.origin.id)
      if (result.ok) noteSeen(turn.state, result.value.header.revision)
      enterStage(call, 'reply', turn.now)
      turn.out.replies.push({ id: call.origin.id, result, arrived: call.arrived, times: call.times })
      return
    case 'peer':
      sendTo(turn, call.origin.node, { kind: 'reply', id: call.origin.id, result })
      return
    case 'members':
      if (result.ok) membersKnown(turn.state, call.origin.group, call.origin.term)
      return
    case 'part':
      if (!call.origin.parent.done) call.origin.done(turn, result)
      return
    case 'own':
      call.origin.done(turn, result)
      return
    case 'hash':
      call.origin.answers.set(call.origin.node, hashIn(result))
      return
    case 'self':
      if (result.ok && call.request.kind === 'authFence') fenceApplied(turn.state.authFences, call.request)
      if (call.request.kind === 'meta') {
        const soon = turn.now + 2 * turn.state.options.heartbeatMs
        turn.state.metaCommandUntil = Math.min(turn.state.metaCommandUntil, soon)
      }
      if (!result.ok && result.error.outcome === 'unknown') {
        note(turn, 'info', 'A request of the node itself has no answer yet', { request: call.request.kind })
      }
  }
}

/** Nobody wants to hear of them any more. */
function endParts(turn: Turn, { parts }: Call): void {
  const { calls } = turn.state
  for (const part of parts) {
    if (part.done) continue
    part.done = true
    count(calls, part, -1)
    if (part.forward !== null) calls.forwarded.delete(part.forward)
    endParts(turn, part)
  }
}

function hashIn(result: ClientResult): StoreHash | null {
  const reply = result.ok ? decodeReply(result.value.body) : null
  return reply?.kind === 'hashed' ? reply : null
}

function ofAllSendings(result: ClientResult): ClientResult {
  if (result.ok || result.error.outcome !== 'notApplied' || isJudged(result.error.code)) return result
  return { ok: false, error: { ...result.error, outcome: 'unknown' } }
}

const APPLYING_EXTENSION_MS = 1_000

/**
 * A long command that is committed and under way will be answered: giving up on it now would only lose the answer.
 * When it has been worked out it waits for a majority, like any write, and not for ever.
 */
function isBeingApplied(turn: Turn, call: Call): boolean {
  const group = call.group === null ? undefined : turn.state.groups.get(call.group)
  const current = group?.applying.batch[group.applying.at]
  const hidden = group?.applying.hidden ?? null
  if (hidden !== null && hidden.worked !== null && turn.now - hidden.workedAt > APPLYING_EXTENSION_MS)
    return false
  return current !== undefined && group?.proposals.get(current.entry.index)?.call === call
}

/** Ends what has waited long enough. */
export function expireCalls(turn: Turn): void {
  const { calls } = turn.state
  for (
    let call = popDue(calls.deadlines, turn.now);
    call !== null;
    call = popDue(calls.deadlines, turn.now)
  ) {
    if (call.done) continue
    if (isBeingApplied(turn, call)) {
      call.due = turn.now + APPLYING_EXTENSION_MS
      pushHeap(calls.deadlines, call)
    } else {
      failCall(turn, call, 'timeout', call.mayHaveEffect ? 'unknown' : 'notApplied')
    }
  }
  dropFinished(calls)
}

/** Finished calls stay in the heap until their deadline; when they are most of it, they are swept. */
function dropFinished(calls: Calls): void {
  if (calls.deadlines.length < 1024 || calls.deadlines.length < calls.open * 4) return
  const open = calls.deadlines.filter(call => !call.done).sort((a, b) => a.due - b.due)
  calls.deadlines.splice(0, calls.deadlines.length, ...open)
}

export const nextDeadline = (calls: Calls): Millis => nextDueOf(calls.deadlines)

/** A node never sends a lower term than it has sent or received. */
function keepTerm(turn: Turn, header: ReplyHeader): ReplyHeader {
  const { state } = turn
  if (header.term >= state.highestTerm) state.highestTerm = header.term
  return header.term === state.highestTerm ? header : { ...header, term: state.highestTerm }
}
