import { META_GROUP, NO_REPLICA, type GroupId, type Replica } from '@kvorum/model'
import { createOperationCounts, createOverlay, storedGroups } from '@kvorum/machine'
import type { ShardDescriptor } from '@kvorum/placement'
import { createAlarmDuty } from './alarms.js'
import { createAuthFences } from './authFences.js'
import { createBeats } from './beats.js'
import { createCompactionDuty } from './autoCompaction.js'
import { createBalancing } from './balanceView.js'
import { createCalls } from './calls.js'
import { startRaft } from './startRaft.js'
import { createFlushing } from './flush.js'
import { loadGroup } from './groupMachine.js'
import { emptyGroup, failsClosed, takeDormant } from './groups.js'
import { considerAdmission, createPeer } from './identity.js'
import { createTransactionDuty } from './transactions/state.js'
import { createPersisting } from './persisting.js'
import { createReplicas } from './replicaRecords.js'
import { NO_KEYS } from './claims.js'
import { rosterApplied } from './roster.js'
import { mapApplied } from './routing.js'
import { NO_ROSTER } from './rosterView.js'
import { type Group, type NodeState, type Turn } from './state.js'
import { runTask } from './tasks.js'
import { createTimers } from './timers.js'
import { createShardLoads } from './shardLoads.js'
import type { Bootstrap, NodeInitial, NodeOptions } from './types.js'
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
    turnedAway: [],
    rosterToldAt: 0,
    groups: new Map(),
    replicas: createReplicas(),
    remotes: new Map(),
    dormant: new Map(),
    groupsInDoubt: initial.groupsInDoubt === true,
    search: 'none',
    shards: { version: 0, shards: bootstrap.shards },
    splits: [],
    early: new Map(),
    operating: new Map(),
    unplaced: [],
    overlay: createOverlay(),
    flushing: createFlushing(),
    persisting: createPersisting(),
    timers: createTimers(),
    configs: new Map(),
    beats: createBeats(),
    calls: createCalls(firstIdOf(initial.identity.boot)),
    tasks: new Map(),
    alarms: createAlarmDuty(),
    compactions: createCompactionDuty(),
    balancing: createBalancing(),
    loads: createShardLoads(),
    hashes: 0,
    hub: createHub(),
    authFences: createAuthFences(),
    transactions: createTransactionDuty(initial.identity.incarnation, firstIdOf(initial.identity.boot)),
    heldAnswers: [],
    streams: new Map(),
    standings: [],
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
  for (const recovered of initial.groups) state.dormant.set(recovered.group, recovered)
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
  const { joined, placed } = initial.bootstrap
  // Of shards that are placed a member has those that name it; what else it may have, the store is searched for.
  const everywhere = shard === null || placed !== true ? joined : null
  const replica = everywhere ?? own ?? NO_REPLICA
  if (replica === NO_REPLICA) return
  state.groups.set(id, emptyGroup(id, replica, shard?.range ?? null, takeDormant(state, id), state.options))
}

/** Part of the first turn: begins to load every group's state machine. */
export function loadGroups(turn: Turn, bootstrap: Bootstrap): void {
  considerAdmission(turn)
  for (const group of turn.state.groups.values()) {
    if (!failsClosed(turn, group)) load(turn, group, bootstrap)
  }
  if (bootstrap.mapChanged === true || bootstrap.placed === true) searchStore(turn, bootstrap)
}

function load(turn: Turn, group: Group, bootstrap: Bootstrap): void {
  runTask(turn, {
    group: group.id,
    view: null,
    step: loadGroup(turn.state, group, bootstrap),
    done: later => {
      groupLoaded(later, group)
      if ((group.machine.shard?.epoch ?? 1) > 1) searchStore(later, bootstrap)
    },
    failed: () => undefined,
    holdsLayers: false,
  })
}

/** A split may have been applied here that the map, as this node knows it, does not tell of yet. */
function searchStore(turn: Turn, bootstrap: Bootstrap): void {
  const { replica } = turn.state.groups.get(META_GROUP) ?? { replica: NO_REPLICA }
  if (replica === NO_REPLICA || turn.state.search !== 'none') return
  turn.state.search = 'running'
  runTask(turn, {
    group: META_GROUP,
    view: null,
    step: storedGroups(),
    done: (later, found) => {
      const { state } = later
      state.search = 'done'
      for (const id of found.filter(each => !state.groups.has(each))) {
        const group = emptyGroup(id, replica, NO_KEYS, takeDormant(state, id), state.options)
        state.groups.set(id, group)
        if (!failsClosed(later, group)) load(later, group, bootstrap)
      }
    },
    failed: () => undefined,
    holdsLayers: false,
  })
}

function groupLoaded(turn: Turn, group: Group): void {
  const { machine } = group
  const { state } = turn
  if (machine.kind === 'shard' && machine.shard === null && !machine.installing) {
    notHere(turn, group)
    return
  }
  if (machine.meta !== null) {
    mapApplied(state, machine.meta.shards)
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

/** On the map, and nothing of it in the store: see missingReplicas.ts. */
function notHere(turn: Turn, group: Group): void {
  const { state } = turn
  state.groups.delete(group.id)
  state.dormant.set(group.id, group.recovered!)
  state.unplaced.push(...group.waiting)
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
