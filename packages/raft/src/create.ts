import { assert } from '@kvorum/model'
import type { ReplicaId, Term } from '@kvorum/model'
import { createCache } from './cache.js'
import { checkInvariants } from './invariants.js'
import { seedRandom } from './random.js'
import type { Raft } from './raft.js'
import { createReads } from './reads.js'
import { resetElectionTimer } from './roles.js'
import type { RaftInitial, RaftOptions } from './types.js'

/**
 * A replica as a follower, from what its disk remembered. It throws an InvariantError when that contradicts
 * itself: a log that is shorter than what was committed has been damaged, and must not take part.
 */
export function createRaft(options: RaftOptions, initial: RaftInitial): Raft {
  checkOptions(options)
  checkInitial(initial)
  const { base, hardState, lastIndex, now, stateLost } = initial
  const applied = stateLost ? base.index : initial.applied
  const configs = [{ index: initial.configIndex, config: initial.config }, ...initial.configs]
  // Two lives of one replica draw different numbers even from the same seed.
  const random = seedRandom(options.seed, options.id, options.group, now, hardState.term, lastIndex)
  const raft: Raft = {
    options,
    group: options.group,
    id: options.id,
    role: 'follower',
    ...hardOf(initial),
    leader: NOBODY,
    // What was applied was committed, though the hard state may not have learnt it.
    commit: Math.max(hardState.commit, applied, base.index),
    applied,
    handed: applied,
    base,
    lastIndex,
    submitted: lastIndex,
    stable: lastIndex,
    lastTime: initial.lastTime,
    runs: [...initial.termRuns],
    cache: createCache(initial.entries, lastIndex),
    config: (configs[configs.length - 1] as (typeof configs)[0]).config,
    configs,
    mayVote: initial.mayVote,
    lost: stateLost,
    now,
    random,
    electionTimeout: 0,
    electionDue: 0,
    contactAt: now,
    votes: new Map(),
    progress: new Map(),
    termStart: 0,
    uncommittedBytes: 0,
    heartbeatDue: 0,
    transfer: null,
    reads: createReads({ random }),
    durable: { term: hardState.term, vote: hardState.vote },
    submittedHard: hardState,
    writing: null,
    reset: null,
    sendNow: [],
    sendLater: [],
    readStates: [],
    snapshots: [],
    install: null,
    dirty: false,
    told: { role: 'follower', term: hardState.term, leader: NOBODY },
    side: [],
    fetch: { out: false, applyWants: false, peekFrom: 0, turn: 0, heldUntil: 0 },
  }
  resetElectionTimer(raft)
  checkInvariants(raft)
  return raft
}

const NOBODY = 0 as ReplicaId

/**
 * A crash can leave entries, or an installed snapshot, of a later term than the hard state that was to follow them.
 * That term was entered and never spoken of, so there is no vote in it; it is written before we speak.
 */
function hardOf({ base, hardState, termRuns }: RaftInitial): { term: Term; vote: ReplicaId } {
  const newest = termRuns[termRuns.length - 1]?.term ?? base.term
  const { term, vote } = hardState
  return newest > term ? { term: newest, vote: NOBODY } : { term, vote }
}

function checkOptions(options: RaftOptions): void {
  const { electionTimeoutMs, heartbeatMs } = options
  assert(heartbeatMs > 0, () => 'heartbeatMs must be positive')
  assert(electionTimeoutMs > heartbeatMs, () => 'electionTimeoutMs must exceed heartbeatMs')
  assert(options.appendBytesMax > 0, () => 'appendBytesMax must be positive')
  assert(options.inflightBytesMax > 0 && options.inflightAppendsMax > 0, () => 'an append must be in flight')
}

function checkInitial(initial: RaftInitial): void {
  const { base, lastIndex, hardState, termRuns, entries, configs, configIndex, applied } = initial
  assert(base.index <= lastIndex, () => `the log ends at ${lastIndex}, before its base ${base.index}`)
  const known = Math.max(hardState.commit, initial.stateLost ? 0 : applied)
  assert(known <= lastIndex, () => `${known} was committed, but the log ends at ${lastIndex}`)
  assert(initial.stateLost || applied >= base.index, () => `the log begins after the applied ${applied}`)
  const runsFit = lastIndex === base.index ? termRuns.length === 0 : termRuns[0]?.first === base.index + 1
  assert(runsFit, () => 'the terms do not begin where the log does')
  const last = entries[entries.length - 1]
  assert(last === undefined || last.index === lastIndex, () => 'the entries do not end where the log does')
  assert(entries.length <= lastIndex - base.index, () => 'there are entries before the base')
  let before = configIndex
  for (const { index } of configs) {
    assert(index > before && index <= lastIndex, () => `configuration ${index} is out of order`)
    before = index
  }
}
