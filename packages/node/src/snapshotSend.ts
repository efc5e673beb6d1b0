import {
  ALL_KEYS,
  isAllKeys,
  type NodeId,
  type ReplicaId,
  type SnapshotMeta,
  type StoreAnswer,
  type StoreNeed,
  type StoreRow,
  type StoreScan,
} from '@kvorum/model'
import { inSnapshot, loadMachine, snapshotScans } from '@kvorum/machine'
import { decodeMetaRow, META_ROW, META_ROWS } from '@kvorum/placement'
import { decodeConfig } from '@kvorum/raft'
import { isUnchecked } from './checking.js'
import { stepGroup } from './consensus.js'
import { nodeOfReplica } from './membership.js'
import { note, sendTo, takeId, type Group, type Turn } from './state.js'
import { runTask } from './tasks.js'
import type { Parcel } from './types.js'

/**
 * Sending a shard's state. Raft offers, the follower pulls: every pull is answered with one chunk, so the
 * receiver sets the pace. The rows come from a view of the store taken at a batch after which the shard was
 * whole; its applied index lies in the same rows. The leader goes on appending meanwhile.
 */
export interface SnapshotStream {
  readonly id: number
  readonly group: Group
  readonly replica: ReplicaId
  readonly node: NodeId
  /** Null until the first pull could be served. */
  source: Source | null
  /** All of it was sent, and raft told. What was sent last is still here for whoever asks for it again. */
  sent: boolean
  /** A pull that waits for a moment at which the store holds a whole state. */
  waiting: { readonly pull: number } | null
  busy: boolean
  lastPullAt: number
}

interface Source {
  readonly view: number
  readonly meta: SnapshotMeta
  readonly scans: StoreScan[]
  readonly keeps: (row: StoreRow) => boolean
  /** The chunk sent last, for a pull whose answer was lost; null before the first. */
  last: { readonly chunk: number; readonly rows: readonly StoreRow[]; readonly done: boolean } | null
}

/** A follower that does not pull for this long is given up; raft offers again. */
const IDLE_MS = 10_000

export function beginStream(turn: Turn, group: Group, replica: ReplicaId): void {
  const node = nodeOfReplica(group, replica)
  if (node === null) return
  if (isUnchecked(group)) {
    stepGroup(turn, group, { kind: 'snapshotSent', to: replica, ok: false })
    return
  }
  for (const stream of turn.state.streams.values()) {
    if (stream.group === group && stream.replica === replica) closeStream(turn, stream)
  }
  const id = takeId(turn.state)
  turn.state.streams.set(id, {
    id,
    group,
    replica,
    node,
    source: null,
    sent: false,
    waiting: null,
    busy: false,
    lastPullAt: turn.now,
  })
  note(turn, 'info', 'A follower is behind the purged log and gets a snapshot', {
    group: group.id,
    member: node.toString(16),
  })
}

/** `streamId` 0 asks for the stream that was offered last. */
export function receivePull(
  turn: Turn,
  from: NodeId,
  group: Group,
  { pull, stream: streamId, chunk }: Extract<Parcel, { kind: 'snapshotPull' }>,
): void {
  const stream = [...turn.state.streams.values()].find(
    candidate =>
      candidate.group === group && candidate.node === from && (streamId === 0 || candidate.id === streamId),
  )
  if (stream === undefined || !fits(stream, streamId, chunk)) {
    sendTo(turn, from, {
      kind: 'snapshotChunk',
      pull,
      stream: streamId,
      chunk,
      meta: null,
      rows: [],
      done: false,
    })
    return
  }
  stream.lastPullAt = turn.now
  if (stream.busy) return
  if (stream.source === null) {
    stream.waiting = { pull }
    openSources(turn)
  } else {
    answerPull(turn, stream, stream.source, pull, chunk)
  }
}

/** A stream is opened once; its first chunk may be asked for again by whoever has not heard its number. */
function fits({ source }: SnapshotStream, streamId: number, chunk: number): boolean {
  if (streamId !== 0) return source !== null
  return source === null || (chunk === 0 && (source.last === null || source.last.chunk === 0))
}

function answerPull(turn: Turn, stream: SnapshotStream, source: Source, pull: number, chunk: number): void {
  const next = source.last === null ? 0 : source.last.chunk + 1
  if (chunk === next && !stream.sent) readAndSend(turn, stream, source, pull)
  else if (source.last !== null && chunk === source.last.chunk) sendChunk(turn, stream, source, pull)
}

/** Opens the views of streams that wait, if the store holds a whole state right now. */
export function openSources(turn: Turn): void {
  const { state } = turn
  if (state.flushing.out !== null || state.flushing.queue.length > 0) return
  for (const stream of state.streams.values()) {
    const { waiting, group } = stream
    if (waiting === null || state.flushing.flushed.get(group.id)?.whole !== true) continue
    stream.waiting = null
    stream.busy = true
    const view = takeId(state)
    runTask(turn, {
      group: group.id,
      view,
      keepsView: true,
      step: openSource(turn.state.options.checksum, group, view),
      done: (later, source) => {
        stream.busy = false
        if (!later.state.streams.has(stream.id) || source === null) {
          later.out.closeViews.push(view)
          if (later.state.streams.has(stream.id)) failStream(later, stream)
          return
        }
        stream.source = source
        readAndSend(later, stream, source, waiting.pull)
      },
      failed: later => failStream(later, stream),
      holdsLayers: false,
    })
  }
}

function* openSource(
  checksum: Turn['state']['options']['checksum'],
  group: Group,
  view: number,
): Generator<StoreNeed, Source | null, StoreAnswer> {
  if (group.machine.kind === 'meta') {
    const { values } = yield { gets: [META_ROW], scans: [] }
    const row = values[0] ?? null
    if (row === null) return null
    const { applied, appliedTerm, config } = decodeMetaRow(row)
    const meta = {
      group: group.id,
      index: applied,
      term: appliedTerm,
      config: config.length > 0 ? decodeConfig(config) : group.machine.config!.value,
    }
    return { view, meta, scans: [META_SCAN], keeps: () => true, last: null }
  }
  const range = group.range ?? ALL_KEYS
  const machine = yield* loadMachine({ group: group.id, range, checksum })
  if (machine === null || machine.installing) return null
  const meta = {
    group: group.id,
    index: machine.applied,
    term: machine.appliedTerm,
    config: machine.config.length > 0 ? decodeConfig(machine.config) : group.machine.config!.value,
    ...(isAllKeys(machine.range) ? {} : { range: machine.range }),
  }
  return { view, meta, scans: snapshotScans(machine), keeps: row => inSnapshot(machine, row.key), last: null }
}

/** How many rows it gives at a time is said where it is used. */
const META_SCAN: StoreScan = { ...META_ROWS, reverse: false, values: true, rowsMax: 1, bytesMax: 1 }

function readAndSend(turn: Turn, stream: SnapshotStream, source: Source, pull: number): void {
  const { limits } = turn.state.options
  stream.busy = true
  runTask(turn, {
    group: stream.group.id,
    view: source.view,
    keepsView: true,
    step: readChunk(source, limits.pageRowsMax, limits.snapshotChunkBytes),
    done: (later, rows) => {
      stream.busy = false
      if (!later.state.streams.has(stream.id)) return
      const chunk = source.last === null ? 0 : source.last.chunk + 1
      source.last = { chunk, rows, done: source.scans.length === 0 }
      sendChunk(later, stream, source, pull)
    },
    failed: later => failStream(later, stream),
    holdsLayers: false,
  })
}

function sendChunk(turn: Turn, stream: SnapshotStream, source: Source, pull: number): void {
  const { last, meta } = source
  if (last === null) return
  sendTo(turn, stream.node, { kind: 'snapshotChunk', pull, stream: stream.id, meta, ...last })
  if (!last.done || stream.sent) return
  stream.sent = true
  turn.out.closeViews.push(source.view)
  turn.state.counters.snapshotsSent++
  stepGroup(turn, stream.group, { kind: 'snapshotSent', to: stream.replica, ok: true })
}

/** The next rows of the stream; takes finished scans off the list. */
function* readChunk(
  source: Source,
  rowsMax: number,
  bytesMax: number,
): Generator<StoreNeed, StoreRow[], StoreAnswer> {
  const rows: StoreRow[] = []
  let bytes = 0
  while (source.scans.length > 0 && bytes < bytesMax) {
    const scan = { ...source.scans[0]!, rowsMax, bytesMax: bytesMax - bytes }
    const { pages } = yield { gets: [], scans: [scan] }
    const page = pages[0]!
    for (const row of page.rows) {
      bytes += row.key.length + row.value.length
      if (source.keeps(row)) rows.push(row)
    }
    const last = page.rows.at(-1)
    if (page.more && last !== undefined) {
      source.scans[0] = { ...source.scans[0]!, gte: Buffer.concat([last.key, Buffer.of(0)]) }
    } else {
      source.scans.shift()
    }
  }
  return rows
}

function failStream(turn: Turn, stream: SnapshotStream): void {
  closeStream(turn, stream)
  stepGroup(turn, stream.group, { kind: 'snapshotSent', to: stream.replica, ok: false })
}

function closeStream(turn: Turn, stream: SnapshotStream): void {
  turn.state.streams.delete(stream.id)
  if (stream.source !== null && !stream.sent) turn.out.closeViews.push(stream.source.view)
}

export function expireStreams(turn: Turn): void {
  for (const stream of [...turn.state.streams.values()]) {
    if (stream.busy || turn.now - stream.lastPullAt <= IDLE_MS) continue
    if (stream.sent) closeStream(turn, stream)
    else failStream(turn, stream)
  }
}
