import type { Epoch, GroupId, Revision, RevisionEvents } from '@kvorum/model'
import {
  emitMerged,
  newMergedWatch,
  watchAdvanced,
  watchSplit,
  watchWants,
  type Advance,
  type EventsOfRevision,
  type MergedWatch,
} from '@kvorum/placement'
import { eventBytes } from './recent.js'

/**
 * How the events of shards whose revisions the oracle gives become one sequence (docs/decisions/0014, watch over
 * several shards). Events that cannot come out yet are held; when they are too many they are let go, and the watchers
 * read them from the history when their time has come.
 */
export interface Merging {
  watch: MergedWatch<RevisionEvents>
  /** Of the events held. */
  heldBytes: number
  /** At or below this, events are missing here: they came before there was anybody to keep them, or were let go. */
  lostUpTo: Revision
  /** Somebody wants to know everything at or below this; it has been handed out. */
  wanted: Revision
  /** Of the watchers that want to be told now and then: what the oracle said they could be told. */
  progress: 'none' | 'asked' | Revision
}

/**
 * `seen`: what the shards' replicas here have applied and is not kept may lie anywhere at or below it. `from`: whoever
 * begins to watch here knows everything up to it.
 */
export const createMerging = (
  shards: readonly { readonly group: GroupId; readonly epoch: Epoch }[],
  seen: Revision,
  from: Revision = 0,
): Merging => ({
  watch: newMergedWatch(shards, from),
  heldBytes: 0,
  lostUpTo: seen,
  wanted: seen,
  progress: 'none',
})

/** Holds what was applied, up to `bytesMax`, and notes what was promised. */
export function advanceMerging(
  merging: Merging,
  advances: ReadonlyMap<GroupId, Advance<RevisionEvents>>,
  bytesMax: number,
): void {
  merging.watch = watchAdvanced(merging.watch, advances)
  for (const { events } of advances.values()) for (const one of events) merging.heldBytes += eventBytes(one)
  if (merging.heldBytes > bytesMax) letGo(merging)
}

/** Events up to `revision` did not come this way: a snapshot brought them, or they are too many for memory. */
export function loseEvents(merging: Merging, revision: Revision): void {
  merging.lostUpTo = Math.max(merging.lostUpTo, revision)
}

function letGo(merging: Merging): void {
  for (const { events } of merging.watch.streams) loseEvents(merging, events.at(-1)?.revision ?? 0)
  const streams = merging.watch.streams.map(watched => ({ ...watched, events: [] }))
  merging.watch = { ...merging.watch, streams }
  merging.heldBytes = 0
}

/** The replica of `group` has applied a split; the right half's events belong here as the left's did. */
export function splitMerging(merging: Merging, split: Parameters<typeof watchSplit>[1]): void {
  merging.watch = watchSplit(merging.watch, split)
}

/** What may be told to watchers now: whole revisions in order, or that they have to read the history behind `after`. */
export type Merged =
  | { readonly kind: 'events'; readonly revisions: readonly EventsOfRevision<RevisionEvents>[] }
  | { readonly kind: 'lost'; readonly after: Revision }

/** Takes out what can come out; null: nothing. Everything up to `merging.watch.emitted` is told then. */
export function takeMerged(merging: Merging): Merged | null {
  const after = merging.watch.emitted
  const { watch, emitted } = emitMerged(merging.watch)
  if (watch.emitted === after) return null
  merging.watch = watch
  for (const { events } of emitted) for (const one of events) merging.heldBytes -= eventBytes(one)
  return after < merging.lostUpTo ? { kind: 'lost', after } : { kind: 'events', revisions: emitted }
}

/** What the leaders of shards have to be asked, so that everything here can come out. */
export function mergingWants(merging: Merging): readonly { group: GroupId; revision: Revision }[] {
  const { watch, lostUpTo, wanted } = merging
  return watchWants(watch, Math.max(lostUpTo, wanted)).filter(
    want => !isPromised(watch, want.group, want.revision),
  )
}

/** It is promised already, and only this node's replica has to catch up. */
const isPromised = (watch: Merging['watch'], group: GroupId, revision: Revision): boolean =>
  watch.streams.some(
    ({ group: one, stream }) => one === group && stream.held.some(held => held.revision >= revision),
  )
