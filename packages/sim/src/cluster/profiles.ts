import { CALM_LINK } from '../network/faults.js'
import type { Random } from '../random.js'
import { MILLISECOND, SECOND } from '../schedule.js'
import {
  NEWEST_DRAW,
  type ClusterOptions,
  type Draw,
  type FaultOptions,
  type Recurring,
  type SwarmOptions,
  type WorkloadKind,
  type WorkloadOptions,
} from '../swarm.js'
import { drawSomeUpkeep } from '../swarmUpkeep.js'

/**
 * Which faults a run concentrates on. `swarm` is the draw as it is; the others make one kind of mistake likely
 * within a short run, for the mutants that need it.
 */
export type ProfileName =
  | 'swarm'
  | 'calm'
  | 'elections'
  | 'powerLoss'
  | 'partitions'
  | 'delays'
  | 'bitRot'
  | 'members'
  | 'beats'
  | 'shards'
  | 'moves'
  | 'deposed'
  | 'upkeep'

const NEVER = { every: 0, lastsMax: 0 }

const CALM: FaultOptions = {
  links: CALM_LINK,
  partition: { ...NEVER, kinds: ['isolate'] },
  clog: NEVER,
  crash: { ...NEVER, powerLoss: true, allAtOnceChance: 0 },
  pause: NEVER,
  wipe: NEVER,
  disk: {
    syncMean: 2_000,
    slowSyncChance: 0,
    slowSyncMax: 0,
    errorChance: 0,
    fullChance: 0,
    partialLoss: false,
    tornWrites: false,
    bitRotChance: 0,
  },
  clock: { driftMax: 0, wallJumpMax: 0, freeze: NEVER },
  membership: NEVER,
  transfer: NEVER,
  oracle: NEVER,
  deposed: NEVER,
}

/** The others are for one kind of mistake each. */
const NOBODY = { users: null, quota: null }

/** Safety phases are a third of the draw: many short runs find more than few long ones. */
function shorter(swarm: SwarmOptions): SwarmOptions {
  const { cluster, workload, faults } = swarm
  return {
    ...swarm,
    cluster: { ...cluster, nodes: Math.min(5, cluster.nodes) },
    workload: { ...workload, safetyTime: Math.round(workload.safetyTime / 4) },
    faults: { ...faults, disk: { ...faults.disk, bitRotChance: 0 } },
  }
}

const kindsOverShards = ({ kinds, sessionsAcross }: WorkloadOptions): readonly WorkloadKind[] =>
  sessionsAcross && !kinds.includes('sessions') ? [...kinds, 'sessions'] : kinds

function drawSplits(random: Random): Pick<ClusterOptions, 'splitEvery' | 'dense' | 'wideWatches'> {
  const splitEvery = random.chance(0.75) ? random.int(SECOND, 4 * SECOND) : 0
  return { splitEvery, dense: splitEvery > 0 && random.chance(0.5), wideWatches: true }
}

/**
 * Splits by size, and in some of these runs by load; of what is written a run comes to have a dozen shards or two.
 */
function drawAutomaticSplits(
  random: Random,
  { rate, safetyTime, valueBytesMax }: WorkloadOptions,
): Pick<ClusterOptions, 'splitBytes' | 'busyRequests'> {
  const written = rate * (safetyTime / SECOND) * (30 + valueBytesMax / 8)
  const drawn = {
    splitBytes: Math.round(written / random.pick([2, 4, 8])) + 1,
    busyRequests: random.chance(0.5) ? random.pick([1, 5, 20]) : 0,
  }
  return random.chance(0.6) ? drawn : { splitBytes: 0, busyRequests: 0 }
}

const drawComings = (random: Random): Recurring => {
  const drawn = { every: random.int(SECOND / 2, 3 * SECOND), lastsMax: SECOND }
  return random.chance(0.7) ? drawn : NEVER
}

export function applyProfile(
  drawn: SwarmOptions,
  profile: ProfileName,
  random: Random,
  draw: Draw = NEWEST_DRAW,
): SwarmOptions {
  const swarm = profile === 'swarm' || profile === 'calm' ? shorter(drawn) : { ...shorter(drawn), ...NOBODY }
  const own = random.stream('profile')
  const { cluster, faults } = swarm
  const quick = { heartbeatMs: 50, electionTimeoutMs: own.int(150, 400) }
  const three = { ...cluster, ...quick, nodes: own.pick([3, 3, 5]), dataGroups: 1 }
  const crash = { every: 2 * SECOND, lastsMax: SECOND, powerLoss: true, allAtOnceChance: 0.3 }
  switch (profile) {
    case 'swarm':
      return swarm
    case 'members':
      return {
        ...swarm,
        users: null,
        quota: null,
        cluster: { ...three, nodes: own.pick([1, 2, 3, 3, 4, 5]), dataGroups: own.pick([1, 1, 3]) },
        // Few requests: what is looked for is between the members.
        workload: {
          ...swarm.workload,
          clients: Math.min(3, swarm.workload.clients),
          watchers: Math.min(1, swarm.workload.watchers),
          rate: Math.min(20, swarm.workload.rate),
        },
        faults: {
          ...CALM,
          links: { ...CALM_LINK, delayMean: own.int(1, 20) * MILLISECOND },
          partition: { every: 3 * SECOND, lastsMax: 2 * SECOND, kinds: faults.partition.kinds },
          crash: { ...crash, allAtOnceChance: 0.1 },
          membership: { every: SECOND, lastsMax: SECOND },
        },
      }
    case 'beats':
      // As with a thousand groups: all heartbeats of a node travel together. Which faults there are is drawn.
      return {
        ...swarm,
        cluster: { ...cluster, nodes: own.pick([3, 3, 5]), dataGroups: own.int(1, 8) },
        tuning: { ...swarm.tuning, sharedBeatGroupsMin: 2 },
      }
    case 'upkeep':
      return {
        ...swarm,
        users: null,
        quota: null,
        upkeep: drawSomeUpkeep(own),
        cluster: { ...three, nodes: 3, dataGroups: own.pick([1, 1, 3]) },
        workload: { ...swarm.workload, compactEvery: 0 },
        faults: {
          ...CALM,
          links: { ...CALM_LINK, delayMean: own.int(1, 20) * MILLISECOND },
          partition: { every: 4 * SECOND, lastsMax: 2 * SECOND, kinds: faults.partition.kinds },
          crash: { ...crash, allAtOnceChance: 0.1 },
        },
      }
    case 'calm':
      return { ...swarm, faults: CALM }
    case 'moves': {
      const shards = applyProfile(drawn, 'shards', random, draw)
      const moves = random.stream('moves')
      return {
        ...shards,
        cluster: {
          ...shards.cluster,
          nodes: moves.pick([4, 5, 5]),
          replicas: 3,
          dense: false,
          moveEvery: moves.int(SECOND, 4 * SECOND),
          // Who went with its replicas, or stays away, leaves shards that only the balancer mends.
          balanced: moves.chance(0.5) || shards.faults.membership.every > 0,
        },
      }
    }
    case 'deposed': {
      const moves = applyProfile(drawn, 'moves', random, draw)
      const delayMean = random.stream('deposed').int(1, 10) * MILLISECOND
      return {
        ...moves,
        cluster: { ...moves.cluster, nodes: 5, moveEvery: 0, splitEvery: 0 },
        faults: {
          ...CALM,
          links: { ...CALM_LINK, delayMean },
          deposed: { every: 2 * SECOND, lastsMax: 12 * SECOND },
        },
      }
    }
    case 'shards':
      return {
        ...swarm,
        users: null,
        quota: null,
        cluster: {
          ...three,
          nodes: own.pick([1, 3, 3, 3, 5]),
          dataGroups: own.pick([2, 2, 3, 5]),
          oracle: true,
          ...(draw < 6 ? {} : drawSplits(random.stream('splits'))),
          ...(draw < 8 ? {} : drawAutomaticSplits(random.stream('automatic splits'), swarm.workload)),
        },
        workload: {
          ...swarm.workload,
          kinds: kindsOverShards(swarm.workload),
          listsAcross: draw >= 7,
        },
        faults: {
          ...CALM,
          links: {
            ...CALM_LINK,
            delayMean: own.int(1, 30) * MILLISECOND,
            spikeChance: own.pick([0, 0.02]),
            spikeMax: SECOND,
            cutChance: own.pick([0, 0.005]),
          },
          partition: { every: 3 * SECOND, lastsMax: 2 * SECOND, kinds: faults.partition.kinds },
          crash: own.chance(0.5) ? { ...crash, allAtOnceChance: 0.1 } : CALM.crash,
          pause: own.chance(0.5) ? { every: 3 * SECOND, lastsMax: 2 * SECOND } : NEVER,
          transfer: own.chance(0.5) ? { every: 2 * SECOND, lastsMax: SECOND } : NEVER,
          disk: { ...CALM.disk, syncMean: own.int(500, 20_000) },
          oracle: draw >= 7 ? { every: 4 * SECOND, lastsMax: SECOND } : NEVER,
          membership: draw >= 8 ? drawComings(random.stream('comings')) : NEVER,
        },
      }
    case 'elections':
      return {
        ...swarm,
        cluster: three,
        faults: {
          ...CALM,
          links: {
            ...CALM_LINK,
            delayMean: own.int(1, 40) * MILLISECOND,
            spikeChance: 0.02,
            spikeMax: SECOND,
          },
          partition: { every: 2 * SECOND, lastsMax: 2 * SECOND, kinds: faults.partition.kinds },
          crash: { ...crash, allAtOnceChance: 0.1 },
          pause: { every: 3 * SECOND, lastsMax: 2 * SECOND },
          disk: { ...CALM.disk, syncMean: own.int(500, 30_000) },
        },
      }
    case 'powerLoss':
      return {
        ...swarm,
        cluster: three,
        faults: { ...CALM, crash, disk: { ...CALM.disk, syncMean: own.int(500, 30_000), partialLoss: true } },
      }
    case 'partitions':
      return {
        ...swarm,
        cluster: three,
        faults: {
          ...CALM,
          links: { ...CALM_LINK, delayMean: own.int(1, 40) * MILLISECOND },
          partition: { every: SECOND, lastsMax: 3 * SECOND, kinds: faults.partition.kinds },
          pause: { every: 3 * SECOND, lastsMax: 2 * SECOND },
        },
      }
    case 'delays':
      // Connections break under pipelined appends while answers are on their way: what is sent again meets what
      // arrived, and was counted, long ago.
      return {
        ...swarm,
        cluster: { ...three, heartbeatMs: 100, electionTimeoutMs: 2_000 },
        tuning: {
          ...swarm.tuning,
          appendBytesMax: own.pick([1, 300]),
          inflightAppendsMax: 256,
          inflightBytesMax: 1_000_000,
          uncommittedBytesMax: 1_000_000,
        },
        workload: { ...swarm.workload, clients: 12, rate: 200 },
        faults: {
          ...CALM,
          links: { ...CALM_LINK, delayMean: own.int(20, 150) * MILLISECOND, cutChance: 0.02 },
          disk: { ...CALM.disk, syncMean: own.int(500, 10_000) },
        },
      }
    case 'bitRot':
      return {
        ...swarm,
        cluster: { ...three, nodes: 3 },
        // Where one of three is set aside and another needs a snapshot, a check at the start cannot pass (decision 0012).
        upkeep: swarm.upkeep === null ? null : { ...swarm.upkeep, checkAtStart: false },
        faults: { ...CALM, crash, disk: { ...CALM.disk, bitRotChance: 1 } },
      }
  }
}

export const PROFILES: readonly ProfileName[] = [
  'swarm',
  'calm',
  'elections',
  'powerLoss',
  'partitions',
  'delays',
  'bitRot',
  'members',
  'beats',
  'shards',
  'moves',
  'deposed',
  'upkeep',
]
