import type { Epoch, Index, Revision } from '@kvorum/model'

/**
 * How far one replica's copy of a shard can be trusted: everything at or below `resolved` that the shard will ever
 * write is applied here. Fed by what leaders promise, and by the replica's own applying.
 */
export interface ResolvedStream {
  /** Of the shard's descriptor, as applied here. */
  readonly epoch: Epoch
  readonly applied: Index
  readonly resolved: Revision
  /** Promises that wait for their index, lowest index first. */
  readonly held: readonly Promised[]
}

/** Everything at or below `revision` is applied at `index`; said of the range that the shard had at `epoch`. */
export interface Promised {
  readonly revision: Revision
  readonly index: Index
  readonly epoch: Epoch
}

export const newStream = (epoch: Epoch, resolved: Revision): ResolvedStream => ({
  epoch,
  applied: 0,
  resolved,
  held: [],
})

/**
 * A leader's promise arrives, in any order, as often as the network likes. It counts once this replica has applied
 * its index: before that, writes it speaks of are missing here. One that says no more than another that comes into
 * force no later is forgotten.
 */
export function promiseArrived(stream: ResolvedStream, promised: Promised): ResolvedStream {
  if (promised.revision <= stream.resolved || promised.epoch < stream.epoch) return stream
  const covers = (a: Promised, b: Promised): boolean => a.revision >= b.revision && a.index <= b.index
  if (stream.held.some(other => covers(other, promised))) return stream
  const held = [...stream.held.filter(other => !covers(promised, other)), promised]
  held.sort((a, b) => a.index - b.index)
  return takeHeld({ ...stream, held })
}

/** This replica has applied everything up to `index`. */
export const streamApplied = (stream: ResolvedStream, index: Index): ResolvedStream =>
  takeHeld({ ...stream, applied: index })

/**
 * The entry at `index` shrank the shard's range: promises of the old epoch are of no use any more, they would be taken
 * for the left half's alone.
 */
export const streamSplit = (stream: ResolvedStream, index: Index, epoch: Epoch): ResolvedStream =>
  takeHeld({ ...stream, applied: index, epoch, held: stream.held.filter(other => other.epoch >= epoch) })

function takeHeld(stream: ResolvedStream): ResolvedStream {
  const due = stream.held.filter(({ index }) => index <= stream.applied)
  if (due.length === 0) return stream
  const resolved = Math.max(stream.resolved, ...due.map(({ revision }) => revision))
  const held = stream.held.filter(({ index, revision }) => index > stream.applied && revision > resolved)
  return { ...stream, resolved, held }
}
