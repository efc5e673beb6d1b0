import { hasPhysicalCompaction } from '@kvorum/machine'
import type { Group } from './state.js'

/** Nothing of the group is under way on this node: to its leader a tick is a heartbeat and nothing else. */
export function isIdle(group: Group): boolean {
  const { raft, machine, applying, reads } = group
  if (raft === null || raft.lastIndex !== raft.commit || raft.commit !== machine.applied) return false
  if (group.proposals.size > 0 || group.proposing.length > 0 || group.waiting.length > 0) return false
  if (reads.queued.length > 0 || reads.asked.size > 0 || reads.confirmed.length > 0) return false
  if (applying.hidden !== null || (group.oracle !== null && group.oracle.waiting.length > 0)) return false
  return isShardIdle(group)
}

function isShardIdle({ machine, revisions }: Group): boolean {
  const { shard } = machine
  if (shard === null) return true
  if (hasPhysicalCompaction(shard) || machine.revisions.transactions.prepared.length > 0) return false
  if (revisions === null) return true
  const { queued, asks, pending, resolves, drains, splitting } = revisions
  const waiting = [queued, asks, pending, resolves, drains]
  return splitting === 0 && waiting.every(list => list.length === 0)
}
