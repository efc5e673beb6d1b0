import { META_GROUP, type GroupConfig, type GroupId, type ReplicaId } from '@kvorum/model'
import { isTaken, wantedSeats, type MetaState } from '@kvorum/placement'
import type { ConfigChange } from '@kvorum/raft'
import { votersOf } from './groupMachine.js'

/**
 * The next step from a group's configuration to what the meta group's state wants: one joint change at a time,
 * found anew from both each time, so that it does not matter who was leader in between.
 *
 *     not there yet --> learner --> caught up --> voter (unless it is meant to be a learner)
 *     no member any more --> out, when `mayGo` says so
 *     a member whose replica is wanted elsewhere --> out together with the one that takes its place
 *
 * Nothing begins before most voters of what comes out are there and caught up, as far as the leader (`self`) sees: the
 * joint configuration could not be left, and nothing else be decided, before they are.
 *
 * Of the meta group no more than META_VOTERS_MAX vote where shards are placed; the other members learn the map from
 * it as learners.
 */
export function nextChange(
  config: GroupConfig,
  meta: MetaState,
  self: ReplicaId,
  isCaughtUp: (id: ReplicaId) => boolean,
  mayGo: (id: ReplicaId) => boolean = () => true,
  group: GroupId = META_GROUP,
): ConfigChange | null {
  const wanted = wantedSeats(meta, group)
  const seats = new Map(wanted.map(seat => [seat.replica, seat]))
  const members = new Set(meta.membership.seats.map(({ replica }) => replica))
  const learners = new Set(meta.nodes.filter(({ learner }) => learner).map(({ id }) => id))
  const present = [...config.voters, ...config.learners]
  const gone = present.filter(id => !members.has(id) && mayGo(id))
  const places = group === META_GROUP && meta.placement.replicas > 0 ? META_VOTERS_MAX : Infinity
  const staying = config.voters.filter(id => !gone.includes(id)).length
  const promote = config.learners
    .filter(id => {
      const seat = seats.get(id)
      return seat !== undefined && !learners.has(seat.node) && isCaughtUp(id)
    })
    .slice(0, Math.max(0, places - staying))
  const arriving = wanted.filter(
    ({ replica, node }) =>
      !learners.has(node) && !config.voters.includes(replica) && !promote.includes(replica),
  )
  const moved = present.filter(id => members.has(id) && !seats.has(id) && mayGo(id))
  const leaving = arriving.length === 0 ? [...gone, ...moved] : gone
  // A leader that goes itself goes last: what it can still do for the others it does first.
  const remove = leaving.length > 1 || promote.length > 0 ? leaving.filter(id => id !== self) : leaving
  const isReady = (id: ReplicaId): boolean => id === self || isCaughtUp(id)
  const voters = [...config.voters.filter(id => !remove.includes(id)), ...promote]
  if (remove.length + promote.length > 0 && isMajority(voters, isReady))
    return { ...NOTHING, promote, remove }
  const addLearners = wanted
    .filter(seat => !present.includes(seat.replica) && (seat.founder || isTaken(seat)))
    .map(({ replica, node }) => ({ id: replica, node }))
  return addLearners.length === 0 ? null : { ...NOTHING, addLearners }
}

const isMajority = (voters: readonly ReplicaId[], isReady: (id: ReplicaId) => boolean): boolean =>
  voters.filter(isReady).length * 2 > voters.length

/** More voters would make the meta group's every decision slower and no safer. */
export const META_VOTERS_MAX = 5

/** The meta group's first configuration. Where shards are placed, members beyond META_VOTERS_MAX only learn from it. */
export function foundingMeta(replicas: GroupConfig['replicas'], placed: boolean): GroupConfig {
  const config = votersOf(replicas)
  if (!placed) return config
  const { voters } = config
  return { ...config, voters: voters.slice(0, META_VOTERS_MAX), learners: voters.slice(META_VOTERS_MAX) }
}

/** Whether the group is as the meta group's state wants it: exactly the wanted replicas vote, and nobody else is there. */
export function isAsWanted(config: GroupConfig, meta: MetaState, group: GroupId): boolean {
  const wanted = wantedSeats(meta, group).map(({ replica }) => replica)
  return (
    config.outgoing.length === 0 &&
    config.learners.length === 0 &&
    config.voters.length === wanted.length &&
    wanted.every(id => config.voters.includes(id))
  )
}

const NOTHING: ConfigChange = { addVoters: [], addLearners: [], promote: [], demote: [], remove: [] }
