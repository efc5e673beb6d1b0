import type { Millis, ReplicaId } from '@kvorum/model'
import { startCampaign } from './election.js'
import { hasQuorum } from './quorum.js'
import type { Raft } from './raft.js'
import { expireReads } from './reads.js'
import { sendHeartbeats } from './replication.js'
import { becomeFollower, isPromotable } from './roles.js'

/** Time. Nothing happens by itself: the owner ticks a replica when its `nextDue` has come. */

/** The earliest `now` at which a tick would do something; Infinity when none would. */
export function nextDue(raft: Raft): Millis {
  const held = raft.fetch.heldUntil > raft.now ? raft.fetch.heldUntil : Infinity
  // A group of one has nobody to tell and nobody to lose.
  if (raft.role === 'leader') return Math.min(held, raft.progress.size > 0 ? raft.heartbeatDue : Infinity)
  const read = raft.reads.forwarded[0]?.due ?? Infinity
  return Math.min(held, read, isPromotable(raft) ? raft.electionDue : Infinity)
}

export function onTick(raft: Raft): void {
  if (raft.fetch.heldUntil !== 0 && raft.fetch.heldUntil <= raft.now) {
    raft.fetch.heldUntil = 0
    raft.dirty = true
  }
  expireReads(raft)
  if (raft.role === 'leader') leaderTick(raft)
  else if (raft.now >= raft.electionDue) startCampaign(raft)
}

function leaderTick(raft: Raft): void {
  if (raft.progress.size === 0 || raft.now < raft.heartbeatDue) return
  if (!hearsQuorum(raft)) return becomeFollower(raft, raft.term, 0 as ReplicaId)
  if (raft.transfer && raft.transfer.due <= raft.now) raft.transfer = null
  raft.heartbeatDue = raft.now + raft.options.heartbeatMs
  for (const progress of raft.progress.values()) progress.quiet = true
  // Snapshot offers are repeated from there.
  raft.dirty = true
  sendHeartbeats(raft)
}

/** Thesis 6.2: a leader that hears no quorum within an election timeout makes way; clients should look elsewhere. */
const hearsQuorum = (raft: Raft): boolean =>
  hasQuorum(raft.config, {
    has: id =>
      id === raft.id ||
      (raft.progress.get(id)?.heardAt ?? -Infinity) > raft.now - raft.options.electionTimeoutMs,
  })
