import { assert, NO_REPLICA } from '@kvorum/model'
import type { GroupConfig, Index, LogBase } from '@kvorum/model'
import { cacheReset } from './cache.js'
import { advanceCommit, commitTo } from './commit.js'
import { countOwnVote } from './election.js'
import { dropPrefix, shrinkCache, termAt } from './log.js'
import { sendIndex } from './outbox.js'
import type { Raft } from './raft.js'
import { becomeFollower, resetElectionTimer } from './roles.js'

/** What the owner's disk and state machine report, and what it may throw away. */

/** The one write that was out is durable. */
export function onPersisted(raft: Raft): void {
  const { writing } = raft
  assert(writing !== null, () => 'a write ended that was never begun')
  raft.writing = null
  raft.durable.term = writing.term
  raft.durable.vote = writing.vote
  raft.stable = Math.max(raft.stable, writing.last)
  shrinkCache(raft)
  countOwnVote(raft)
  advanceCommit(raft)
}

export function onApplied(raft: Raft, index: Index): void {
  // What was on its way when the state was lost or replaced is about another state machine.
  if (raft.lost || index <= raft.applied) return
  assert(index <= raft.handed, () => `applied ${index}, but only ${raft.handed} was handed out`)
  raft.applied = index
  shrinkCache(raft)
}

/**
 * A snapshot is in place of the state machine, durably. The log follows: it keeps what comes after the snapshot if
 * it has the snapshot's last entry, and is empty otherwise (paper figure 13, steps 6 and 7).
 */
export function onInstalled(raft: Raft, base: LogBase, config: GroupConfig): void {
  if (base.index < raft.base.index) return onStateLost(raft)
  // The store may have what the log never heard of, not even its term (the right half of a split).
  if (base.term > raft.term) becomeFollower(raft, base.term, NO_REPLICA)
  const fits = termAt(raft, base.index) === base.term
  // What is on disk after the base is ours only if the base itself was handed to the disk as ours.
  const keep = fits && base.index <= raft.submitted
  if (fits) {
    commitTo(raft, base.index)
    dropPrefix(raft, base.index)
  } else replaceLog(raft, base)
  if (!keep) {
    raft.submitted = base.index
    if (raft.writing) raft.writing.last = 0
  }
  raft.stable = keep ? Math.max(raft.stable, base.index) : base.index
  raft.reset = { base, keep: keep && (raft.reset?.keep ?? true) }
  raft.configs[0] = { index: base.index, config }
  raft.config = (raft.configs[raft.configs.length - 1] as Raft['configs'][0]).config
  raft.commit = Math.max(raft.commit, base.index)
  raft.applied = base.index
  raft.handed = base.index
  raft.lost = false
  raft.install = null
  raft.dirty = true
  resetElectionTimer(raft)
  if (raft.leader !== 0 && raft.role === 'follower')
    sendIndex(
      raft,
      raft.leader,
      { kind: 'appendReply', prevIndex: base.index, rejected: false, match: base.index },
      base.index,
    )
}

function replaceLog(raft: Raft, base: LogBase): void {
  assert(base.index > raft.commit || base.index > raft.lastIndex, () => {
    return `snapshot ${base.index} of term ${base.term} contradicts the committed log`
  })
  raft.base = base
  raft.lastIndex = base.index
  raft.runs.length = 0
  cacheReset(raft.cache, base.index + 1)
  raft.side = []
  raft.configs.length = 1
}

/** The state machine has nothing any more: back to where the log begins, until a snapshot comes. */
export function onStateLost(raft: Raft): void {
  raft.lost = true
  raft.applied = raft.base.index
  raft.handed = raft.base.index
  raft.fetch.applyWants = false
  raft.fetch.peekFrom = 0
  if (raft.role !== 'leader') resetElectionTimer(raft)
}

/**
 * Forgets the log up to and including `to`. The owner knows that a durable snapshot or flushed state covers it:
 * from here on that is the only place where it lives.
 */
export function purgeLog(raft: Raft, to: Index): void {
  assert(to <= raft.applied, () => `purge to ${to} beyond the applied ${raft.applied}`)
  if (to <= raft.base.index) return
  dropPrefix(raft, to)
  raft.reset = { base: raft.base, keep: raft.reset?.keep ?? true }
}
