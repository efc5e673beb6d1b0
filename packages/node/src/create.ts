import { META_GROUP, NO_REPLICA, type GroupId, type KeyRange, type Replica } from '@kvorum/model'
import { createOperationCounts, createOverlay } from '@kvorum/machine'
import type { ShardDescriptor } from '@kvorum/placement'
import { createAlarmDuty } from './alarms.js'
import { createApplying } from './applying.js'
import { createAuthFences } from './authFences.js'
import { createBeats } from './beats.js'
import { createCompactionDuty } from './autoCompaction.js'
import { createCalls } from './calls.js'
import { createChecking } from './checking.js'
import { startRaft } from './startRaft.js'
import { createCompacting } from './compaction.js'
import { createFlushing } from './flush.js'
import { createGroupMachine, loadGroup } from './groupMachine.js'
import { considerAdmission, createPeer } from './identity.js'
import { createLeaseClock } from './leases.js'
import { createStamping } from './leaderRevisions.js'
import { createLogBytes } from './logBytes.js'
import { createPersisting } from './persisting.js'
import { createReads } from './reads.js'
import { rosterApplied } from './roster.js'
import { NO_ROSTER } from './rosterView.js'
import { createProgressMarks } from './stages.js'
import { note, type Group, type NodeState, type Turn } from './state.js'
import { runTask } from './tasks.js'
import { createTimers } from './timers.js'
import type { Bootstrap, NodeInitial, NodeOptions, RecoveredGroup } from './types.js'
import { createHub, createShardHub } from './watch/hub.js'

/** A node as it begins, from what its disk remembered. Nothing has been read from the store yet. */
export function createNode(options: NodeOptions, initial: NodeInitial): NodeState {
  const { bootstrap } = initial
  const state: NodeState = {
    options,
    identity: initial.identity,
    admission: {
      admitted: initial.admitted,
      recording: false,
      welcomedBy: new Set(),
      others:
        bootstrap.joined === null
          ? bootstrap.metaConfig.replicas.map(({ node }) => node).filter(node => node !== options.self)
          : 'any',
    },
    peers: new Map(),
    peerRecords: new Map(initial.peers.map(record => [record.node, record])),
    roster: NO_ROSTER,
    rosterToldAt: 0,
    groups: new Map(),
    shards: { version: 0, shards: bootstrap.shards },
    overlay: createOverlay(),
    flushing: createFlushing(),
    persisting: createPersisting(),
    timers: createTimers(),
    beats: createBeats(),
    calls: createCalls(firstIdOf(initial.identity.boot)),
    tasks: new Map(),
    alarms: createAlarmDuty(),
    compactions: createCompactionDuty(),
    hashes: 0,
    hub: createHub(),
    authFences: createAuthFences(),
    heldAnswers: [],
    streams: new Map(),
    holds: [],
    nextId: firstIdOf(initial.identity.boot),
    highestTerm: 0,
    oracleTerm: 0,
    lastTurnAt: 0,
    graceUntil: 0,
    dutiesAt: 0,
    dutyShare: 0,
    draining: false,
    moving: [],
    metaCommandUntil: 0,
    unsettled: new Set(),
    counters: noCounts(),
    operations: createOperationCounts(),
    slowApplyNotedAt: -Infinity,
  }
  for (const { id, peerUrls } of bootstrap.nodes) {
    if (id === options.self) continue
    state.peers.set(id, createPeer(id, peerUrls, state.peerRecords.get(id) ?? null))
  }
  addGroup(state, META_GROUP, null, bootstrap.metaConfig.replicas, initial)
  for (const shard of bootstrap.shards) addGroup(state, shard.group, shard, shard.replicas, initial)
  return state
}

/**
 * Ids that travel are unique over all starts of a directory, so that a message that comes late, or twice, is never
 * taken for one of this life.
 */
const IDS_PER_START = 2 ** 32
const firstIdOf = (boot: number): number => (boot % 2 ** 20) * IDS_PER_START + 1

function addGroup(
  state: NodeState,
  id: GroupId,
  shard: ShardDescriptor | null,
  replicas: readonly Replica[],
  initial: NodeInitial,
): void {
  const own = replicas.find(({ node }) => node === state.options.self)?.id
  const replica = initial.bootstrap.joined ?? own ?? NO_REPLICA
  if (replica === NO_REPLICA) return
  const recovered = initial.groups.find(group => group.group === id) ?? neverWritten(id)
  state.groups.set(id, emptyGroup(id, replica, shard?.range ?? null, recovered, state.options))
}

const emptyGroup = (
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
  oracle: null,
  marks: createProgressMarks(),
  own: { guard: null, reclaim: null, compact: null },
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

/** Part of the first turn: begins to load every group's state machine. */
export function loadGroups(turn: Turn, bootstrap: Bootstrap): void {
  considerAdmission(turn)
  for (const group of turn.state.groups.values()) {
    const { corrupt } = group.recovered!
    if (corrupt !== null) {
      group.quarantined = corrupt
      note(turn, 'error', 'The log of a replica is damaged: it neither votes nor answers', {
        group: group.id,
        problem: corrupt,
      })
      continue
    }
    runTask(turn, {
      group: group.id,
      view: null,
      step: loadGroup(turn.state, group, bootstrap),
      done: later => groupLoaded(later, group),
      failed: () => undefined,
      holdsLayers: false,
    })
  }
}

function groupLoaded(turn: Turn, group: Group): void {
  const { machine } = group
  const { state } = turn
  if (machine.meta !== null) {
    state.shards = machine.meta.shards
    rosterApplied(turn, machine.meta)
  }
  if (machine.kind === 'shard')
    state.hub.shards.set(group.id, createShardHub([group.id], machine.shard?.revision ?? 0))
  state.flushing.flushed.set(group.id, {
    applied: machine.applied,
    whole: machine.shard === null || machine.shard.applying === 0,
  })
  group.durableApplied = group.recovered!.base.index
  startRaft(turn, group)
}

const noCounts = (): NodeState['counters'] => ({
  turns: 0,
  groupsSettled: 0,
  entriesApplied: 0,
  proposals: 0,
  reads: 0,
  readRounds: 0,
  forwarded: 0,
  persists: 0,
  flushes: 0,
  leaderChanges: 0,
  snapshotsSent: 0,
  snapshotsInstalled: 0,
  leasesExpired: 0,
  watchEvents: 0,
  stalls: 0,
  slowApplies: 0,
})
