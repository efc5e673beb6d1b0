import type { KeyValue } from './ops.js'
import type { Revision } from './ids.js'

/** One change of one key, as watchers see it. A delete's `kv` has only the key and the revision. */
export interface WatchEvent {
  readonly kind: 'put' | 'delete'
  readonly kv: KeyValue
  readonly prev: KeyValue | null
}

/** All changes of one revision, in the order of the operations. Never split between two readers. */
export interface RevisionEvents {
  readonly revision: Revision
  readonly events: readonly WatchEvent[]
}

/** One shard's changes of one revision: other shards may have changes between them. */
export interface PlacedEvents extends RevisionEvents {
  /** Of each event, its place among all changes of the revision, in any shard. Ascending. */
  readonly positions: readonly number[]
}
