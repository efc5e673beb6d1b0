import {
  LIMITS,
  MalformedError,
  type ClusterId,
  type Incarnation,
  type JoinAnswer,
  type NodeId,
  type ReplicaId,
} from '@kvorum/model'
import { REFUSAL_SENTENCES, votersOf, type Bootstrap } from '@kvorum/node'
import { askToJoin } from '@kvorum/peer'
import {
  decodeMetaRow,
  FIRST_MAP,
  formerMember,
  META_ROW,
  seatOf,
  type MetaRow,
  type NodeRecord,
} from '@kvorum/placement'
import type { LevelEngine } from '@kvorum/storage'
import { StartError, type NodeSetup } from '../wiring.js'
import { clusterIdOf } from '../identity.js'
import { addressOf } from './address.js'
import { bootstrapOf } from './bootstrap.js'

/**
 * Which member of which cluster this start is, and what it begins with:
 *
 *     founder       named by --initial-cluster; ids are computed from it, the groups begin as it says
 *     newcomer      --initial-cluster-state existing and an empty directory: it asks the members who it is
 *     here before   the directory knows, and what it has applied of the members is newer than any flag
 */
export interface Place {
  readonly cluster: ClusterId
  readonly self: NodeId
  readonly bootstrap: Bootstrap
}

/** What a directory's log says of itself. */
export interface DirectoryIdentity {
  readonly clusterId: bigint
  readonly nodeId: bigint
  readonly incarnation: bigint
}

export async function findPlace(
  setup: NodeSetup,
  engine: LevelEngine,
  directory: DirectoryIdentity | null,
): Promise<Place> {
  const { cluster, self, config } = setup
  const meta = await metaRowIn(engine)
  const founded = directory?.nodeId === self ? foundedWith(setup, directory) : null
  if (founded !== null) {
    tellOfReplicas(setup, meta?.placement.replicas ?? founded)
    const begun = { ...setup, replicas: founded }
    return { cluster: directory!.clusterId as ClusterId, self, bootstrap: foundersBootstrap(begun, meta) }
  }
  if (config.initialClusterState === 'new') {
    return { cluster, self, bootstrap: foundersBootstrap(setup, meta) }
  }
  if (directory !== null && meta !== null) return hereBefore(meta, directory)
  return newcomer(setup, directory)
}

/**
 * With how many replicas of each shard the cluster began that this founder's directory is of: its id tells, whatever
 * --replicas says by now. Null: it is not of a cluster that these settings make.
 */
function foundedWith({ config, cluster }: NodeSetup, { clusterId }: DirectoryIdentity): number | null {
  if (clusterId === cluster) return config.replicas
  const { initialCluster, initialClusterToken, initialSplitKeys } = config
  for (let replicas = 0; replicas <= LIMITS.replicasPerShardMax; replicas++)
    if (clusterIdOf(initialCluster, initialClusterToken, initialSplitKeys, replicas) === clusterId)
      return replicas
  return null
}

/** The flag is for a cluster that begins; one that is there has its number in the meta group's state. */
function tellOfReplicas({ config, logger }: NodeSetup, replicas: number): void {
  if (config.replicas === 0 || config.replicas === replicas) return
  logger.warn(
    { replicas, flag: config.replicas },
    '--replicas has no effect: the cluster is there, and has a number of its own (0: a replica on every member)',
  )
}

function hereBefore(meta: MetaRow, directory: DirectoryIdentity): Place {
  const self = directory.nodeId as NodeId
  const seat = seatOf(meta, self) ?? formerSeat(meta, self)
  const isPlaced = meta.placement.shards.length > 0
  const seated = meta.membership.seats.filter(({ founder }) => founder)
  const founders = isPlaced
    ? seated.map(({ replica, node }) => ({ id: replica, node }))
    : (meta.shards.shards[0]?.replicas ?? [])
  return {
    cluster: directory.clusterId as ClusterId,
    self,
    bootstrap: {
      nodes: meta.nodes,
      metaConfig: votersOf(seat.founder ? founders : []),
      shards: meta.shards.shards,
      mapChanged: isChanged(meta),
      placed: isPlaced,
      joined: seat.founder ? null : seat.replica,
    },
  }
}

/** One who was removed starts all the same: the groups may need it to let it go, and the others tell it when not. */
function formerSeat(meta: MetaRow, self: NodeId): { replica: ReplicaId; founder: boolean } {
  const former = formerMember(meta, self)
  if (former === undefined) throw new StartError(REFUSAL_SENTENCES.unknownMember)
  if (former.replica === 0) throw new StartError(REFUSAL_SENTENCES.removedMember)
  return { replica: former.replica, founder: false }
}

/** What this node has applied of the meta group's log; null: nothing that can be read. */
async function metaRowIn(engine: LevelEngine): Promise<MetaRow | null> {
  const { values } = await engine.fetch({ gets: [META_ROW], scans: [] })
  const row = values[0] ?? null
  try {
    return row === null ? null : decodeMetaRow(row)
  } catch (error) {
    if (error instanceof MalformedError) return null
    throw error
  }
}

/** The groups begin as --initial-cluster says; of the members this node may know more by now. */
function foundersBootstrap(setup: NodeSetup, meta: MetaRow | null): Bootstrap {
  const bootstrap = bootstrapOf(setup)
  if (meta === null) return bootstrap
  return {
    ...bootstrap,
    nodes: meta.nodes,
    shards: meta.shards.shards,
    mapChanged: isChanged(meta),
    placed: meta.placement.shards.length > 0,
  }
}

/** Whether there are shards by now that did not begin with the cluster. */
const isChanged = ({ shards }: MetaRow): boolean => shards.version > FIRST_MAP

const notStarted = (id: NodeId, peerUrls: readonly string[]): NodeRecord => ({
  id,
  name: '',
  peerUrls,
  clientUrls: [],
  learner: false,
  serverVersion: '',
})

const ASK_MS = 5_000
const PAUSE_MS = 500
/** How long a newcomer looks for somebody who can tell it who it is. */
const LOOK_MS = 60_000

async function newcomer(setup: NodeSetup, directory: DirectoryIdentity | null): Promise<Place> {
  const answer = await askMembers(setup, (directory?.incarnation ?? 0n) as Incarnation)
  if (directory !== null && (answer.node !== directory.nodeId || answer.cluster !== directory.clusterId)) {
    throw new StartError(
      'The data directory belongs to another member than the one that was added with these peer URLs: ' +
        'start this member with an empty directory.',
    )
  }
  return {
    cluster: answer.cluster,
    self: answer.node,
    bootstrap: {
      nodes: answer.members.map(({ node, peerUrls }) => notStarted(node, peerUrls)),
      metaConfig: votersOf([]),
      shards: answer.shards.map(shard => ({ ...shard, replicas: [] })),
      joined: answer.replica as ReplicaId,
    },
  }
}

async function askMembers(
  { config, logger, peerTls }: NodeSetup,
  incarnation: Incarnation,
): Promise<Extract<JoinAnswer, { kind: 'member' }>> {
  const others = config.initialCluster
    .flatMap(({ peerUrls }) => peerUrls)
    .filter(url => !config.advertisePeerUrls.includes(url))
  if (others.length === 0) {
    throw new StartError(
      '--initial-cluster-state=existing needs --initial-cluster to name members of the cluster to join.',
    )
  }
  const until = Date.now() + LOOK_MS
  for (;;) {
    for (const url of others) {
      const request = { peerUrls: config.advertisePeerUrls, incarnation }
      const answer = await askToJoin(addressOf(url), request, ASK_MS, peerTls)
      if (answer.kind === 'member') return answer
      if (answer.kind === 'refused') throw new StartError(answer.reason)
    }
    if (Date.now() > until) {
      throw new StartError(`No member of the cluster to join answered at ${others.join(', ')}.`)
    }
    logger.info({ asked: others.length }, 'no member of the cluster to join has answered yet')
    await new Promise(resolve => setTimeout(resolve, PAUSE_MS))
  }
}
