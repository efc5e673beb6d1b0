import { assert } from '@kvorum/model'
import { cacheCount } from './cache.js'
import { newestConfig } from './history.js'
import type { Progress } from './progress.js'
import type { Raft } from './raft.js'

/** What must hold between any two steps. A broken one stops the replica: going on would spread it. */
export function checkInvariants(raft: Raft): void {
  checkPositions(raft)
  assert(newestConfig(raft).config === raft.config, () => 'the configuration in force is not the newest')
  const { cache } = raft
  assert(
    cache.first + cacheCount(cache) - 1 === raft.lastIndex,
    () => 'the cache does not end where the log does',
  )
  assert(cache.first <= raft.submitted + 1, () => `entries after ${raft.submitted} left the cache unwritten`)
  if (raft.role !== 'leader') return
  assert(raft.durable.term === raft.term, () => `leads term ${raft.term} before it is durable`)
  assert(raft.leader === raft.id, () => `leads, but knows ${raft.leader} as leader`)
  assert(raft.uncommittedBytes >= 0, () => `${raft.uncommittedBytes} uncommitted bytes`)
  for (const progress of raft.progress.values()) checkProgress(raft, progress)
}

function checkPositions(raft: Raft): void {
  const { base, applied, handed, commit, stable, submitted, lastIndex } = raft
  assert(
    base.index <= applied &&
      applied <= handed &&
      handed <= commit &&
      handed <= stable &&
      commit <= lastIndex &&
      stable <= submitted &&
      submitted <= lastIndex,
    () =>
      `positions out of order: base ${base.index} applied ${applied} handed ${handed} commit ${commit} ` +
      `stable ${stable} submitted ${submitted} last ${lastIndex}`,
  )
}

function checkProgress(raft: Raft, progress: Progress): void {
  const { id, match, next, inflight, inflightBytes } = progress
  assert(match < next && next <= raft.lastIndex + 1, () => `follower ${id}: match ${match}, next ${next}`)
  assert(
    inflightBytes >= 0 && (inflight.length > 0 || inflightBytes === 0),
    () => `follower ${id}: ${inflightBytes} bytes in ${inflight.length} appends`,
  )
}
