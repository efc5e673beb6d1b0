import type { Revision } from '@kvorum/model'
import { createReader, overlaySnapshot, type Machine, type Reader } from '@kvorum/machine'
import { takeId, type Turn } from './state.js'

/** The shard at this moment: what is not in the store yet, and a view of the store that goes with it. */
export function takeReadView(turn: Turn, shard: Machine, at?: Revision): { reader: Reader; view: number } {
  return { reader: createReader(shard, overlaySnapshot(turn.state.overlay), at), view: takeId(turn.state) }
}
