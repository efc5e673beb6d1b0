import type { GroupId, Millis } from '@kvorum/model'

/** What a leader watches of its shard's transactions; see orphans.ts. */
export interface Orphans {
  /** Prepared, by name. */
  readonly held: Map<string, Watched>
  /** Decided, as the primary. */
  readonly records: Map<string, Watched>
}

/** Since when this leadership has known of it, and whether it does something about it. */
export interface Watched {
  since: Millis
  busy: boolean
  /** Of a record: shards that have ended their part of it, ... */
  readonly told: Set<GroupId>
  /** ...and those that are still to be told. */
  readonly untold: Set<GroupId>
}

export const createOrphans = (): Orphans => ({ held: new Map(), records: new Map() })
