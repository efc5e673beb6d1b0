import type { Millis, Revision } from '@kvorum/model'

/** What a node does for its data without being asked; nothing of it by default. */
export interface MaintenanceOptions {
  /** Most logical bytes before writes are refused; 0: no bound. The leader's counts, by way of the log. */
  readonly quotaBytes: number
  /** Takes a noSpace alarm back when there is room again, without an operator. */
  readonly autoDisarmNoSpace: boolean
  readonly autoCompaction: AutoCompaction
  readonly corruptCheck: CorruptCheck
}

/** What the leader forgets by itself: what is older than a time, or what is not among the newest revisions. */
export type AutoCompaction =
  | { readonly kind: 'off' }
  | { readonly kind: 'periodic'; readonly retentionMs: Millis }
  | { readonly kind: 'revision'; readonly keep: Revision }

/** When the members' data is compared; see checking.ts. */
export interface CorruptCheck {
  readonly atStart: boolean
  /** 0: never. */
  readonly everyMs: Millis
  /** How often to look whether there was a compaction; 0: never. */
  readonly afterCompactionMs: Millis
}

export const NO_MAINTENANCE: MaintenanceOptions = {
  quotaBytes: 0,
  autoDisarmNoSpace: false,
  autoCompaction: { kind: 'off' },
  corruptCheck: { atStart: false, everyMs: 0, afterCompactionMs: 0 },
}
