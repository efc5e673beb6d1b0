import type { GroupId, NodeId } from '@kvorum/model'
import {
  hasReady,
  nextDue,
  propose,
  step,
  takeReady,
  transferLeadership,
  type Message,
  type RaftEvent,
  type Ready,
} from '@kvorum/raft'
import { failCall, type Call } from './calls.js'
import { commandOf } from './commands.js'
import { nextLeaseDue } from './leases.js'
import { leadershipLost, leadershipWon } from './leadership.js'
import { nodeOfReplica } from './membership.js'
import { askReads, readsConfirmed } from './reads.js'
import { beginInstall } from './snapshotInstall.js'
import { beginStream } from './snapshotSend.js'
import { note, sendTo, type Group, type Turn } from './state.js'
import { armTimer } from './timers.js'
import { retryWaiting } from './writes.js'

/**
 * Where the node meets raft: events go in through `stepGroup`, everything a group wants comes out through
 * `collectReady`, and `settleGroup` does both until the group has nothing more to say in this turn.
 */
export function stepGroup(turn: Turn, group: Group, event: RaftEvent): void {
  if (group.raft === null) return
  step(group.raft, event)
  turn.touched.add(group)
}

export function receiveRaft(turn: Turn, from: NodeId, groupId: GroupId, message: Message): void {
  const group = turn.state.groups.get(groupId)
  if (group === undefined || group.raft === null || message.to !== group.replica) return
  if (nodeOfReplica(group, message.from) !== null && nodeOfReplica(group, message.from) !== from) return
  stepGroup(turn, group, { kind: 'receive', now: turn.now, message })
}

/** Sends raft's messages to the nodes where their receivers live. */
export function routeMessages(turn: Turn, group: Group, messages: readonly Message[]): void {
  for (const message of messages) {
    const node = nodeOfReplica(group, message.to)
    if (node !== null) sendTo(turn, node, { kind: 'raft', group: group.id, message })
  }
}

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
  const { persisting, timers } = turn.state
  if (group.raft === null) return
  proposeCalls(turn, group)
  askReads(turn, group)
  if (hasReady(group.raft, false)) collectReady(turn, group, false)
  if (hasReady(group.raft, true)) persisting.pending.add(group)
  armTimer(timers, group.id, Math.min(nextDue(group.raft), nextLeaseDue(group)))
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
  if (group.proposing.length === 0 || group.raft === null) return
  const calls = group.proposing.filter(call => !call.done)
  group.proposing = []
  if (calls.length === 0) return
  const items = calls.map(call => ({ kind: 'normal' as const, data: commandOf(call.request) }))
  const proposed = propose(group.raft, turn.wall, items)
  if (!proposed.ok) {
    for (const call of calls) refuseProposal(turn, group, call, proposed.refusal)
    return
  }
  turn.state.counters.proposals += calls.length
  turn.touched.add(group)
  calls.forEach((call, i) => {
    call.mayHaveEffect = true
    group.proposals.set(proposed.index + i, { term: proposed.term, call })
  })
}

function refuseProposal(turn: Turn, group: Group, call: Call, refusal: string): void {
  if (refusal === 'busy') failCall(turn, call, 'tooManyRequests')
  else group.waiting.push(call)
}

/** Gives the group's leadership to the best other voter, if this node leads. Returns whether it does (still). */
export function handOver(turn: Turn, group: Group, preferred: NodeId | null = null): boolean {
  const { raft } = group
  if (raft === null || raft.role !== 'leader') return false
  if (raft.transfer !== null) return true
  const candidates = raft.config.voters
    .filter(voter => voter !== raft.id)
    .filter(voter => preferred === null || nodeOfReplica(group, voter) === preferred)
    .sort((a, b) => (raft.progress.get(b)?.match ?? 0) - (raft.progress.get(a)?.match ?? 0))
  for (const candidate of candidates) {
    if (transferLeadership(raft, turn.now, candidate) === null) {
      turn.touched.add(group)
      return true
    }
  }
  return candidates.length > 0
}
