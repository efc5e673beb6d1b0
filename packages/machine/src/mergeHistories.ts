import {
  compareBytes,
  type PlacedEvents,
  type Revision,
  type RevisionEvents,
  type WatchEvent,
} from '@kvorum/model'

/** A part of the history of several shards, in one order. */
export interface MergedHistory {
  readonly events: readonly RevisionEvents[]
  /** The first revision that is not in it. */
  readonly next: Revision
}

/**
 * Pages of the history of several shards, all from the same revision on. They go as far as the one that ends first:
 * behind it another shard's events may be missing. Changes of one revision are put in the order of its operations,
 * and of one operation, which may delete keys of several shards, by key: as they lie in the store of a node that has
 * all shards, and as etcd tells them.
 */
export function mergeHistories(
  pages: readonly { readonly events: readonly PlacedEvents[]; readonly next: Revision }[],
): MergedHistory {
  const next = Math.min(...pages.map(page => page.next))
  const byRevision = new Map<Revision, Placed[]>()
  for (const { events: page } of pages) {
    for (const { revision, events, positions } of page) {
      if (revision >= next) break
      const placed = events.map((event, i) => ({ position: positions[i] ?? 0, event }))
      const known = byRevision.get(revision)
      if (known === undefined) byRevision.set(revision, placed)
      else known.push(...placed)
    }
  }
  const events = [...byRevision]
    .sort(([a], [b]) => a - b)
    .map(([revision, placed]) => ({ revision, events: placed.sort(byPosition).map(({ event }) => event) }))
  return { events, next }
}

interface Placed {
  readonly position: number
  readonly event: WatchEvent
}

const byPosition = (a: Placed, b: Placed): number =>
  a.position - b.position || compareBytes(a.event.kv.key, b.event.kv.key)
