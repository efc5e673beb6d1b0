import { splitsShard, stamped, takesRevision } from '@kvorum/model'
import { hasReady, propose, takeReady, type Ready } from '@kvorum/raft'
import { armGroup } from './arming.js'
import { firstInLine, lockWaitsOver, mayBeProposed, waitForLocks } from './transactions/lockOrder.js'
import { prepareForLog } from './transactions/proposing.js'
import { failCall, type Call } from './calls.js'
import { commandOf } from './commands.js'
import { routeMessages } from './consensus.js'
import {
  driveResolves,
  driveStamping,
  queueForRevision,
  splitEntriesProposed,
  stampUnused,
} from './leaderRevisions.js'
import { leadershipLost, leadershipWon } from './leadership.js'
import { nodeOfReplica } from './membership.js'
import { driveOracle } from './oracle.js'
import { askReads, readsConfirmed } from './reads.js'
import { beginInstall } from './snapshotInstall.js'
import { beginStream } from './snapshotSend.js'
import { awaitLeader, enterStage, markProgress } from './stages.js'
import { note, type Group, type Turn } from './state.js'
import { retryWaiting } from './writes.js'

/**
 * What comes out of raft: `collectReady` takes everything a group wants and acts on it, `settleGroup` does so
 * at the end of a turn, after handing in what clients asked for.
 */

/** Takes what the group has to say and acts on all of it but the write, which is the caller's. */
export function collectReady(turn: Turn, group: Group, diskFree: boolean): Ready {
  const ready = takeReady(group.raft!, diskFree)
  routeMessages(turn, group, ready.sendNow)
  if (ready.changed) leadershipChanged(turn, group)
  for (const read of ready.reads) readsConfirmed(turn, group, read)
  if (ready.fetch !== null) {
    turn.out.readLog.push({ group: group.id, ...ready.fetch })
  }
  for (const replica of ready.snapshots) beginStream(turn, group, replica)
  if (ready.install !== null) beginInstall(turn, group, ready.install)
  return ready
}

/** Everything a group does at the end of a turn except applying and writing. */
export function settleGroup(turn: Turn, group: Group): void {
  const { persisting } = turn.state
  if (group.raft === null) return
  markProgress(turn, group)
  proposeCalls(turn, group)
  driveStamping(turn, group)
  driveResolves(turn, group)
  driveOracle(turn, group)
  askReads(turn, group)
  if (hasReady(group.raft, false)) collectReady(turn, group, false)
  if (hasReady(group.raft, true)) persisting.pending.add(group)
  armGroup(turn, group)
}

function leadershipChanged(turn: Turn, group: Group): void {
  const { raft } = group
  if (raft === null) return
  const leads = raft.role === 'leader'
  if (group.ledTerm !== 0 && (!leads || raft.term !== group.ledTerm)) {
    group.ledTerm = 0
    leadershipLost(turn, group)
  }
  if (leads && group.ledTerm === 0) {
    group.ledTerm = raft.term
    leadershipWon(turn, group)
  }
  if (raft.leader !== group.knownLeader) {
    group.knownLeader = raft.leader
    turn.state.counters.leaderChanges++
    if (raft.leader !== 0) {
      note(turn, 'info', 'A leader is known', {
        group: group.id,
        term: raft.term,
        leader: (nodeOfReplica(group, raft.leader) ?? 0n).toString(16),
      })
    }
  }
  retryWaiting(turn, group)
}

/** One append for everything that clients asked of this group in this turn. */
function proposeCalls(turn: Turn, group: Group): void {
  if (group.raft === null) return
  lockWaitsOver(group)
  if (group.proposing.length === 0) return
  const calls = takeProposing(turn, group)
  if (calls.length === 0) return
  const items = calls.map(call => ({ kind: 'normal' as const, data: entryOf(group, call) }))
  const proposed = propose(group.raft, turn.wall, items)
  if (!proposed.ok) {
    for (const call of calls) refuseProposal(turn, group, call, proposed.refusal)
    return
  }
  turn.state.counters.proposals += calls.length
  turn.touched.add(group)
  const splits = items.filter(({ data }) => splitsShard(data)).length
  if (splits > 0) splitEntriesProposed(group, proposed.term, splits)
  calls.forEach((call, i) => {
    call.mayHaveEffect = true
    enterStage(call, 'replicate', turn.now)
    group.proposals.set(proposed.index + i, { term: proposed.term, call })
  })
}

/** What can be proposed now. Writes of a shard in oracle mode get their revisions first. */
function takeProposing(turn: Turn, group: Group): Call[] {
  const { proposing } = group
  group.proposing = []
  const ready: Call[] = []
  const first = proposing.some(({ request }) => request.kind === 'transaction') ? firstInLine(group) : []
  for (const call of proposing) {
    if (call.done) stampUnused(group, call)
    else if (call.request.kind === 'transaction' && !mayBeProposed(group, call.request, first))
      waitForLocks(turn, group, call)
    else if (group.revisions !== null && call.stamp === null && takesRevision(commandOf(call.request)))
      queueForRevision(turn, group, call)
    else ready.push(call)
  }
  return ready
}

function entryOf(group: Group, call: Call): Uint8Array {
  const { request } = call
  if (request.kind === 'transaction') return prepareForLog(group, request.command)
  const command = commandOf(request)
  // A shard's last revision says nothing of the others: this one is known to be handed out.
  if (request.kind === 'compact' && request.resolved === true) return stamped(command, request.revision)
  return call.stamp === null ? command : stamped(command, call.stamp)
}

function refuseProposal(turn: Turn, group: Group, call: Call, refusal: string): void {
  stampUnused(group, call)
  if (refusal === 'busy') failCall(turn, call, 'tooManyRequests')
  else awaitLeader(turn, group, call)
}
