import { assert, type Epoch, type GroupId, type Index, type Revision } from '@kvorum/model'
import {
  newStream,
  promiseArrived,
  streamApplied,
  streamSplit,
  type Promised,
  type ResolvedStream,
} from './stream.js'

/**
 * A watch over several shards: one stream of events per shard, in the order of its log, and out comes one sequence in
 * the order of revisions. What comes out is at or below the least resolved revision of all streams, so nothing can
 * come later that would belong before it.
 */
export interface MergedWatch<Event extends { readonly revision: Revision }> {
  readonly streams: readonly WatchedStream<Event>[]
  /** Everything at or below this has been emitted. Also the progress that may be announced. */
  readonly emitted: Revision
}

export interface WatchedStream<Event> {
  readonly group: GroupId
  readonly stream: ResolvedStream
  /** Applied and not emitted, by revision. */
  readonly events: readonly Event[]
}

export interface EventsOfRevision<Event> {
  readonly revision: Revision
  readonly events: readonly Event[]
}

/** `from`: everything at or below it is known to the watcher already. */
export const newMergedWatch = <Event extends { readonly revision: Revision }>(
  shards: readonly { readonly group: GroupId; readonly epoch: Epoch }[],
  from: Revision,
): MergedWatch<Event> => ({
  streams: shards.map(({ group, epoch }) => ({ group, stream: newStream(epoch, from), events: [] })),
  emitted: from,
})

/** What has happened to one stream: its replica applied up to `index`, with these events; leaders promised this. */
export interface Advance<Event> {
  readonly index: Index
  readonly events: readonly Event[]
  readonly promised: readonly Promised[]
}

/** Several streams go on at once: with many shards it matters that each is looked at once. */
export function watchAdvanced<Event extends { readonly revision: Revision }>(
  watch: MergedWatch<Event>,
  advances: ReadonlyMap<GroupId, Advance<Event>>,
): MergedWatch<Event> {
  const streams = watch.streams.map(watched => {
    const advance = advances.get(watched.group)
    return advance === undefined ? watched : advanced(watched, advance, watch.emitted)
  })
  return { ...watch, streams }
}

function advanced<Event extends { readonly revision: Revision }>(
  watched: WatchedStream<Event>,
  { index, events, promised }: Advance<Event>,
  emitted: Revision,
): WatchedStream<Event> {
  for (const { revision } of events)
    assert(revision > emitted, () => `an event at ${revision} after ${emitted} was emitted`)
  return {
    ...watched,
    stream: promised.reduce(promiseArrived, streamApplied(watched.stream, index)),
    // A transaction's events may come behind greater revisions of other keys of the shard.
    events: events.length === 0 ? watched.events : [...watched.events, ...events].sort(byRevision),
  }
}

/** The local replica of `group` has applied the entry at `index`, with these events. */
export const watchApplied = <Event extends { readonly revision: Revision }>(
  watch: MergedWatch<Event>,
  group: GroupId,
  index: Index,
  events: readonly Event[],
): MergedWatch<Event> => watchAdvanced(watch, new Map([[group, { index, events, promised: [] }]]))

/**
 * The local replica of `group` has applied a split. The right half joins in the same step, resolved as far as the left
 * was: until promises of its own come, it holds the watch back. Were it to join later, the left's next promise would
 * be taken for all there is, and the right's events would be left out.
 */
export function watchSplit<Event extends { readonly revision: Revision }>(
  watch: MergedWatch<Event>,
  split: { readonly group: GroupId; readonly index: Index; readonly epoch: Epoch; readonly right: GroupId },
): MergedWatch<Event> {
  const left = watch.streams.find(({ group }) => group === split.group)
  assert(left !== undefined, () => `no stream of group ${split.group}`)
  const right = { group: split.right, stream: newStream(split.epoch, left.stream.resolved), events: [] }
  const shrunk = change(watch, split.group, watched => ({
    ...watched,
    stream: streamSplit(watched.stream, split.index, split.epoch),
  }))
  return { ...shrunk, streams: [...shrunk.streams, right] }
}

/** A leader of `group` has promised something. */
export const watchPromised = <Event extends { readonly revision: Revision }>(
  watch: MergedWatch<Event>,
  group: GroupId,
  promised: Promised,
): MergedWatch<Event> =>
  change(watch, group, watched => ({ ...watched, stream: promiseArrived(watched.stream, promised) }))

/** What can be emitted: whole revisions, in order. */
export function emitMerged<Event extends { readonly revision: Revision }>(
  watch: MergedWatch<Event>,
): { readonly watch: MergedWatch<Event>; readonly emitted: readonly EventsOfRevision<Event>[] } {
  const upTo = Math.min(...watch.streams.map(({ stream }) => stream.resolved))
  if (upTo <= watch.emitted) return { watch, emitted: [] }
  const due = watch.streams.flatMap(({ events }) => events.filter(({ revision }) => revision <= upTo))
  const emitted: { revision: Revision; events: Event[] }[] = []
  for (const event of due.sort(byRevision)) {
    const last = emitted.at(-1)
    if (last?.revision === event.revision) last.events.push(event)
    else emitted.push({ revision: event.revision, events: [event] })
  }
  const streams = watch.streams.map(watched => ({
    ...watched,
    events: watched.events.filter(({ revision }) => revision > upTo),
  }))
  return { watch: { streams, emitted: upTo }, emitted }
}

/**
 * Shards to be asked to resolve the highest revision that is seen here, or `atLeast` if that is more: an idle shard must
 * not hold back the others' events. A revision that was seen was handed out, so it may be asked about; of `atLeast` the
 * caller knows as much.
 */
export function watchWants<Event extends { readonly revision: Revision }>(
  watch: MergedWatch<Event>,
  atLeast: Revision = 0,
): readonly { readonly group: GroupId; readonly revision: Revision }[] {
  const seen = Math.max(atLeast, ...watch.streams.map(({ events }) => events.at(-1)?.revision ?? 0))
  return watch.streams
    .filter(({ stream }) => stream.resolved < seen)
    .map(({ group }) => ({ group, revision: seen }))
}

const byRevision = (a: { readonly revision: Revision }, b: { readonly revision: Revision }): number =>
  a.revision - b.revision

function change<Event extends { readonly revision: Revision }>(
  watch: MergedWatch<Event>,
  group: GroupId,
  to: (watched: WatchedStream<Event>) => WatchedStream<Event>,
): MergedWatch<Event> {
  const streams = watch.streams.map(watched => (watched.group === group ? to(watched) : watched))
  return { ...watch, streams }
}
