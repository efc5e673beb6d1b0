import { assert, ENTRY_OVERHEAD_BYTES } from '@kvorum/model'
import type { Millis } from '@kvorum/model'
import { appendConfig } from './commit.js'
import { newestConfig } from './history.js'
import { appendOwn } from './log.js'
import { enterJoint, isJoint } from './membership.js'
import type { Raft } from './raft.js'
import { isReadyToVote } from './transfer.js'
import type { ConfigChange, Proposed, Refusal } from './types.js'

/** What a client's command is to raft: a kind and bytes that are never looked into. */
export interface Proposal {
  readonly kind: 'normal'
  readonly data: Uint8Array
}

const refuse = (refusal: Refusal): Proposed => ({ ok: false, refusal })

function refusal(raft: Raft): Refusal | null {
  if (raft.role !== 'leader') return raft.leader === 0 ? 'noLeader' : 'notLeader'
  return raft.transfer ? 'transferring' : null
}

/** Appends `items`, all or none, at `time` of the wall clock. The answer's index is the first one's. */
export function propose(raft: Raft, time: Millis, items: readonly Proposal[]): Proposed {
  assert(items.length > 0, () => 'nothing proposed')
  const refused = refusal(raft)
  if (refused) return refuse(refused)
  // Without a state machine there is nobody to answer. The group can still be changed: that may be the way out.
  if (raft.lost) return refuse('notReady')
  let bytes = 0
  for (const item of items) bytes += item.data.length + ENTRY_OVERHEAD_BYTES
  // However large, one batch fits when nothing else is pending; otherwise it could never be written.
  if (raft.uncommittedBytes > 0 && raft.uncommittedBytes + bytes > raft.options.uncommittedBytesMax)
    return refuse('busy')
  const index = raft.lastIndex + 1
  for (const item of items) appendOwn(raft, item.kind, time, item.data)
  return { ok: true, index, term: raft.term }
}

/**
 * Begins a change of the configuration. One at a time, and only when this term has committed something: otherwise
 * two leaders might change from different starting points (Ongaro, raft-dev, 2015).
 */
export function proposeConfig(raft: Raft, time: Millis, change: ConfigChange): Proposed {
  const refused = refusal(raft)
  if (refused) return refuse(refused)
  if (raft.commit < raft.termStart) return refuse('notReady')
  if (isJoint(raft.config) || newestConfig(raft).index > raft.commit) return refuse('pendingChange')
  const joint = enterJoint(raft.config, change)
  if (!joint) return refuse('badTarget')
  // A voter that is far behind would keep the group from committing (thesis 4.2.1), one without state worse.
  const ready = change.promote.every(id => {
    const progress = raft.progress.get(id)
    return progress !== undefined && isReadyToVote(raft, progress)
  })
  if (!ready) return refuse('notReady')
  const index = raft.lastIndex + 1
  appendConfig(raft, time, joint)
  return { ok: true, index, term: raft.term }
}
