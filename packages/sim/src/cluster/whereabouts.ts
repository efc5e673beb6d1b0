import { META_GROUP, type GroupConfig, type GroupId, type NodeId } from '@kvorum/model'
import { clearScans, inSnapshot } from '@kvorum/machine'
import { META_VOTERS_MAX, type Group, type NodeState } from '@kvorum/node'
import { isMoving, wantedNodes, wantedSeats, type MetaState } from '@kvorum/placement'
import { SECOND, type Micros } from '../schedule.js'
import { isSplit } from '../swarm.js'
import type { Cluster } from './cluster.js'
import { stationOf } from './nodeConfig.js'
import type { SimNode } from './simNode.js'
import { members, sound } from './soundReplicas.js'

/** Who was let in takes part in every group as the members' log says; who was removed has ended and is in none. */
export function followed(cluster: Cluster): boolean {
  const { latest } = cluster.observer.members
  if (cluster.plan.spares === 0) return true
  const gone = cluster.nodes.filter(node => latest.removed.includes(node.id))
  if (gone.some(node => node.status !== 'failed' && node.status !== 'down' && !isLost(cluster, node)))
    return false
  const present = new Set(members(cluster).flatMap(node => (node.status === 'failed' ? [] : [node.id])))
  const seats = latest.members.filter(({ node }) => present.has(node))
  if (seats.some(({ started, incarnation }) => !started || incarnation === 0n)) return false
  const voters = seats.filter(({ learner }) => !learner).map(({ replica }) => replica)
  const isPlaced = cluster.plan.swarm.cluster.replicas > 0
  for (const { group } of sound(cluster)) {
    const { raft } = group
    if (raft === null || raft.config.outgoing.length > 0) return false
    const { config } = raft
    if (!config.replicas.every(({ node }) => latest.members.some(seat => seat.node === node))) return false
    // Where the replicas of placed shards are is asked later.
    if (isPlaced && group.id !== META_GROUP) continue
    if (!seats.every(({ replica }) => config.replicas.some(({ id }) => id === replica))) return false
    const enough = isPlaced && config.voters.length >= META_VOTERS_MAX
    if (!enough && !voters.every(id => config.voters.includes(id))) return false
  }
  return true
}

/** Everybody has moved away from where it would look for them, and who was removed is looked for by nobody. */
const isLost = ({ world: { addresses } }: Cluster, { state }: SimNode): boolean =>
  state !== null &&
  [...state.peers.values()].every(({ node, urls, said }) =>
    [...urls, ...said].every(url => addresses.at(url) !== stationOf(node)),
  )

/**
 * What was begun is on the map, and all that is on the map is where it says, and nowhere else: on members that live,
 * and on as many of them as there should be. Nothing is so large that it would still be split.
 */
export function isSettled(cluster: Cluster): boolean {
  const { swarm } = cluster.plan
  if (!isSplit(swarm.cluster) && swarm.cluster.moveEvery === 0) return true
  const living = members(cluster).filter(({ status }) => status !== 'failed')
  return living.every(node => isSettledAt(cluster, node, living)) && isSmallEnough(cluster)
}

function isSettledAt(cluster: Cluster, { id, state }: SimNode, living: readonly SimNode[]): boolean {
  const { balanced, replicas } = cluster.plan.swarm.cluster
  const meta = state?.groups.get(META_GROUP)?.machine.meta
  if (!state || !meta || meta.operations.length > 0) return false
  if (meta.shards.shards.length !== cluster.observer.truths.shards.length) return false
  if ([...state.replicas.retired.values()].some(({ phase }) => phase !== 'gone')) return false
  const able = living.filter(node => isVoter(meta, node)).map(node => node.id)
  // With too few who live, whoever is lost keeps its place until somebody comes.
  const isShort = balanced && able.length < replicas
  return meta.shards.shards.every(({ group }) => {
    const own = state.groups.get(group)
    if (!wantedSeats(meta, group).some(({ node }) => node === id)) return own === undefined
    if (own?.machine.shard == null || own.machine.shard.applied === 0) return false
    if (replicas === 0) return true
    const wanted = wantedNodes(meta, group)
    if (isShort) return able.every(node => wanted.includes(node) && isVoterIn(own, node))
    if (balanced && (wanted.length !== replicas || !wanted.every(node => able.includes(node)))) return false
    return !isMoving(meta, group) && own.raft !== null && isWhollyOn(own.raft.config, wanted)
  })
}

const isVoterIn = ({ raft }: Group, node: NodeId): boolean =>
  raft?.config.replicas.some(replica => replica.node === node && raft.config.voters.includes(replica.id)) ===
  true

const isVoter = ({ nodes }: MetaState, { id }: SimNode): boolean =>
  nodes.some(node => node.id === id && !node.learner)

const isWhollyOn = ({ outgoing, voters, replicas }: GroupConfig, wanted: readonly bigint[]): boolean =>
  outgoing.length === 0 &&
  voters.length === wanted.length &&
  replicas.length === wanted.length &&
  replicas.every(({ node }) => wanted.includes(node))

/** By what the leaders of shards have told the meta group's, who splits. */
function isSmallEnough(cluster: Cluster): boolean {
  const { splitBytes } = cluster.plan.swarm.cluster
  if (splitBytes === 0) return true
  const state = cluster.leaderOf(META_GROUP)?.state
  if (!state) return false
  return cluster.observer.truths.shards.every(({ group }) => {
    const told = state.loads.told.get(group)
    if (told === undefined) return false
    // Where a replica's place is lost and nobody can take it, the shard is not touched.
    return told.bytes <= splitBytes || told.bytesMiddle === null || isMovingAt(state, group)
  })
}

function isMovingAt(state: NodeState, group: GroupId): boolean {
  const meta = state.groups.get(META_GROUP)?.machine.meta
  return meta != null && isMoving(meta, group)
}

const LOOK_EVERY: Micros = SECOND / 2

/** No row is left of a replica that has gone. Reads whole stores, so it looks now and then only. */
export function nothingLeft(cluster: Cluster): () => boolean {
  let next = 0
  return () => {
    const { now } = cluster.schedule
    if (now < next) return false
    next = now + LOOK_EVERY
    return members(cluster).every(node => node.state === null || isCleared(cluster, node))
  }
}

function isCleared(cluster: Cluster, { state, engine }: SimNode): boolean {
  return cluster.observer.truths.shards.every(({ group, range }) => {
    if (range === null || state?.groups.has(group) === true) return true
    const rows = { group, range }
    return clearScans(rows).every(scan => {
      const all = { ...scan, values: false, rowsMax: Infinity, bytesMax: Infinity }
      const page = engine.fetchSync({ gets: [], scans: [all] }).pages[0]!
      return !page.rows.some(({ key }) => inSnapshot(rows, key))
    })
  })
}
