import { groupId, LIMITS, META_GROUP, replicaId, utf8, type GroupId, type KeyRange } from '@kvorum/model'
import type { LongCommandBound } from '@kvorum/machine'
import {
  NO_MAINTENANCE,
  foundingMeta,
  type Bootstrap,
  type MaintenanceOptions,
  type NodeLimits,
} from '@kvorum/node'
import { initialPlaces, rangesBetween } from '@kvorum/placement'
import type { LogOptions } from '@kvorum/storage'
import { Random } from '../random.js'
import { SECOND, type Micros } from '../schedule.js'
import { drawSwarm, isSplit, NEWEST_DRAW, type Draw, type SwarmOptions } from '../swarm.js'
import type { UpkeepOptions } from '../swarmUpkeep.js'
import { applyProfile, type ProfileName } from './profiles.js'
import { urlOf } from './addresses.js'
import { nodeOf } from './nodeConfig.js'

/** Everything a run is made of, drawn from its seed. */
export interface RunPlan {
  readonly seed: number
  readonly swarm: SwarmOptions
  readonly warmUp: Micros
  readonly safetyTime: Micros
  /** Messages go through the real frames. */
  readonly wire: boolean
  /** That the cluster begins with. */
  readonly groups: readonly GroupId[]
  readonly areas: readonly Area[]
  readonly limits: NodeLimits
  readonly longCommand: LongCommandBound
  readonly maintenance: MaintenanceOptions
  readonly log: Partial<LogOptions>
  readonly recoveredEntriesMax: number
  readonly bootstrap: Bootstrap
  /** Machines that may become members later. */
  readonly spares: number
  /** A client that tells of its watch responses late, at times. */
  readonly slowWatchers: boolean
}

export interface PlanOptions {
  readonly profile?: ProfileName
  readonly virtualSeconds?: number
  readonly draw?: Draw
}

export function planRun(seed: number, options: PlanOptions = {}): RunPlan {
  const random = new Random(seed).stream('plan')
  const draw = options.draw ?? NEWEST_DRAW
  const drawn = drawSwarm(seed, random.stream('swarm'), draw)
  const swarm = applyProfile(drawn, options.profile ?? 'swarm', random, draw)
  const own = random.stream('own')
  const { tuning } = swarm
  const time =
    options.virtualSeconds === undefined ? swarm.workload.safetyTime : options.virtualSeconds * SECOND
  const groups = [META_GROUP, ...shardsOf(swarm).map(({ group }) => group)]
  return {
    seed,
    swarm,
    warmUp: own.int(0, 3 * SECOND),
    safetyTime: time,
    wire: own.chance(0.25),
    groups,
    areas: Array.from({ length: swarm.cluster.dataGroups }, (_, i) => groupId(i + 1)),
    limits: {
      appendBytesMax: tuning.appendBytesMax,
      inflightBytesMax: tuning.inflightBytesMax,
      inflightAppendsMax: tuning.inflightAppendsMax,
      raftCacheBytesMax: tuning.raftCacheBytesMax,
      uncommittedBytesMax: tuning.uncommittedBytesMax,
      sharedBeatGroupsMin: tuning.sharedBeatGroupsMin,
      pendingRequestsMax: own.pick([20, 1_000, 20_000]),
      leasesMax: LIMITS.leasesMax,
      applyBytesMax: tuning.applyBytesMax,
      overlayBytesMax: tuning.overlayBytesMax,
      // Applying waits while the overlay is full, so a batch must be due before it is.
      flushBytes: Math.min(tuning.flushBytes, Math.floor(tuning.overlayBytesMax / 2)),
      flushAfterMs: own.pick([5, 50, 200]),
      recentEventsBytesMax: own.pick([1, 2_000, 1_000_000]),
      catchUpEntries: tuning.keepEntries,
      catchUpBytes: own.pick([2_000, 50_000, Infinity]),
      snapshotEntries: tuning.snapshotEvery,
      snapshotBytes: own.pick([2_000, 50_000, Infinity]),
      snapshotChunkBytes: Math.max(500, tuning.snapshotChunkBytes),
      watchQueueBytesMax: own.pick([300, 5_000, 1_000_000]),
      pageRowsMax: tuning.pageRowsMax,
      pageBytesMax: tuning.pageBytesMax,
    },
    longCommand: { rows: tuning.longCommandRows, bytes: 100_000 },
    maintenance: {
      ...NO_MAINTENANCE,
      quotaBytes: swarm.quota?.bytes ?? 0,
      autoDisarmNoSpace: swarm.quota?.autoDisarm ?? false,
      ...upkeepOf(swarm.upkeep),
    },
    log: {
      segmentBytes: tuning.segmentBytes,
      reserveBytes: 4_096,
      pinnedSegmentsMax: own.pick([1, 2, 4]),
      moveBytesMax: own.pick([200, 5_000, 1_000_000]),
    },
    recoveredEntriesMax: own.pick([0, 5, Infinity]),
    bootstrap: bootstrapOf(swarm),
    spares: swarm.faults.membership.every === 0 ? 0 : SPARES,
    slowWatchers: own.chance(0.3),
  }
}

function upkeepOf(upkeep: UpkeepOptions | null): Partial<MaintenanceOptions> {
  if (upkeep === null) return {}
  const { compactAfterMs, checkAtStart, checkEveryMs, checkAfterCompactionMs } = upkeep
  return {
    autoCompaction:
      compactAfterMs === 0 ? { kind: 'off' } : { kind: 'periodic', retentionMs: compactAfterMs },
    corruptCheck: { atStart: checkAtStart, everyMs: checkEveryMs, afterCompactionMs: checkAfterCompactionMs },
  }
}

const SPARES = 10

/**
 * The keys of one number: all begin with the same prefix. Where no shard is split, each area is a shard's, which has
 * its number.
 */
export type Area = GroupId

/** What is split later begins with one shard or two. */
function shardsOf({ cluster, seed }: SwarmOptions): { group: GroupId; range: KeyRange }[] {
  const few = Math.min(cluster.dataGroups, 1 + (seed % 2))
  const count = cluster.dense ? 1 : isSplit(cluster) ? few : cluster.dataGroups
  const splits = Array.from({ length: count - 1 }, (_, i) => utf8(`g${i + 2}`))
  return rangesBetween(splits).map((range, i) => ({ group: groupId(i + 1), range }))
}

/** Every key of an area begins with this. */
export const keyPrefix = (group: Area): string => `g${group}/`

function bootstrapOf(swarm: SwarmOptions): Bootstrap {
  const replicas = Array.from({ length: swarm.cluster.nodes }, (_, i) => ({
    id: replicaId(i + 1),
    node: nodeOf(i),
  }))
  const { cluster } = swarm
  const shards = shardsOf(swarm)
  const places = initialPlaces(
    replicas.map(({ node }) => node),
    shards.length,
    cluster.replicas > 0 ? cluster.replicas : replicas.length,
  )
  return {
    nodes: replicas.map(({ node }, station) => ({
      id: node,
      name: '',
      peerUrls: [urlOf(station)],
      clientUrls: [],
      learner: false,
      serverVersion: '',
    })),
    metaConfig: foundingMeta(replicas, cluster.replicas > 0),
    shards: shards.map(({ group, range }, i) => ({
      group,
      range,
      epoch: 1,
      replicas: replicas.filter(({ node }) => places[i]!.includes(node)),
    })),
    ...(cluster.replicas > 0 ? { placed: true, replicas: cluster.replicas } : {}),
    ...(swarm.cluster.oracle && !swarm.cluster.dense ? { oracle: true } : {}),
    joined: null,
  }
}
