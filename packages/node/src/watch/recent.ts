import { assert, type Revision, type RevisionEvents } from '@kvorum/model'

/** The last events of a shard, bounded by bytes, so that watchers a little behind need no disk. */
export interface RecentEvents {
  readonly list: Recent[]
  /** Index of the first one that counts. Those before it are `GONE`, and cut off now and then. */
  start: number
  bytes: number
  /** Every revision above this is in the list. */
  after: Revision
}

interface Recent {
  readonly events: RevisionEvents
  readonly bytes: number
}

/** In the place of what was dropped, so that it is not kept alive until the list is cut. */
const GONE: Recent = { events: { revision: 0, events: [] }, bytes: 0 }

export const createRecent = (revision: Revision): RecentEvents => ({
  list: [],
  start: 0,
  bytes: 0,
  after: revision,
})

export function addRecent(recent: RecentEvents, events: RevisionEvents, bytesMax: number): void {
  const last = recent.start < recent.list.length ? recent.list.at(-1)!.events.revision : recent.after
  assert(events.revision > last, () => `events of revision ${events.revision} after ${last}`)
  const bytes = eventBytes(events)
  recent.list.push({ events, bytes })
  recent.bytes += bytes
  while (recent.bytes > bytesMax && recent.start < recent.list.length) {
    const dropped = recent.list[recent.start]!
    recent.list[recent.start++] = GONE
    recent.bytes -= dropped.bytes
    recent.after = dropped.events.revision
  }
  if (recent.start > 1024 && recent.start * 2 > recent.list.length) {
    recent.list.splice(0, recent.start)
    recent.start = 0
  }
}

/** Events from `from` on, or null when they are not all here. */
export function recentFrom(recent: RecentEvents, from: Revision): RevisionEvents[] | null {
  if (from <= recent.after) return null
  let low = recent.start
  let high = recent.list.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (recent.list[middle]!.events.revision < from) low = middle + 1
    else high = middle
  }
  return recent.list.slice(low).map(({ events }) => events)
}

export function eventBytes({ events }: RevisionEvents): number {
  let bytes = 0
  for (const { kv, prev } of events) {
    bytes += 128 + kv.key.length + kv.value.length + (prev === null ? 0 : prev.key.length + prev.value.length)
  }
  return bytes
}
