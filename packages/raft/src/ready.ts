import { assert } from '@kvorum/model'
import type { HardState } from '@kvorum/model'
import { cacheSlice } from './cache.js'
import { takeFetch } from './fetch.js'
import type { Raft } from './raft.js'
import { flushReads } from './reads.js'
import { replicate } from './replication.js'
import type { Message, Persist, Ready } from './types.js'

/** The output side: everything that some steps led to, once, in one value. */

/** Whether takeReady would have something to say. Cheap, and may be true once too often after a step. */
export function hasReady(raft: Raft, diskFree: boolean): boolean {
  return (
    raft.dirty ||
    raft.sendNow.length > 0 ||
    raft.readStates.length > 0 ||
    raft.snapshots.length > 0 ||
    raft.install !== null ||
    (diskFree && (raft.sendLater.length > 0 || needsWrite(raft))) ||
    isChanged(raft)
  )
}

/**
 * Takes all output. `diskFree` false: no write is handed out, because one is still under way; what depends on the
 * next one waits for a later call. With true, every earlier write must have ended in a `persisted` step.
 */
export function takeReady(raft: Raft, diskFree: boolean): Ready {
  let fetch: Ready['fetch'] = null
  if (raft.dirty) {
    raft.dirty = false
    flushReads(raft)
    if (raft.role === 'leader') replicate(raft)
    fetch = takeFetch(raft)
  }
  const persist = diskFree ? takePersist(raft) : null
  const later = diskFree ? raft.sendLater : NOTHING
  if (diskFree) raft.sendLater = []
  const changed = isChanged(raft)
  Object.assign(raft.told, { role: raft.role, term: raft.term, leader: raft.leader })
  const { sendNow, readStates: reads, snapshots, install } = raft
  raft.sendNow = []
  raft.readStates = []
  raft.snapshots = []
  raft.install = null
  return {
    // Without a write, everything that waited has become durable in the meantime.
    sendNow: persist || later.length === 0 ? sendNow : [...sendNow, ...later],
    persist,
    sendAfterPersist: persist ? later : NOTHING,
    reads,
    fetch,
    snapshots,
    install,
    changed,
  }
}

/**
 * What may leave at once, where that is all that takeReady would hand out; null where there is more. Of many groups
 * that heard a heartbeat most have only their answer to give.
 */
export function takeMessages(raft: Raft): readonly Message[] | null {
  if (raft.dirty || raft.readStates.length > 0 || raft.snapshots.length > 0 || raft.install !== null)
    return null
  if (raft.sendLater.length > 0 || needsWrite(raft) || isChanged(raft)) return null
  const { sendNow } = raft
  if (sendNow.length === 0) return NOTHING
  raft.sendNow = []
  return sendNow
}

const NOTHING: never[] = []

const isChanged = ({ told, role, term, leader }: Raft): boolean =>
  told.role !== role || told.term !== term || told.leader !== leader

/** A commit index alone is not worth a write: it is learnt again, and it goes along with the next one. */
const needsWrite = ({ submitted, lastIndex, reset, term, vote, submittedHard }: Raft): boolean =>
  submitted < lastIndex || reset !== null || term !== submittedHard.term || vote !== submittedHard.vote

function takePersist(raft: Raft): Persist | null {
  assert(raft.writing === null, () => 'two writes of one replica at a time')
  if (!needsWrite(raft)) return null
  const { term, vote, commit, reset, lastIndex } = raft
  const hard: HardState = { term, vote, commit }
  const same =
    term === raft.submittedHard.term &&
    vote === raft.submittedHard.vote &&
    commit === raft.submittedHard.commit
  const entries = cacheSlice(raft.cache, raft.submitted + 1, lastIndex, Infinity)
  assert(entries.length === lastIndex - raft.submitted, () => `entries after ${raft.submitted} are gone`)
  raft.writing = { term, vote, last: lastIndex, reset: reset !== null }
  raft.submitted = lastIndex
  raft.submittedHard = hard
  raft.reset = null
  return { hardState: same ? null : hard, entries, reset }
}
