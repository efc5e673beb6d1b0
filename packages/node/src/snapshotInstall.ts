import {
  ALL_KEYS,
  type GroupId,
  type KeyRange,
  rangeCovers,
  type LogBase,
  type NodeId,
  type ReplicaId,
  type SnapshotMeta,
  type StoreRow,
  toKeyString,
} from '@kvorum/model'
import {
  beginInstall as markInstalling,
  finishInstall as unmarkInstalling,
  overlayBytes,
  overlayPut,
} from '@kvorum/machine'
import { loadMetaKeys } from '@kvorum/placement'
import { encodeConfig } from '@kvorum/raft'
import { resetApplying } from './applying.js'
import { failCall } from './calls.js'
import { clearRows } from './clearRows.js'
import { stepGroup } from './consensus.js'
import { afterNextSync } from './flush.js'
import { forgetState, keepFoundings, loadGroup } from './groupMachine.js'
import { isTaken } from './claims.js'
import { nodeOfReplica } from './membership.js'
import { takeReads } from './reads.js'
import { rosterApplied } from './roster.js'
import { mapApplied } from './routing.js'
import { note, sendTo, takeId, type Group, type NodeState, type Turn } from './state.js'
import { dropTasks, runTask } from './tasks.js'
import type { Parcel } from './types.js'
import { restartWatchers, suspendWatchers } from './watch/watchers.js'

/**
 * Replacing a shard's state by a snapshot, in persisted steps: mark the shard as half-installed, clear its old
 * rows in pages, pull and write the new ones, take the mark away, sync, load. After a crash in the middle the
 * mark is still there, and raft asks for a snapshot again. Meanwhile the replica votes by its log and serves
 * nothing.
 */
export interface Installing {
  readonly from: NodeId
  /** Numbers this attempt; answers to an older one are ignored. */
  readonly pull: number
  phase: 'clearing' | 'pulling' | 'syncing'
  stream: number
  /** The chunk that is wanted next. */
  chunk: number
  meta: SnapshotMeta | null
  /** Of the meta group, whose state is replaced in one step: it is a few megabytes at most, and has no mark. */
  readonly rows: StoreRow[]
  /** A pull is out. */
  asked: boolean
  askedAt: number
  lastHeardAt: number
}

/** A pull without an answer is repeated: the sender may not have known this start of ours when it came. */
const REPEAT_MS = 1_000

/** No chunk for this long: the attempt is given up and raft asks again. */
const SILENCE_MS = 10_000

export function beginInstall(
  turn: Turn,
  group: Group,
  offer: { readonly from: ReplicaId; readonly base: LogBase },
): void {
  const from = nodeOfReplica(group, offer.from)
  if (from === null || group.installing !== null) return
  note(turn, 'info', 'A snapshot replaces this replica, which was behind the purged log', {
    group: group.id,
    index: offer.base.index,
  })
  group.installing = {
    from,
    pull: takeId(turn.state),
    phase: 'clearing',
    stream: 0,
    chunk: 0,
    meta: null,
    rows: [],
    asked: false,
    askedAt: 0,
    lastHeardAt: turn.now,
  }
  suspendWatchers(turn, group)
  dropTasks(turn, group.id)
  for (const call of takeReads(group)) turn.routing.push(call)
  const { installing } = group
  // The meta group's map may be newer than what its shards' logs have made of it here.
  if (group.machine.kind === 'meta') keepFoundings(turn.state)
  forgetState(group.machine)
  resetApplying(group.applying)
  stepGroup(turn, group, { kind: 'stateLost' })
  clearOldRows(turn, group, installing)
}

const NO_BYTES = new Uint8Array(0)

/** Of all keys that this replica has, or may have, rows of. */
function clearOldRows(turn: Turn, group: Group, installing: Installing): void {
  const { range, id } = group
  const config = group.raft?.configs[0]?.config
  if (range !== null) {
    // Without its rows the replica would not know after a restart whom its log speaks of, but where that log changes it.
    const known = config === undefined ? NO_BYTES : encodeConfig(config)
    for (const row of markInstalling({ group: id, range }, known, turn.state.options.checksum))
      overlayPut(turn.state.overlay, row)
  }
  // Rows are cleared as the store lists them: what earlier entries, or an earlier attempt, left in front of it
  // has to be in it first.
  afterNextSync(turn, later => {
    if (group.installing === installing) clearKeys(later, group, installing)
  })
}

/** The map says who has what the shard has no more: those who watch it here have to be told. */
const isMapped = ({ shards }: NodeState, id: GroupId, range: KeyRange): boolean =>
  shards.shards.every(shard => shard.group !== id || rangeCovers(range, shard.range))

/**
 * The snapshot says which keys it is of. They may be more than this replica had: then what lies there is cleared first,
 * and the chunk asked for again. And another replica of this node may still have some of them, when a split has been
 * applied here and not there, or there and not here: then the snapshot waits until one comes that fits.
 */
function fitsHere(turn: Turn, group: Group, installing: Installing, meta: SnapshotMeta): boolean {
  if (group.range === null) return true
  const range = meta.range ?? ALL_KEYS
  if (isTaken(turn.state, range, group.id) || !isMapped(turn.state, group.id, range)) {
    giveUp(turn, group)
    return false
  }
  if (rangeCovers(group.range, range)) return true
  group.range = range
  installing.phase = 'clearing'
  installing.asked = false
  clearOldRows(turn, group, installing)
  return false
}

function clearKeys(turn: Turn, group: Group, installing: Installing): void {
  const pull = (later: Turn): void => {
    installing.phase = 'pulling'
    driveInstall(later, group)
  }
  if (group.range === null) {
    pull(turn)
    return
  }
  clearRows(turn, {
    group: group.id,
    range: group.range,
    goesOn: () => group.installing === installing,
    cleared: later => {
      installing.lastHeardAt = later.now
    },
    done: pull,
  })
}

/** Asks for the next chunk when there is room for it, and gives up on a silent sender. */
export function driveInstall(turn: Turn, group: Group): void {
  const { installing } = group
  if (installing === null) return
  const due = !installing.asked || turn.now - installing.askedAt > REPEAT_MS
  if (installing.phase === 'pulling' && due) {
    if (overlayBytes(turn.state.overlay) > turn.state.options.limits.overlayBytesMax) return
    if (!installing.asked) installing.lastHeardAt = turn.now
    installing.asked = true
    installing.askedAt = turn.now
    sendTo(turn, installing.from, {
      kind: 'snapshotPull',
      group: group.id,
      pull: installing.pull,
      stream: installing.stream,
      chunk: installing.chunk,
    })
  }
  if (installing.phase === 'pulling' && turn.now - installing.lastHeardAt > SILENCE_MS) giveUp(turn, group)
}

/** Raft asks its leader for another snapshot; until then the shard stays half-installed. */
export function giveUp(turn: Turn, group: Group): void {
  group.installing = null
  stepGroup(turn, group, { kind: 'stateLost' })
}

export function receiveChunk(
  turn: Turn,
  from: NodeId,
  chunk: Extract<Parcel, { kind: 'snapshotChunk' }>,
): void {
  const group = [...turn.state.groups.values()].find(candidate => candidate.installing?.pull === chunk.pull)
  const installing = group?.installing
  if (group === undefined || installing === null || installing === undefined) return
  if (from !== installing.from || !installing.asked || installing.phase !== 'pulling') return
  if (chunk.meta === null) {
    giveUp(turn, group)
    return
  }
  if (chunk.chunk !== installing.chunk) return
  if (chunk.chunk === 0 && !fitsHere(turn, group, installing, chunk.meta)) return
  installing.asked = false
  installing.chunk++
  installing.stream = chunk.stream
  installing.meta = chunk.meta
  installing.lastHeardAt = turn.now
  if (group.machine.kind === 'meta') installing.rows.push(...chunk.rows)
  else for (const row of chunk.rows) overlayPut(turn.state.overlay, row)
  if (!chunk.done) {
    driveInstall(turn, group)
    return
  }
  installing.phase = 'syncing'
  if (group.machine.kind === 'meta') {
    replaceMeta(turn, group, installing, chunk.meta)
    return
  }
  for (const row of unmarkInstalling(group.id)) overlayPut(turn.state.overlay, row)
  afterNextSync(turn, later => loadInstalled(later, group, installing, chunk.meta!))
}

/**
 * A turn's rows reach the store in one batch, so a crash finds the old state or the new one. Nothing of the old one is
 * still in front of the store: it was synced before the first pull.
 */
function replaceMeta(turn: Turn, group: Group, installing: Installing, meta: SnapshotMeta): void {
  runTask(turn, {
    group: group.id,
    view: null,
    step: loadMetaKeys(),
    done: (later, keys) => {
      if (group.installing !== installing) return
      const stays = new Set(installing.rows.map(({ key }) => toKeyString(key)))
      for (const key of keys)
        if (!stays.has(toKeyString(key))) overlayPut(later.state.overlay, { key, value: null })
      for (const row of installing.rows) overlayPut(later.state.overlay, row)
      afterNextSync(later, synced => loadInstalled(synced, group, installing, meta))
    },
    failed: later => giveUp(later, group),
    holdsLayers: false,
  })
}

function loadInstalled(turn: Turn, group: Group, installing: Installing, meta: SnapshotMeta): void {
  if (group.installing !== installing) return
  runTask(turn, {
    group: group.id,
    view: null,
    step: loadGroup(turn.state, group, {
      nodes: [],
      metaConfig: meta.config,
      shards: [],
      joined: null,
    }),
    done: later => installed(later, group, meta),
    failed: later => giveUp(later, group),
    holdsLayers: false,
  })
}

function installed(turn: Turn, group: Group, meta: SnapshotMeta): void {
  const { machine } = group
  group.installing = null
  group.quarantined = null
  machine.installing = false
  machine.config ??= { index: meta.index, value: meta.config }
  group.durableApplied = machine.applied
  // All of it is in the store, though no batch of this group's may follow for long.
  turn.state.flushing.flushed.set(group.id, { applied: machine.applied, whole: true })
  turn.state.counters.snapshotsInstalled++
  if (machine.meta !== null) {
    mapApplied(turn.state, machine.meta.shards)
    rosterApplied(turn, machine.meta)
  }
  for (const [index, { call }] of group.proposals) {
    if (index > machine.applied) continue
    group.proposals.delete(index)
    failCall(turn, call, 'timeoutLeaderFailure', 'unknown')
  }
  stepGroup(turn, group, {
    kind: 'installed',
    base: { index: machine.applied, term: machine.appliedTerm },
    config: machine.config.value,
  })
  restartWatchers(turn, group)
  note(turn, 'info', 'The snapshot is installed', { group: group.id, index: machine.applied })
}
