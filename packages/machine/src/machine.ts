import {
  ALL_KEYS,
  type AuthFence,
  type Checksum,
  EMPTY,
  type Epoch,
  type GroupId,
  type Guard,
  type Index,
  type KeyRange,
  type LeaseId,
  LIMITS,
  NO_FENCE,
  NO_GUARD,
  type Revision,
  type Term,
} from '@kvorum/model'

import { createOperationCounts, type OperationCounts } from './operationCounts.js'
import { createSessions, type Sessions } from './sessions.js'

export interface Lease {
  readonly id: LeaseId
  /** Granted time to live in seconds. When it ends is the leader's knowledge, not the machine's. */
  readonly ttl: number
  /** Where other shards may have keys attached to it, which only its home knows; sorted and apart. Absent: nowhere. */
  readonly elsewhere?: readonly KeyRange[]
}

/** How far the physical removal of compacted history has come: the next history row to look at. */
export interface Purge {
  /** The compact revision that the work goes up to. */
  readonly target: Revision
  readonly cursor: Uint8Array
  /** What history rows before it replaced has been added to `freed`. */
  readonly counted: Uint8Array
  /** Charges of all that was ever removed. At the end of a compaction the same on every replica. */
  readonly freed: number
}

/**
 * The replicated state of one data shard, except keys and values, which live in the store. Only the functions
 * of this room change it. Invariants: compactRevision <= revision; applying is 0 or revision + 1; `applied`
 * moves with every entry, whatever came of it, and together with the entry's writes.
 */
export interface Machine {
  readonly group: GroupId
  readonly checksum: Checksum
  /** Largest answer in bytes, the same on all replicas: commands whose answer were larger are refused. */
  readonly responseBytesMax: number
  /** From which size on a command is long, the same on all replicas; see `showCommand`. */
  readonly longCommand: LongCommandBound
  range: KeyRange
  epoch: Epoch
  applied: Index
  appliedTerm: Term
  /** Newest visible revision. */
  revision: Revision
  /** Revisions below it can no longer be read; 0: nothing has been compacted. */
  compactRevision: Revision
  /** The revision that a command is writing step by step, invisible so far; 0: none. */
  applying: Revision
  leases: Map<LeaseId, Lease>
  sessions: Sessions
  /** What was allowed by older users and roles than these is not carried out. */
  authFence: AuthFence
  /** Charges of all versions and deletions that the history holds: what a quota counts (quota.ts). */
  logicalBytes: number
  /**
   * Keys that have a value. Halves of a split shard begin with half of it each, since nobody has counted: their sum is
   * right, and either may be below zero.
   */
  keys: number
  /** Compactions up to this revision have been taken off `logicalBytes`, with so many bytes in all. */
  reclaimed: Revision
  reclaimedBytes: number
  guard: Guard
  /** Chained over all entries and their effects; equal on replicas that have applied the same. */
  digest: number
  /** The group's configuration, encoded by the owner, and the index of the entry it came with. */
  config: Uint8Array
  configIndex: Index
  /** Where revisions come from, and transactions over several shards, encoded by the owner; empty: nothing special. */
  revisions: Uint8Array
  purge: Purge
  /** A snapshot was being installed: what the store has of this shard is not a state. */
  installing: boolean
  /** Why this replica may not serve; set by the owner. */
  quarantined: string | null
  /** Of the owner's choice, and not replicated. */
  readonly counts: OperationCounts
}

/** What a command may write without being a long one. */
export interface LongCommandBound {
  readonly rows: number
  readonly bytes: number
}

export interface MachineOptions {
  readonly group: GroupId
  readonly checksum: Checksum
  readonly range?: KeyRange
  readonly epoch?: Epoch
  readonly responseBytesMax?: number
  readonly longCommand?: LongCommandBound
  /** Where to count operations; default: counts of its own. */
  readonly counts?: OperationCounts
}

/** An empty shard. The first revision is 1, as in etcd, and belongs to no write. */
export const createMachine = (options: MachineOptions): Machine => ({
  group: options.group,
  checksum: options.checksum,
  responseBytesMax: options.responseBytesMax ?? LIMITS.responseBytesMax,
  longCommand: options.longCommand ?? { rows: LIMITS.longCommandRows, bytes: LIMITS.longCommandBytes },
  range: options.range ?? ALL_KEYS,
  epoch: options.epoch ?? 1,
  applied: 0,
  appliedTerm: 0,
  revision: 1,
  compactRevision: 0,
  applying: 0,
  leases: new Map(),
  sessions: createSessions(),
  authFence: NO_FENCE,
  logicalBytes: 0,
  keys: 0,
  reclaimed: 0,
  reclaimedBytes: 0,
  guard: NO_GUARD,
  digest: 0,
  config: EMPTY,
  configIndex: 0,
  revisions: EMPTY,
  purge: { target: 0, cursor: EMPTY, counted: EMPTY, freed: 0 },
  installing: false,
  quarantined: null,
  counts: options.counts ?? createOperationCounts(),
})
