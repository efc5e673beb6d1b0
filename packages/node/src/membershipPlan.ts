import type { GroupConfig, ReplicaId } from '@kvorum/model'
import { isTaken, type MetaState } from '@kvorum/placement'
import type { ConfigChange } from '@kvorum/raft'

/**
 * The next step from a group's configuration to what the meta group's state wants: one joint change at a time,
 * found anew from both each time, so that it does not matter who was leader in between.
 *
 *     not there yet --> learner --> caught up --> voter (unless it is meant to be a learner)
 *     no member any more --> out, when `mayGo` says so
 */
export function nextChange(
  config: GroupConfig,
  meta: MetaState,
  self: ReplicaId,
  isCaughtUp: (id: ReplicaId) => boolean,
  mayGo: (id: ReplicaId) => boolean = () => true,
): ConfigChange | null {
  const seats = new Map(meta.membership.seats.map(seat => [seat.replica, seat]))
  const learners = new Set(meta.nodes.filter(({ learner }) => learner).map(({ id }) => id))
  const present = [...config.voters, ...config.learners]
  const gone = present.filter(id => !seats.has(id) && mayGo(id))
  const promote = config.learners.filter(id => {
    const seat = seats.get(id)
    return seat !== undefined && !learners.has(seat.node) && isCaughtUp(id)
  })
  // A leader that goes itself goes last: what it can still do for the others it does first.
  const remove = gone.length > 1 || promote.length > 0 ? gone.filter(id => id !== self) : gone
  const voters = config.voters.filter(id => !remove.includes(id)).length + promote.length
  if (remove.length + promote.length > 0 && voters > 0) return { ...NOTHING, promote, remove }
  const addLearners = meta.membership.seats
    .filter(seat => !present.includes(seat.replica) && (seat.founder || isTaken(seat)))
    .map(({ replica, node }) => ({ id: replica, node }))
  return addLearners.length === 0 ? null : { ...NOTHING, addLearners }
}

const NOTHING: ConfigChange = { addVoters: [], addLearners: [], promote: [], demote: [], remove: [] }
