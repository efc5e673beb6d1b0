import type { Cut, Key } from './keys.js'

/** What there is to happen in one exploration; every order of it is tried. */
export interface Configuration {
  readonly name: string
  /** Each writes one key once, or ends the lease. */
  readonly writes: readonly PlannedWrite[]
  readonly reads: readonly PlannedRead[]
  readonly transactions: readonly PlannedTransaction[]
  /** Attached to the lease from the beginning, and its home knows. */
  readonly attached: readonly Key[]
  /** One watcher of everything, on a node that leads nothing. */
  readonly watch: boolean
  /** The watcher also takes for resolved what its replicas know by themselves. */
  readonly watchByLog: boolean
  /** One watcher of everything, on a node without a replica. */
  readonly watchFar: boolean
  readonly shards: 2 | 3
  /** Terms that each shard's leadership may go through. Odd and even terms are two nodes. */
  readonly terms: readonly number[]
  readonly oracleFailover: boolean
  /** The oracle learns of a raised ceiling later than it is committed. */
  readonly slowCeiling: boolean
  /** A round of leadership takes time: what arrives while one is under way is explored too. */
  readonly slowRounds: boolean
  /** Entries are appended first and committed later; what is not committed may be lost with its leader. */
  readonly tails: boolean
  /** Commands that a deposed leader had not proposed are routed again. */
  readonly handBack: boolean
  readonly coordinatorCrash: boolean
  /** The newest revision that was handed out is compacted, at any time. */
  readonly compact: boolean
  /** Replicas of the watcher's node that are replaced by a snapshot. */
  readonly snapshots: number
  /** Deliveries of each prepare and of each outcome. */
  readonly prepareCopies: number
  readonly endCopies: number
  /**
   * Splits, in the order in which the meta group orders them; of one shard, the next when the one before is done. Each new
   * group has the next number.
   */
  readonly splits: readonly PlannedSplit[]
  /** Times that each is proposed: whoever orders it says it again when there is no answer. */
  readonly splitCopies: number
  /**
   * Each transaction is coordinated by the next life of the coordinator of the one before, which says with every prepare
   * that it prepares nothing older any more. And the primary's leader brings records to their end that nobody else ends.
   */
  readonly successors: boolean
  /** Reads are routed by the map of the beginning, to the first shard. */
  readonly oldMap: boolean
  /** Begins in dense mode with the first shard alone, and switches. */
  readonly dense: boolean
  readonly ceiling: number
  readonly window: number
  /** Nothing is lost here, so everything that began must have ended when nothing more can happen. */
  readonly mustFinish: boolean
  /** A mistake of the node that calls the rules. */
  readonly breach: Breach | null
}

export interface PlannedRead {
  /** snapshot: at the oracle's current revision. follower: the same, from a follower's state. */
  readonly kind: 'snapshot' | 'follower' | 'drain' | 'dense'
  readonly keys: readonly Key[]
}

/**
 * What a write is besides one of its keys. There is one lease, in the first shard, and one session that belongs to it.
 *
 * - attach: its keys are attached to the lease.
 * - endLease: the lease goes, with all keys that are attached to it, and with the session.
 * - session: the session's one write. Planned several times, it is sent several times.
 */
export type PlannedWork = 'op' | 'attach' | 'endLease' | 'session'

export interface PlannedWrite {
  readonly work: PlannedWork
  /** Null: those that are attached. */
  readonly key: Key | null
}

export interface PlannedTransaction {
  readonly work: PlannedWork
  readonly writes: readonly Key[]
  /** Compared and not written. */
  readonly compares: readonly Key[]
}

export interface PlannedSplit {
  readonly group: number
  readonly at: Cut
}

/** Rules that are kept by the caller of the production functions, and not by them. */
export type Breach =
  | 'leftoverOfBlockKept'
  | 'stampForwarded'
  | 'futureResolved'
  | 'revisionBeforeVotes'
  | 'voteBeforeApply'
  | 'locksNotChecked'
  | 'comparedNotLocked'
  | 'refusedKeepsRevision'
  | 'orphanToldAbort'
  | 'oracleStartsAtProposal'
  | 'splitBeforeTheSwitchNotCounted'
  | 'compactedUnresolved'
  | 'compactedReadServed'
  | 'snapshotTakenForEvents'
  | 'restOfASplitNotWaitedFor'
  | 'answerNotKept'
  | 'sequenceAtAnyShard'
  | 'sequencePassesLocks'
  | 'leaseEndPassesLocks'
  | 'sessionLeaseNotHeld'
  | 'leaseLockedAtHomeOnly'
  | 'attachedNotLocked'
  | 'elsewhereForgotten'
  | 'endAsksTooFew'
  | 'plainEndNotJudged'
  | 'splitNotNoted'
  | 'farRangeNotChecked'
  | 'farIndexNotAwaited'

const NOTHING: Omit<Configuration, 'name'> = {
  writes: [],
  reads: [],
  transactions: [],
  attached: [],
  watch: false,
  watchByLog: false,
  watchFar: false,
  shards: 2,
  terms: [1, 1],
  oracleFailover: false,
  slowCeiling: false,
  slowRounds: false,
  tails: false,
  handBack: false,
  coordinatorCrash: false,
  compact: false,
  snapshots: 0,
  prepareCopies: 1,
  endCopies: 1,
  splits: [],
  splitCopies: 1,
  successors: false,
  oldMap: false,
  dense: false,
  ceiling: 4,
  window: 3,
  mustFinish: false,
  breach: null,
}

export interface Plan extends Partial<Omit<Configuration, 'name' | 'writes'>> {
  /** A key alone is written, and that is all. */
  readonly writes?: readonly (Key | PlannedWrite)[]
}

export const configuration = (name: string, { writes = [], ...what }: Plan): Configuration => ({
  name,
  ...NOTHING,
  ...what,
  writes: writes.map(write => (typeof write === 'string' ? { work: 'op', key: write } : write)),
})
