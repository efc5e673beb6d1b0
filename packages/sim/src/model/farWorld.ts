import type { GroupId, Index, KeyRange, Revision } from '@kvorum/model'
import type { MergedWatch } from '@kvorum/placement'
import type { Rules } from './rules.js'

/**
 * A watcher on a node without replicas: it asks shards how far they are, has the others promise what one has shown, and
 * reads the history up to there, page by page, from whoever has applied what was promised.
 */
export interface FarWatch {
  /** By the map that the watcher's node has, each with the range that its questions name. */
  readonly shards: readonly FarShard[]
  readonly watch: MergedWatch<FarEvent>
  readonly page: FarPage | null
  readonly told: Revision
  readonly delivered: number
}

/** Never seen: what has happened is read from the history. */
interface FarEvent {
  readonly revision: Revision
}

interface FarShard {
  readonly group: GroupId
  readonly range: KeyRange
  readonly promised: { readonly revision: Revision; readonly index: Index } | null
}

export interface FarPage {
  readonly to: Revision
  readonly count: number
  readonly left: readonly { readonly group: GroupId; readonly range: KeyRange; readonly index: Index }[]
}

export function beginFarWatch(
  { newMergedWatch }: Rules,
  shards: readonly { readonly group: GroupId; readonly end: { readonly range: KeyRange } }[],
  told: Revision,
  delivered: number,
): FarWatch {
  const records = shards.map(({ group, end }) => ({ group, range: end.range, promised: null }))
  const watch = newMergedWatch<FarEvent>(
    shards.map(({ group }) => ({ group, epoch: 1 })),
    0,
  )
  return { shards: records, watch, page: null, told, delivered }
}
