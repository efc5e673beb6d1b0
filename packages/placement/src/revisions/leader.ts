import { assert, type KeyRange, type Revision, type Term, type TransactionId } from '@kvorum/model'
import { roundStarts, roundSucceeds, type Proof } from './proof.js'

/**
 * What the leader of a shard remembers about revisions, in oracle mode, in one term. It begins empty with the
 * leadership and dies with it, also when the same node is elected again: an answer of the oracle that is older than
 * the term may lie below what other leaders have promised since.
 *
 *     write --> queued --> asked --(block)--> pending = stamped, proposed --> applied
 *                 ^          |                   |
 *                 +----------+-------------------+   block at or below the floor; entry met a lock
 */
export interface LeaderRevisions {
  readonly term: Term
  /** The no-op of the term is applied here, and with it everything that earlier leaders committed. */
  readonly open: boolean
  /**
   * Greatest of every revision promised as resolved and every one proposed or applied in this shard, a transaction's
   * from the moment its commit is proposed. No single-shard write is proposed at or below it. It need not be handed
   * to the next leader: that one asks for all its revisions in its own term, after every promise of this one.
   */
  readonly floor: Revision
  /** Arrived, with no revision asked for; in order of arrival. */
  readonly queued: readonly QueuedWrite[]
  /** Asked and not answered. */
  readonly asks: readonly Ask[]
  readonly nextAsk: number
  /** Stamped and not applied, in the order they were proposed. */
  readonly pending: readonly Pending[]
  readonly resolves: readonly Resolve[]
  readonly drains: readonly Drain[]
  /** Split entries that are proposed and not applied; one that is refused or a copy is one of them. */
  readonly splitting: number
}

/** A command that waits for its revision. `write` is the node's handle on it, `ranges` what it reads and writes. */
export interface QueuedWrite {
  readonly write: number
  readonly ranges: readonly KeyRange[]
  /** Refused because of these: no revision is asked before they are over. Not only keys can stand in the way. */
  readonly behind?: readonly TransactionId[]
}

export interface Ask {
  readonly id: number
  readonly writes: readonly QueuedWrite[]
}

export interface Pending extends QueuedWrite {
  readonly revision: Revision
  /** The ask that brought the revision. */
  readonly ask: number
}

/** Somebody wants to know when everything at or below `revision` that touches `ranges` has been applied. */
export interface Resolve {
  readonly id: number
  readonly revision: Revision
  readonly ranges: readonly KeyRange[]
  /** Waits for the answers to asks below this one, too: those sent before it arrived. See `losePatience`. */
  readonly asksBelow: number
  readonly proof: Proof
}

/** A read of this shard that does without the oracle. */
export interface Drain {
  readonly id: number
  readonly ranges: readonly KeyRange[]
  /** Asks below this one were sent before the read arrived. */
  readonly asksBelow: number
  /** Highest revision that the reader's node had seen when the read arrived. */
  readonly seen: Revision
  readonly proof: Proof
}

export const electLeader = (term: Term): LeaderRevisions => ({
  term,
  open: false,
  floor: 0,
  queued: [],
  asks: [],
  nextAsk: 1,
  pending: [],
  resolves: [],
  drains: [],
  splitting: 0,
})

/** The no-op of the term is applied; `highest` is the greatest revision applied in the shard so far. */
export const openLeader = (leader: LeaderRevisions, highest: Revision): LeaderRevisions => ({
  ...leader,
  open: true,
  floor: Math.max(leader.floor, highest),
})

/**
 * The leadership is over. Commands that were not proposed go back to the node, without their stamps, and are routed
 * again. A stamp of this term must not reach the next leader: it may be older than what that one has acknowledged.
 */
export const retire = (leader: LeaderRevisions): readonly QueuedWrite[] => [
  ...leader.asks.flatMap(ask => ask.writes),
  ...leader.queued,
]

/** A round of heartbeats starts (ReadIndex): it serves everything that waits here by now. */
export const leaderRoundStarts = (leader: LeaderRevisions, round: number): LeaderRevisions => ({
  ...leader,
  resolves: roundStarts(leader.resolves, round),
  drains: roundStarts(leader.drains, round),
})

export const leaderRoundSucceeds = (leader: LeaderRevisions, round: number): LeaderRevisions => ({
  ...leader,
  resolves: roundSucceeds(leader.resolves, round),
  drains: roundSucceeds(leader.drains, round),
})

/**
 * The leader proposes entries that split the shard. From here until they are applied it resolves nothing: the right half
 * may be led and written elsewhere as soon as the entry is committed, and this leader would speak for it unknowingly.
 * They are counted, since several may be on their way: whoever orders a split says it again when there is no answer, and
 * a copy that is applied says nothing of the split behind it.
 */
export const splitProposed = (leader: LeaderRevisions, entries = 1): LeaderRevisions => ({
  ...leader,
  splitting: leader.splitting + entries,
})

/** An entry of `term` that was to split the shard is applied, or refused. Of an earlier term's, none was counted. */
export function splitApplied(leader: LeaderRevisions, term: Term): LeaderRevisions {
  if (term !== leader.term) return leader
  assert(leader.splitting > 0, () => 'a split is applied that was not proposed')
  return { ...leader, splitting: leader.splitting - 1 }
}
