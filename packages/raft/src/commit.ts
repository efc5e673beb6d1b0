import { assert } from '@kvorum/model'
import type { GroupConfig, Index, ReplicaId } from '@kvorum/model'
import { encodeConfig } from './config.js'
import { newestConfig } from './history.js'
import { appendOwn, bytesBetween, termAt } from './log.js'
import { isJoint, leaveJoint } from './membership.js'
import { send } from './outbox.js'
import { committedIndex } from './quorum.js'
import type { Raft } from './raft.js'
import { becomeFollower } from './roles.js'
import { replicate, trackMembers } from './replication.js'

/** How the commit index moves, and what a leader does when it has. */

export function commitTo(raft: Raft, index: Index): void {
  if (index <= raft.commit) return
  assert(index <= raft.lastIndex, () => `commit ${index} is beyond the log's end ${raft.lastIndex}`)
  if (raft.role === 'leader')
    raft.uncommittedBytes -= bytesBetween(raft, Math.max(raft.commit, raft.termStart - 1), index)
  raft.commit = index
  raft.dirty = true
}

/**
 * Paper 5.3, 5.4.2: committed is what a quorum holds, counting replicas only for entries of our own term. Our own
 * log counts as far as it is durable (thesis 10.2.1), so a quorum of the others may be ahead of our disk.
 */
export function advanceCommit(raft: Raft): void {
  if (raft.role !== 'leader') return
  const reached = committedIndex(raft.config, id =>
    id === raft.id ? raft.stable : (raft.progress.get(id)?.match ?? 0),
  )
  if (reached <= raft.commit || termAt(raft, reached) !== raft.term) return
  commitTo(raft, reached)
  followConfig(raft)
}

/** A leader's new configuration: in force now (thesis 4.1). */
export function appendConfig(raft: Raft, time: number, config: GroupConfig): void {
  appendOwn(raft, 'config', time, encodeConfig(config))
  trackMembers(raft)
  if (raft.transfer && !config.voters.includes(raft.transfer.to)) raft.transfer = null
}

/** Thesis 4.3: a committed joint configuration is left at once, also by a leader that found it in its log. */
function followConfig(raft: Raft): void {
  if (newestConfig(raft).index > raft.commit) return
  if (isJoint(raft.config)) {
    appendConfig(raft, raft.lastTime, leaveJoint(raft.config))
    // The new half alone may have everything already.
    advanceCommit(raft)
  } else if (!raft.config.voters.includes(raft.id)) stepAside(raft)
}

/** Thesis 4.2.2: a leader that is no longer a voter leads until that is committed, then makes room. */
function stepAside(raft: Raft): void {
  // The others should know that it is committed, and one of them should not wait for its timer.
  replicate(raft)
  const heirs = [...raft.progress.values()].filter(({ id }) => raft.config.voters.includes(id))
  const heir = heirs.find(({ match }) => match === raft.lastIndex)
  if (heir) send(raft, heir.id, { kind: 'timeoutNow' })
  becomeFollower(raft, raft.term, 0 as ReplicaId)
}
