import {
  commandHeader,
  decodeShardCommand,
  type CommandHeader,
  type Entry,
  type Index,
  type LeaseId,
  type Millis,
  type ShardCommand,
  type Term,
} from '@kvorum/model'
import type { Prefetched, Worked } from '@kvorum/machine'

/**
 * Committed entries on their way into the state machine.
 *
 *     committed --> prefetch(all) --> fetched --> apply, apply, apply ... --> replies, events, reads
 *                                                         |
 *                                           a long one: hidden --> published --> shown
 */
export interface Applying {
  /** Entries handed out by raft and not applied yet, with what was fetched for each. */
  batch: readonly Pending[]
  at: number
  /** The batch's rows, or the rows of a long command, are on their way, or its publication is. */
  waiting: boolean
  /** The long command that the state machine is in; null: it is between two commands, or in a short one. */
  hidden: Hidden | null
  /** When the entry at `at` was taken up: with the first of a batch that is when its rows were asked for. */
  since: Millis
}

export interface Pending {
  readonly entry: Entry
  /** Null for what is not a shard's command. */
  readonly command: ShardCommand | null
  readonly header: CommandHeader | null
  prefetched: Prefetched | null
  /** The lease that it ended, as it turned out when it was carried out; null: none. */
  endsLease: LeaseId | null
}

/** What a shard's entry says is decoded once, however many look at it. */
export function pendingOf(kind: 'shard' | 'meta', entry: Entry): Pending {
  const isCommand = entry.kind === 'normal' && kind === 'shard'
  const command = isCommand ? decodeShardCommand(entry.data) : null
  const header = isCommand ? commandHeader(entry.data) : null
  return { entry, command, header, prefetched: null, endsLease: null }
}

/** A long command that nobody may see yet (docs/decisions/0007-long-commands.md). */
export interface Hidden {
  readonly index: Index
  /** Committed entries up to here have been searched for its publication. */
  looked: Index
  /** Where the first entry that publishes it stands; 0: not up to `looked`. */
  publishedAt: Index
  /** The term in which this node proposed the publication as leader; 0: in none. */
  proposedIn: Term
  /** Its effects, when all of them have been worked out... */
  worked: Worked | null
  /** ...and since when. */
  workedAt: Millis
}

export const createApplying = (): Applying => ({
  batch: [],
  at: 0,
  waiting: false,
  hidden: null,
  since: 0,
})

/** The state that it was working on is gone. */
export function resetApplying(applying: Applying): void {
  Object.assign(applying, createApplying())
}
