import { META_GROUP, NO_REPLICA, type GroupId, type StoreAnswer, type StoreNeed } from '@kvorum/model'
import { overlayPut, readRetired, retiredKey, retiredRow, unmarkRetired } from '@kvorum/machine'
import type { MetaState, PlacedShard } from '@kvorum/placement'
import { isMember, step } from '@kvorum/raft'
import { resetApplying } from './applying.js'
import { failCall, type Call } from './calls.js'
import { NO_KEYS } from './claims.js'
import { clearRows } from './clearRows.js'
import { stepGroup } from './consensus.js'
import { afterNextSync } from './flush.js'
import { forgetState } from './groupMachine.js'
import { leadershipLost } from './leadership.js'
import { metaOf } from './membership.js'
import type { Retired } from './replicaRecords.js'
import { takeReads } from './reads.js'
import { note, type Group, type NodeState, type Turn } from './state.js'
import { dropTasks, runTask } from './tasks.js'
import { leaveWatchers, suspendWatchers } from './watch/watchers.js'

/**
 * Which shards this node has a replica of, where the meta group's log places them.
 *
 *     wanted here --> an empty replica that waits for a snapshot (missingReplicas.ts) --> the leader lets it in
 *     wanted elsewhere, and the group is as wanted --> marked, its rows cleared in pages, gone
 *
 * What a replica that has gone promised stays in the log (its term, its vote, its entries): when it is wanted here again it
 * goes on from there, without a state.
 */
/** Done from time to time. */
export function tendReplicas(turn: Turn): void {
  const { state } = turn
  const meta = metaOf(state)
  if (meta === null || meta.placement.shards.length === 0) return
  if (state.replicas.marks !== 'read') {
    readMarks(turn, meta)
    return
  }
  for (const placed of meta.placement.shards) {
    const group = state.groups.get(placed.group)
    const wanted = placed.nodes.includes(state.options.self)
    if (group === undefined && wanted) bring(turn, placed.group)
    else if (group !== undefined && !wanted && mayRetire(state, group, placed)) retire(turn, group)
  }
}

/**
 * The group has let it go, for good: it is as wanted, without this replica. One that was let in again since has heard
 * so from its log before anybody counted it.
 */
function mayRetire({ options }: NodeState, group: Group, placed: PlacedShard): boolean {
  const { raft } = group
  // What a newcomer opened before it had the map: nobody can count on it.
  if (isEmpty(group)) return true
  if (!placed.settled || raft === null || placed.nodes.includes(options.self)) return false
  const last = raft.configs.at(-1)
  return last === undefined || last.index <= placed.settledAt || !isMember(last.config, group.replica)
}

/** What went from here is wanted here again. One of an earlier life is opened like any that is missing. */
function bring(turn: Turn, id: GroupId): void {
  const { state } = turn
  const before = state.replicas.retired.get(id)
  if (before === undefined || before.phase === 'clearing') return
  state.replicas.retired.delete(id)
  overlayPut(state.overlay, unmarkRetired(id))
  const { group } = before
  if (group === null) return
  note(turn, 'info', 'A replica of a shard is wanted here again', { group: id })
  group.range = NO_KEYS
  group.quarantined = null
  state.groups.set(id, group)
  stepGroup(turn, group, { kind: 'stateLost' })
  if (state.admission.admitted) stepGroup(turn, group, { kind: 'admitted' })
}

/** Nothing has come here, and nothing is on its way. */
const isEmpty = ({ machine, installing, raft }: Group): boolean =>
  machine.installing && installing === null && raft !== null && raft.lastIndex === 0

function retire(turn: Turn, group: Group): void {
  const { state } = turn
  const { id } = group
  // A split may have made it smaller since it came here.
  const range = group.machine.shard?.range ?? group.range
  if (id === META_GROUP || range === null) return
  note(turn, 'info', 'A replica of a shard has moved away: its rows are cleared', { group: id })
  suspendWatchers(turn, group)
  leaveWatchers(turn, group)
  dropTasks(turn, id)
  state.groups.delete(id)
  state.unsettled.delete(group)
  turn.touched.delete(group)
  state.flushing.dirty.delete(group)
  state.flushing.flushed.delete(id)
  state.timers.armed.delete(id)
  state.beats.groups.delete(group)
  if (group.ledTerm !== 0) leadershipLost(turn, group)
  group.ledTerm = 0
  group.knownLeader = NO_REPLICA
  // A write that is under way may still end: nothing is applied by it.
  if (group.raft !== null) step(group.raft, { kind: 'stateLost' })
  const wasEmpty = isEmpty(group)
  group.installing = null
  forgetState(group.machine)
  resetApplying(group.applying)
  // A newcomer begins with every shard that there is: of those that are not for it nothing has come.
  const retired: Retired = { group, range, phase: wasEmpty ? 'gone' : 'clearing' }
  state.replicas.retired.set(id, retired)
  sendElsewhere(turn, group)
  if (wasEmpty) return
  overlayPut(state.overlay, retiredRow(id, { phase: 'clearing', range }, state.options.checksum))
  afterNextSync(turn, later => clear(later, id, retired))
}

/** Whoever asked for something goes where the shard is now; of what was proposed nobody here will hear. */
function sendElsewhere(turn: Turn, group: Group): void {
  const { proposals } = group
  for (const { call } of proposals.values()) failCall(turn, call, 'timeoutLeaderFailure', 'unknown')
  proposals.clear()
  const calls: Call[] = [...group.proposing, ...group.waiting, ...group.follows, ...takeReads(group)]
  group.proposing = []
  group.waiting = []
  group.follows = []
  for (const call of calls) if (!call.done) turn.routing.push(call)
}

function clear(turn: Turn, group: GroupId, retired: Retired): void {
  clearRows(turn, {
    group,
    range: retired.range,
    goesOn: () => turn.state.replicas.retired.get(group) === retired,
    cleared: () => undefined,
    done: later => {
      retired.phase = 'gone'
      const mark = { phase: 'gone', range: retired.range } as const
      overlayPut(later.state.overlay, retiredRow(group, mark, later.state.options.checksum))
    },
  })
}

/** What went in an earlier life, and may not have been cleared to the end. */
function readMarks(turn: Turn, meta: MetaState): void {
  const { state } = turn
  const { replicas } = state
  if (replicas.marks === 'reading') return
  replicas.marks = 'reading'
  const groups = meta.shards.shards.map(({ group }) => group).filter(group => !state.groups.has(group))
  runTask(turn, {
    group: META_GROUP,
    view: null,
    step: readRows(groups),
    done: (later, rows) => {
      replicas.marks = 'read'
      groups.forEach((group, at) => {
        const row = rows[at] ?? null
        if (row === null || state.groups.has(group)) return
        const { phase, range } = readRetired(group, row, state.options.checksum)
        const retired: Retired = { group: null, range, phase }
        replicas.retired.set(group, retired)
        if (phase === 'clearing') clear(later, group, retired)
      })
    },
    failed: () => {
      replicas.marks = 'unread'
    },
    holdsLayers: false,
  })
}

function* readRows(
  groups: readonly GroupId[],
): Generator<StoreNeed, readonly (Uint8Array | null)[], StoreAnswer> {
  const { values } = yield { gets: groups.map(retiredKey), scans: [] }
  return values
}
