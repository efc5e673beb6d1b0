import {
  groupId,
  type GroupId,
  type Revision,
  type Term,
  type TransactionOutcome,
  type TransactionPrepare,
} from '@kvorum/model'
import type {
  Coordinator,
  CoordinatorOrder,
  LeaderRevisions,
  MergedWatch,
  Oracle,
  OracleAnswer,
  Promised,
  ResolvedStream,
} from '@kvorum/placement'
import type { Configuration, PlannedWork } from './configuration.js'
import { beginFarWatch, type FarWatch } from './farWorld.js'
import { holds, HOME, KEYS, START_RANGES, type Key } from './keys.js'
import { emptyReplica, type Entry, type Replica } from './replica.js'
import type { Rules } from './rules.js'

/** Who waits for an answer of the oracle. */
export type Asker =
  | { readonly kind: 'leader'; readonly shard: number; readonly term: Term; readonly ask: number }
  | { readonly kind: 'read'; readonly read: number }
  | { readonly kind: 'transaction'; readonly transaction: number }

export interface OracleWorld {
  readonly term: Term
  /** The leader of the day has applied an entry of its term. */
  readonly open: boolean
  /** The ceiling in the meta group's log. */
  readonly committed: Revision | null
  /** The term whose leader proposed it. */
  readonly committedBy: Term
  readonly agents: readonly Oracle<Asker>[]
  readonly answers: readonly OracleAnswer<Asker>[]
  /** One bit per revision that was handed out. */
  readonly handed: number
}

/** One term of one shard's leadership; terms of equal parity are the same node. */
export interface Agent {
  readonly term: Term
  readonly applied: number
  readonly replica: Replica
  readonly leader: LeaderRevisions
  /** Only with a breach: entries to be proposed again as they are, revisions kept for later. */
  readonly kept: readonly Kept[]
}

export interface Kept {
  readonly write: number
  readonly revision: Revision
}

export interface Shard {
  readonly group: GroupId
  readonly term: Term
  readonly log: readonly Entry[]
  readonly committed: number
  /** The state after all committed entries: what is true. */
  readonly end: Replica
  readonly agents: readonly Agent[]
}

export interface WriteOp {
  readonly stage: 'new' | 'going' | 'done'
  /** Highest revision known to anybody who had finished when this began. */
  readonly born: Revision
}

export interface ReadOp {
  readonly stage: 'new' | 'asked' | 'reading' | 'done'
  readonly born: Revision
  readonly at: Revision
  /** Shards asked and not answered, shards that answered. */
  readonly asked: readonly number[]
  readonly answered: readonly number[]
}

/** What is true of the lease and of its session's write, wherever it is known. */
export interface LeaseTruth {
  /** Decided. */
  readonly ended: Revision | null
  /** The session's write took effect. */
  readonly done: Revision | null
}

export interface TransactionOp {
  readonly work: PlannedWork
  readonly stage: 'new' | 'going' | 'crashed' | 'over'
  readonly born: Revision
  /** Of the end of a lease: known when it is decided. */
  readonly writes: readonly Key[]
  /** What each participant is asked to lock, by the shards of the day it began. */
  readonly parts: readonly { readonly group: GroupId; readonly prepare: TransactionPrepare }[]
  readonly coordinator: Coordinator | null
  readonly messages: readonly TransactionMessage[]
  /** What the primary's log says first. */
  readonly decision: TransactionOutcome | null
  /** Last revisions of the compared keys when they were locked. */
  readonly compared: readonly { readonly key: Key; readonly last: Revision }[]
  /** Shards that have asked for the record, and which leader of the primary: an answer that dies with it never comes. */
  readonly orphans: readonly { readonly shard: number; readonly term: Term }[]
  /** With every prepare: its coordinator prepares nothing of a lower number any more. */
  readonly endedBelow: number
  /** The primary's leader, where it brings the record to its end. */
  readonly finisher: Finisher | null
  /** The oracle is asked for the transaction's revision. */
  readonly asked: boolean
}

export interface Finisher {
  readonly waiting: readonly GroupId[]
  readonly told: readonly GroupId[]
}

export type TransactionMessage = Exclude<CoordinatorOrder, { kind: 'askRevision' | 'answer' }> & {
  readonly copies: number
  /** A prepare that has met younger locks: its leader proposes it again when they are gone. */
  readonly waited: boolean
}

export interface WatchEvent {
  readonly revision: Revision
  readonly key: Key
}

export interface WatchWorld {
  readonly watch: MergedWatch<WatchEvent>
  /** The watcher's node has a replica of every shard, none of them a leader's. */
  readonly replicas: readonly WatcherReplica[]
  readonly inbox: readonly { readonly group: GroupId; readonly promised: Omit<Promised, 'epoch'> }[]
  readonly delivered: number
  /** The client knows everything up to this. */
  readonly told: Revision
  /** Up to this events have not come by way of the log here: they are read from the history. */
  readonly lostUpTo: Revision
  /** Not all keys are here at the moment. */
  readonly stranded: boolean
}

/** In the order of their groups. */
export interface WatcherReplica {
  readonly group: GroupId
  readonly applied: number
  readonly replica: Replica
}

/** Everything there is, as one immutable value. */
export interface World {
  readonly oracle: OracleWorld
  readonly shards: readonly Shard[]
  readonly writes: readonly WriteOp[]
  readonly reads: readonly ReadOp[]
  readonly transactions: readonly TransactionOp[]
  readonly lease: LeaseTruth
  readonly watch: WatchWorld | null
  readonly far: FarWatch | null
  /** Highest revision known to anybody who has finished anything. */
  readonly acked: Revision
  /** Per key: somebody was told that everything at or below this is there. */
  readonly guards: readonly Revision[]
  /** Decided in the meta group's log; `ready`: groups that have promised the revision, and are to be told. */
  readonly compaction: { readonly at: Revision; readonly ready: readonly GroupId[] } | null
  /** Left to happen: proposals of each split, the end of dense mode. */
  readonly splits: readonly number[]
  readonly switches: number
  readonly snapshots: number
}

/** Undefined: the watcher knows of no such shard yet. */
export const streamOf = ({ watch }: WatchWorld, group: GroupId): ResolvedStream | undefined =>
  watch.streams.find(other => other.group === group)?.stream

export const replicaOf = ({ replicas }: WatchWorld, group: GroupId): Replica =>
  replicas.find(other => other.group === group)!.replica

/** Where a key lives by the newest state of the shards. */
export const ownerOf = (world: World, key: Key): number =>
  world.shards.findIndex(({ end }) => holds(end.range, key))

export const replaceAt = <Item>(items: readonly Item[], at: number, item: Item): readonly Item[] =>
  items.map((other, i) => (i === at ? item : other))

export const without = <Item>(items: readonly Item[], at: number): readonly Item[] =>
  items.filter((_, i) => i !== at)

export function newShard(rules: Rules, group: number, start: Replica, highest: Revision): Shard {
  const leader = rules.openLeader(rules.electLeader(0), highest)
  const agents = [{ term: 0, applied: 0, replica: start, leader, kept: [] }]
  return { group: groupId(group), term: 0, log: [], committed: 0, end: start, agents }
}

export function initialWorld(rules: Rules, configuration: Configuration): World {
  const { writes, reads, transactions, attached, ceiling, window, dense } = configuration
  const ranges = START_RANGES[configuration.shards]
  const places = ranges.filter((range, i) => i !== HOME && attached.some(key => holds(range, key)))
  const replicas = ranges.map((range, i) => emptyReplica(rules, range, dense && i === HOME, attached, places))
  const shards = replicas.map((replica, i) => newShard(rules, i + 1, replica, 0))
  const first = rules.electOracle<Asker>(1, dense ? null : ceiling, window)
  // The first oracle has handed out nothing, whatever its ceiling is: the cluster is new.
  const opened: Oracle<Asker> = { ...first, handedOut: dense ? null : 0 }
  return {
    oracle: {
      term: 1,
      open: !dense,
      committed: dense ? null : ceiling,
      committedBy: 1,
      agents: [opened],
      answers: [],
      handed: 0,
    },
    shards,
    writes: writes.map(() => ({ stage: 'new', born: 0 })),
    reads: reads.map(() => ({ stage: 'new', born: 0, at: 0, asked: [], answered: [] })),
    transactions: transactions.map(({ work, writes }) => ({ ...NEW_TRANSACTION, work, writes })),
    lease: { ended: null, done: null },
    watch:
      configuration.watch || reads.some(({ kind }) => kind === 'follower')
        ? initialWatch(rules, shards)
        : null,
    far: configuration.watchFar ? beginFarWatch(rules, shards, 0, 0) : null,
    acked: 0,
    guards: KEYS.map(() => 0),
    compaction: null,
    splits: configuration.splits.map(() => configuration.splitCopies),
    switches: dense ? 1 : 0,
    snapshots: configuration.snapshots,
  }
}

const NEW_TRANSACTION: TransactionOp = {
  work: 'op',
  stage: 'new',
  born: 0,
  writes: [],
  parts: [],
  coordinator: null,
  messages: [],
  decision: null,
  compared: [],
  orphans: [],
  endedBelow: 0,
  finisher: null,
  asked: false,
}

function initialWatch(rules: Rules, shards: readonly Shard[]): WatchWorld {
  return {
    watch: rules.newMergedWatch(
      shards.map(({ group }) => ({ group, epoch: 1 })),
      0,
    ),
    replicas: shards.map(({ group, end }) => ({ group, applied: 0, replica: end })),
    inbox: [],
    delivered: 0,
    told: 0,
    lostUpTo: 0,
    stranded: false,
  }
}
