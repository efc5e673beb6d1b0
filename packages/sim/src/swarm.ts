import { LIMITS, type Millis } from '@kvorum/model'
import { drawLinkFaults, type LinkFaults } from './network/faults.js'
import { PARTITION_KINDS, type PartitionKind } from './network/partition.js'
import type { Random } from './random.js'
import { drawQuota, drawUsers, type QuotaOptions, type UserOptions } from './swarmAccess.js'
import { drawUpkeep, type UpkeepOptions } from './swarmUpkeep.js'
import { MINUTE, SECOND, type Micros } from './schedule.js'

/**
 * All choices of one run, drawn from its seed. Swarm testing: each class of fault is on with p = 0.5, so that
 * runs differ in kind and no fault hides behind another that always strikes first. A record of plain numbers:
 * printing it as JSON is the report, and reading it back the reproduction.
 */
export interface SwarmOptions {
  readonly seed: number
  readonly cluster: ClusterOptions
  readonly tuning: TuningOptions
  readonly workload: WorkloadOptions
  readonly faults: FaultOptions
  /** Null: authentication stays off. */
  readonly users: UserOptions | null
  /** Null: as much as there may be. */
  readonly quota: QuotaOptions | null
  /** Null: members do nothing for their data by themselves. */
  readonly upkeep: UpkeepOptions | null
}

/**
 * How much of what can be drawn is: a seed that was kept for what it found stays the run it was, although later
 * draws know more.
 *
 *     1   faults and workloads
 *     2   users and quotas
 *     3   members that come and go
 *     4   automatic compaction and checks for corruption
 *     5   writes of sessions in all groups, where there is one order over them
 *     6   in the profile `shards`: splits, the end of dense mode, watches over several shards
 *     7   there, too: a bank and lists over several shards, leaders of the meta group that fall out
 *     8   in the profiles `shards` and `moves`: members that come, go and stay away, splits by size and by load
 */
export const DRAWS = [1, 2, 3, 4, 5, 6, 7, 8] as const
export type Draw = (typeof DRAWS)[number]
export const NEWEST_DRAW: Draw = 8

export interface ClusterOptions {
  readonly nodes: number
  readonly dataGroups: number
  /** There is one order over all groups; else every group counts its own revisions. */
  readonly oracle: boolean
  /** The only shard counts its revisions until it is split. */
  readonly dense: boolean
  /** A split about this often; 0 is never. Then `dataGroups` says how many kinds of keys there are. */
  readonly splitEvery: Micros
  /** A shard with more bytes is split by itself; 0: none is, and none for its load either. */
  readonly splitBytes: number
  /** A shard with so many requests in half a second, and far more than the others, is split by itself; 0: none is. */
  readonly busyRequests: number
  /** Replicas of a shard; 0: one on every node. */
  readonly replicas: number
  /** Replicas are moved about this often; 0 is never. */
  readonly moveEvery: Micros
  /** The balancer moves them, too. */
  readonly balanced: boolean
  /** Watches may be of keys of several shards. */
  readonly wideWatches: boolean
  readonly heartbeatMs: Millis
  readonly electionTimeoutMs: Millis
}

/** Small limits, so that every bound is hit within seconds. */
export interface TuningOptions {
  /** Entries between snapshots of a group (flush and purge). */
  readonly snapshotEvery: number
  /** Applied entries kept behind the purgeable index. */
  readonly keepEntries: number
  readonly segmentBytes: number
  readonly appendBytesMax: number
  readonly inflightBytesMax: number
  readonly inflightAppendsMax: number
  readonly raftCacheBytesMax: number
  readonly uncommittedBytesMax: number
  readonly applyBytesMax: number
  readonly pageRowsMax: number
  readonly pageBytesMax: number
  readonly overlayBytesMax: number
  readonly flushBytes: number
  readonly snapshotChunkBytes: number
  /** Rows that a command may write without being a long one. Of the whole cluster. */
  readonly longCommandRows: number
  /** Groups of a node from which on their heartbeats travel together. */
  readonly sharedBeatGroupsMin: number
}

export type WorkloadKind =
  'registers' | 'transactions' | 'lists' | 'bank' | 'ranges' | 'leases' | 'watches' | 'sessions'

export const WORKLOAD_KINDS: readonly WorkloadKind[] = [
  'registers',
  'transactions',
  'lists',
  'bank',
  'ranges',
  'leases',
  'watches',
]

export interface WorkloadOptions {
  readonly kinds: readonly WorkloadKind[]
  readonly clients: number
  readonly watchers: number
  readonly keys: number
  /** Requests per virtual second, all clients together. */
  readonly rate: number
  readonly valueBytesMax: number
  readonly serializableShare: number
  readonly requestTimeout: Micros
  readonly safetyTime: Micros
  /** Sessions write to all groups; else to the first. */
  readonly sessionsAcross: boolean
  /** Lists and accounts of one transaction lie in all groups; else there are no accounts. */
  readonly listsAcross: boolean
  /** A compaction about this often; 0 is never. */
  readonly compactEvery: Micros
}

/** An event of this kind about every `every`, lasting up to `lastsMax`; 0 is never. */
export interface Recurring {
  readonly every: Micros
  readonly lastsMax: Micros
}

export interface FaultOptions {
  readonly links: LinkFaults
  readonly partition: Recurring & { readonly kinds: readonly PartitionKind[] }
  readonly clog: Recurring
  /** Kill and restart; `powerLoss` loses what was not synced. */
  readonly crash: Recurring & { readonly powerLoss: boolean; readonly allAtOnceChance: number }
  /** The process stands still, then goes on. */
  readonly pause: Recurring
  readonly wipe: Recurring
  readonly disk: DiskFaults
  readonly clock: ClockFaults
  readonly membership: Recurring
  readonly transfer: Recurring
  /** The leader of the meta group, which gives out the revisions, is killed or stands still. */
  readonly oracle: Recurring
  /** Leaders that do not notice that they were deposed. */
  readonly deposed: Recurring
}

/** Chances are per operation. */
export interface DiskFaults {
  readonly syncMean: Micros
  readonly slowSyncChance: number
  readonly slowSyncMax: Micros
  readonly errorChance: number
  readonly fullChance: number
  /** At a power loss, unsynced sectors survive each on its own luck instead of all being lost. */
  readonly partialLoss: boolean
  readonly tornWrites: boolean
  /** Damaged records per restart, under an atlas that leaves a quorum of good copies. */
  readonly bitRotChance: number
}

export interface ClockFaults {
  /** Largest deviation of a node's clock rate from 1. */
  readonly driftMax: number
  readonly wallJumpMax: Millis
  readonly freeze: Recurring
}

export function drawSwarm(seed: number, random: Random, draw: Draw = NEWEST_DRAW): SwarmOptions {
  const cluster = drawCluster(random.stream('cluster'))
  const workload = drawWorkload(random.stream('workload'))
  // Room comes back by compaction, which is of the first group, and by deletion, which ends the lists.
  const mayFill = cluster.dataGroups === 1 && !workload.kinds.includes('lists')
  const users = draw < 2 ? null : drawUsers(random.stream('users'))
  const quota = draw < 2 || !mayFill ? null : drawQuota(random.stream('quota'))
  const faults = drawFaults(random.stream('faults'))
  // Whoever makes room, or waits for rights, asks all nodes and counts on their being there.
  const moving = draw >= 3 && users === null && quota === null && faults.membership.every > 0
  return {
    seed,
    cluster,
    tuning: drawTuning(random.stream('tuning')),
    workload: { ...workload, sessionsAcross: draw >= 5 && random.stream('sessionsAcross').chance(0.7) },
    // The operator who moves members takes disks away himself, where the others can do without them.
    faults: moving ? { ...faults, wipe: NEVER } : { ...faults, membership: NEVER },
    users,
    quota,
    upkeep: draw < 4 ? null : drawUpkeep(random.stream('upkeep')),
  }
}

/** Shards come to be more while the run lasts. */
export const isSplit = ({ splitEvery, splitBytes }: ClusterOptions): boolean =>
  splitEvery > 0 || splitBytes > 0

const NEVER: Recurring = { every: 0, lastsMax: 0 }

function drawCluster(random: Random): ClusterOptions {
  const heartbeatMs = random.int(50, 150)
  return {
    // Three nodes show most; one shows what has no peers to hide behind, seven is rare and slow.
    nodes: random.pick([1, 3, 3, 3, 3, 5, 5, 5, 5, 7]),
    dataGroups: random.chance(0.5) ? 1 : random.int(2, 8),
    oracle: false,
    dense: false,
    splitEvery: 0,
    splitBytes: 0,
    busyRequests: 0,
    replicas: 0,
    moveEvery: 0,
    balanced: false,
    wideWatches: false,
    heartbeatMs,
    electionTimeoutMs: heartbeatMs * random.int(3, 20),
  }
}

function drawTuning(random: Random): TuningOptions {
  const inflightBytesMax = random.pick([1_000, 10_000, 1_000_000])
  const pageBytesMax = random.pick([100, 1_000, 100_000])
  return {
    snapshotEvery: random.int(10, 200),
    keepEntries: random.int(0, 80),
    segmentBytes: random.pick([4_096, 65_536, 1_048_576]),
    appendBytesMax: Math.min(inflightBytesMax, random.pick([1, 200, 2_000, 100_000])),
    inflightBytesMax,
    inflightAppendsMax: random.pick([1, 2, 8, 256]),
    raftCacheBytesMax: random.pick([1, 1_000, 100_000]),
    uncommittedBytesMax: random.pick([1_000, 20_000, 1_000_000]),
    applyBytesMax: random.pick([1, 1_000, 100_000]),
    pageRowsMax: random.pick([1, 2, 7, 100]),
    pageBytesMax,
    overlayBytesMax: pageBytesMax * random.pick([2, 10, 1000]),
    flushBytes: random.pick([1, 1_000, 100_000]),
    snapshotChunkBytes: random.pick([50, 1_000, 100_000]),
    longCommandRows: random.pick([1, 3, 10, 50, 2_048]),
    sharedBeatGroupsMin: LIMITS.sharedBeatGroupsMin,
  }
}

function drawWorkload(random: Random): WorkloadOptions {
  const kinds = WORKLOAD_KINDS.filter(() => random.chance(0.5))
  // From a stream of its own, so that older seeds stay what they were.
  const sessions: WorkloadKind[] = random.stream('sessions').chance(0.4) ? ['sessions'] : []
  return {
    kinds: [...(kinds.length > 0 ? kinds : (['registers'] as const)), ...sessions],
    clients: random.int(1, 12),
    watchers: random.int(0, 8),
    keys: random.int(5, 500),
    rate: random.int(10, 200),
    valueBytesMax: random.pick([16, 16, 256, 4_096]),
    serializableShare: random.chance(0.5) ? random.between(0, 0.5) : 0,
    requestTimeout: random.int(SECOND, 10 * SECOND),
    safetyTime: random.int(60 * SECOND, 120 * SECOND),
    sessionsAcross: false,
    listsAcross: false,
    compactEvery: random.chance(0.5) ? random.int(SECOND, 20 * SECOND) : 0,
  }
}

function drawFaults(random: Random): FaultOptions {
  const recurring = (label: string, every: readonly [Micros, Micros], lastsMax: Micros): Recurring => {
    const own = random.stream(label)
    const drawn = { every: own.int(...every), lastsMax: own.int(SECOND / 10, lastsMax) }
    return own.chance(0.5) ? drawn : { every: 0, lastsMax: 0 }
  }
  const own = random.stream('kinds')
  const kinds = PARTITION_KINDS.filter(() => own.chance(0.5))
  return {
    links: drawLinkFaults(random.stream('links')),
    partition: {
      ...recurring('partition', [2 * SECOND, 30 * SECOND], 20 * SECOND),
      kinds: kinds.length > 0 ? kinds : PARTITION_KINDS,
    },
    clog: recurring('clog', [2 * SECOND, 20 * SECOND], 5 * SECOND),
    crash: {
      ...recurring('crash', [2 * SECOND, 30 * SECOND], 10 * SECOND),
      powerLoss: own.chance(0.5),
      allAtOnceChance: own.chance(0.5) ? own.between(0, 0.3) : 0,
    },
    pause: recurring('pause', [2 * SECOND, 30 * SECOND], 30 * SECOND),
    wipe: recurring('wipe', [20 * SECOND, 2 * MINUTE], 10 * SECOND),
    disk: drawDisk(random.stream('disk')),
    clock: drawClock(random.stream('clock'), recurring('freeze', [5 * SECOND, MINUTE], 10 * SECOND)),
    membership: recurring('membership', [SECOND / 2, 8 * SECOND], 10 * SECOND),
    transfer: recurring('transfer', [SECOND, 20 * SECOND], SECOND),
    oracle: NEVER,
    deposed: NEVER,
  }
}

function drawDisk(random: Random): DiskFaults {
  const sometimes = (value: number): number => (random.chance(0.5) ? value : 0)
  return {
    syncMean: random.int(100, 20_000),
    slowSyncChance: sometimes(random.between(0, 0.02)),
    slowSyncMax: random.int(SECOND / 10, 10 * SECOND),
    errorChance: sometimes(random.between(0, 0.0005)),
    fullChance: sometimes(random.between(0, 0.0005)),
    partialLoss: random.chance(0.5),
    tornWrites: random.chance(0.5),
    bitRotChance: sometimes(random.between(0, 0.2)),
  }
}

function drawClock(random: Random, freeze: Recurring): ClockFaults {
  return {
    driftMax: random.pick([0, 0, 0.0005, 0.05, 1]),
    wallJumpMax: random.pick([0, 0, 1_000, 3_600_000]),
    freeze,
  }
}
