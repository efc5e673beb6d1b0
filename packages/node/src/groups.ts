import { NO_REPLICA, type GroupId, type KeyRange } from '@kvorum/model'
import { createApplying } from './applying.js'
import { createChecking } from './checking.js'
import { createCompacting } from './compaction.js'
import { createDemand } from './demand.js'
import { createGroupMachine } from './groupMachine.js'
import { createLeaseClock } from './leases.js'
import { createStamping } from './leaderRevisions.js'
import { createFencing } from './transactions/fencing.js'
import { createOrphans } from './transactions/orphanState.js'
import { createLogBytes } from './logBytes.js'
import { createReads } from './reads.js'
import { createProgressMarks } from './stages.js'
import { note, type Group, type NodeState, type Turn } from './state.js'
import type { NodeOptions, RecoveredGroup } from './types.js'

/** A group of this node, before anything has been loaded of it. */
export const emptyGroup = (
  id: GroupId,
  replica: Group['replica'],
  range: KeyRange | null,
  recovered: RecoveredGroup,
  { limits: { catchUpBytes }, maintenance }: NodeOptions,
): Group => ({
  id,
  replica,
  range,
  recovered,
  raft: null,
  machine: createGroupMachine(range === null ? 'meta' : 'shard'),
  applying: createApplying(),
  reads: createReads(),
  compacting: createCompacting(),
  proposals: new Map(),
  proposing: [],
  waiting: [],
  leases: range === null ? null : createLeaseClock(),
  revisions: null,
  stamping: createStamping(),
  follows: [],
  lockWaits: [],
  orphans: createOrphans(),
  demand: createDemand(),
  fencing: createFencing(),
  oracle: null,
  marks: createProgressMarks(),
  own: { guard: null, reclaim: null, compact: null, endDense: null, ceiling: null },
  checking: createChecking(maintenance),
  installing: null,
  quarantined: null,
  durableApplied: 0,
  logBytes: createLogBytes(recovered.lastIndex, catchUpBytes),
  ledTerm: 0,
  knownLeader: NO_REPLICA,
  heard: new Map(),
  membersTerm: 0,
  membersAskedUntil: 0,
  electionOpened: false,
})

const neverWritten = (group: GroupId): RecoveredGroup => ({
  group,
  hardState: { term: 0, vote: NO_REPLICA, commit: 0 },
  base: { index: 0, term: 0 },
  termRuns: [],
  lastIndex: 0,
  configs: [],
  entries: [],
  lastTime: 0,
  corrupt: null,
})

/**
 * What the log remembers of a group that begins here. Where records are lost that may have been all that a group had,
 * one that seems new may not be.
 */
export function takeDormant(state: NodeState, id: GroupId): RecoveredGroup {
  const known = state.dormant.get(id)
  state.dormant.delete(id)
  if (known !== undefined) return known
  const corrupt = state.groupsInDoubt ? 'its records may be among those that the damaged log lost' : null
  return { ...neverWritten(id), corrupt }
}

/** Damage that cannot be told from lost votes and entries: the replica neither votes nor answers. */
export function failsClosed(turn: Turn, group: Group): boolean {
  const problem = group.recovered?.corrupt ?? null
  if (problem === null) return false
  group.quarantined = problem
  note(turn, 'error', 'The log of a replica is damaged: it neither votes nor answers', {
    group: group.id,
    problem,
  })
  return true
}
