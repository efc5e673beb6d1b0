import { measureShard, type Machine } from '@kvorum/machine'
import type { Epoch, GroupId } from '@kvorum/model'
import { middleOf } from '@kvorum/placement'
import { leads } from './membership.js'
import { takeReadView } from './readView.js'
import type { Group, Turn } from './state.js'
import { runTask } from './tasks.js'

/**
 * How large the shards that this node leads really are, and where their middle is. What the quota counts of a shard is
 * exact while it is whole; a split gives each half a half of it, since nobody has read the keys. So whoever leads a
 * shard that may be too large reads it: in the background, page by page, one shard at a time.
 */
export interface Measuring {
  busy: boolean
  readonly measured: Map<GroupId, Measurement>
}

interface Measurement {
  readonly epoch: Epoch
  readonly bytes: number
  /** What the shard counted when it was read: what has come since is added. */
  readonly counted: number
  readonly middle: Uint8Array | null
}

/** Half of a shard that was not too large may have all of it; so may be too large what counts half of it. */
const DOUBTFUL_SHARE = 0.5
/** What cannot be split (it is one key), or has not been, is read again when it has grown by this. */
const READ_AGAIN_FACTOR = 1.25
/** The smaller half gets this share of the bytes at least: small keys beside a huge one are not worth a shard. */
const LEAST_SHARE_OF_BYTES = 1 / 16

/** As far as is known. The middle of one that is too large, unless it has grown too much since it was read. */
export function bytesOf(
  { measured }: Measuring,
  { group, epoch, logicalBytes }: Machine,
  bytesMax: number,
): { readonly bytes: number; readonly middle: Uint8Array | null } {
  const known = measured.get(group)
  if (known?.epoch !== epoch) return { bytes: logicalBytes, middle: null }
  const bytes = Math.max(0, known.bytes + logicalBytes - known.counted)
  return { bytes, middle: bytes > bytesMax && !isOutdated(known, bytes, bytesMax) ? known.middle : null }
}

const isOutdated = (known: Measurement, bytes: number, bytesMax: number): boolean =>
  known.bytes <= bytesMax || bytes > known.bytes * READ_AGAIN_FACTOR

export function driveMeasuring(turn: Turn, bytesMax: number): void {
  const { state } = turn
  const { measuring } = state.loads
  for (const id of measuring.measured.keys()) {
    const group = state.groups.get(id)
    if (group === undefined || !leads(group)) measuring.measured.delete(id)
  }
  if (measuring.busy) return
  for (const group of state.groups.values()) {
    const { shard, installing } = group.machine
    if (shard === null || installing || group.quarantined !== null || !leads(group)) continue
    if (!wantsMeasuring(measuring, shard, bytesMax)) continue
    measure(turn, group, shard)
    return
  }
}

function wantsMeasuring(measuring: Measuring, shard: Machine, bytesMax: number): boolean {
  const known = measuring.measured.get(shard.group)
  const { bytes } = bytesOf(measuring, shard, bytesMax)
  if (known?.epoch !== shard.epoch) return bytes > bytesMax * DOUBTFUL_SHARE
  return bytes > bytesMax && isOutdated(known, bytes, bytesMax)
}

function measure(turn: Turn, group: Group, shard: Machine): void {
  const { measuring } = turn.state.loads
  const { epoch, logicalBytes: counted, range } = shard
  const { reader, view } = takeReadView(turn, shard)
  measuring.busy = true
  runTask(turn, {
    group: group.id,
    view,
    step: measureShard(reader),
    done: (_, { bytes, points }) => {
      const total = { total: bytes, start: range.start, leastShare: LEAST_SHARE_OF_BYTES }
      measuring.measured.set(group.id, { epoch, bytes, counted, middle: middleOf(points, total) })
      measuring.busy = false
    },
    failed: () => {
      measuring.busy = false
    },
    holdsLayers: false,
  })
}
