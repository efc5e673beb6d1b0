import { rangesOverlap, type GroupId, type KeyRange } from '@kvorum/model'
import type { NodeState } from './state.js'

/** What a replica has that waits for its first snapshot: rows of no key. */
export const NO_KEYS: KeyRange = { start: new Uint8Array(0), end: new Uint8Array(0) }

/** Whether another replica of this node has, or may have, rows of the range; or one that goes, and is not cleared. */
export const isTaken = (state: NodeState, range: KeyRange, besides: GroupId): boolean =>
  [...state.replicas.retired.values()].some(
    retired => retired.phase === 'clearing' && rangesOverlap(retired.range, range),
  ) ||
  [...state.groups.values()].some(
    group => group.id !== besides && group.range !== null && rangesOverlap(group.range, range),
  )
