import { encodeReply, LIMITS, type ClientRequest } from '@kvorum/model'
import { readHistory } from '@kvorum/machine'
import { resolvedByLog } from '@kvorum/placement'
import { answerCall, failCall, finishCall, type Call } from './calls.js'
import { shardOfGroup } from './groupMachine.js'
import { headerTerm, leads } from './membership.js'
import { callMoved } from './moved.js'
import { takeReadView } from './readView.js'
import { hasKeysOf } from './routing.js'
import { awaitLeader } from './stages.js'
import type { Group, Turn } from './state.js'
import { runTask } from './tasks.js'

/**
 * What other nodes ask for watches of a shard that they have no replica of: how far it is (they wait here until
 * something happens), and what has happened.
 *
 * How far a shard is, is said by what its log has applied (resolvedByLog), so it holds whoever leads. It is said of the
 * range that was asked about, while the shard has it: after a split the right half has a leader and a log of its own.
 */
export function queueFollow(turn: Turn, group: Group, call: Call): void {
  if (group.follows.length >= LIMITS.followsPerShardMax) {
    failCall(turn, call, 'tooManyRequests')
    return
  }
  group.follows.push(call)
  driveFollows(turn, group)
}

/** Answers those that have something to hear, or have waited long enough. After applying, and among the duties. */
export function driveFollows(turn: Turn, group: Group): void {
  if (group.follows.length === 0) return
  const waiting = group.follows
  group.follows = []
  for (const call of waiting) if (!call.done && !answerFollow(turn, group, call)) group.follows.push(call)
}

function answerFollow(turn: Turn, group: Group, call: Call): boolean {
  const { machine } = group
  const shard = shardOfGroup(group)
  if (!leads(group)) awaitOrRefuse(turn, group, call)
  else if (group.quarantined !== null) failCall(turn, call, 'quarantined')
  else if (!hasKeysOf(group, call.request)) callMoved(turn, group, call)
  else if (shard === null || machine.installing) return false
  else {
    const revision = resolvedByLog(machine.revisions.transactions, shard.revision)
    const { after } = call.request as FollowRequest
    if (after > 0 && revision <= after && turn.now - call.arrived < LIMITS.followMs) return false
    const { compactRevision, authFence: fence } = shard
    const reply = encodeReply({ kind: 'followed', index: machine.applied, compactRevision, fence })
    answerCall(turn, call, { revision, term: headerTerm(turn.state) }, reply)
  }
  return true
}

type FollowRequest = Extract<ClientRequest, { kind: 'follow' }>

function awaitOrRefuse(turn: Turn, group: Group, call: Call): void {
  if (call.origin.kind === 'peer') failCall(turn, call, 'notLeader')
  else awaitLeader(turn, group, call)
}

const HISTORY_REVISIONS = 1_000
const HISTORY_BYTES_MAX = LIMITS.frameBytesMax - LIMITS.requestOverheadBytes

/** What it asks for is applied here, and nothing at or below `to` comes behind it. */
export function serveHistory(
  turn: Turn,
  group: Group,
  call: Call,
  request: Extract<ClientRequest, { kind: 'history' }>,
): void {
  const shard = shardOfGroup(group)
  if (shard === null || group.machine.installing) {
    awaitOrRefuse(turn, group, call)
    return
  }
  if (!hasKeysOf(group, request)) {
    callMoved(turn, group, call)
    return
  }
  const { from, to, range, prev, bytesMax } = request
  const header = { revision: to, term: headerTerm(turn.state) }
  // Of what a shard has applied its last revision is the greatest.
  if (shard.revision < from && from >= shard.compactRevision) {
    answerCall(turn, call, header, encodeReply({ kind: 'history', events: [], next: to + 1 }))
    return
  }
  const { reader, view } = takeReadView(turn, shard)
  const bounds = { revisionsMax: HISTORY_REVISIONS, bytesMax: Math.min(bytesMax, LIMITS.pageBytesMax) }
  runTask(turn, {
    group: group.id,
    view,
    step: readHistory(reader, from, to, bounds, { range, prev }),
    done: (later, page) => {
      if (!page.ok) finishCall(later, call, page)
      else {
        const { events, next } = page.value
        // What is above the shard's last revision was not looked at, and there is nothing.
        const end = next > Math.min(to, reader.revision) ? to + 1 : next
        const body = encodeReply({ kind: 'history', events, next: end })
        // A revision is whole, and no larger message goes to another node.
        if (body.length > HISTORY_BYTES_MAX) failCall(later, call, 'responseTooLarge')
        else answerCall(later, call, header, body)
      }
    },
    failed: later => awaitOrRefuse(later, group, call),
    holdsLayers: false,
  })
}
