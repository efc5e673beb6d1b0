import { META_GROUP } from '@kvorum/model'
import { isTaken, placedShard, type MetaCommand, type MetaState } from '@kvorum/placement'
import { isReadyToVote, proposeConfig } from '@kvorum/raft'
import { openCall } from './calls.js'
import { handOver } from './consensus.js'
import { leads, metaOf, nodeOfReplica } from './membership.js'
import { isAsWanted, nextChange } from './membershipPlan.js'
import { proposeMeta } from './metaProposals.js'
import { isNeededElsewhere } from './roster.js'
import { note, type Group, type NodeState, type Turn } from './state.js'
import { routeCall } from './writes.js'

/**
 * Each group's leader brings its group to what the meta group's state wants, step by step, as a duty: whoever
 * leads next goes on where the log stands. What it knows of the meta group must be as new as its leadership, or it
 * might let in again whom an earlier leader had let go; so a leader of another group first asks.
 *
 * The meta group lets a member go last: one that leads another group, or is its only voter, must go on hearing
 * what it has to do there.
 */
export function driveMembership(turn: Turn, group: Group): void {
  const { state } = turn
  const { raft } = group
  const meta = metaOf(state)
  if (raft === null || raft.role !== 'leader' || raft.commit < raft.termStart || meta === null) return
  const caughtUp = (id: Parameters<typeof isReadyToVote>[1]['id']): boolean => {
    const progress = raft.progress.get(id)
    if (progress === undefined || progress.heardAt <= turn.now - state.options.electionTimeoutMs) return false
    return isReadyToVote(raft, progress)
  }
  const mayGo = (id: Parameters<typeof isReadyToVote>[1]['id']): boolean => {
    const node = nodeOfReplica(group, id)
    return group.id !== META_GROUP || node === null || !isNeededElsewhere(state, node)
  }
  const change = nextChange(raft.config, meta, raft.id, caughtUp, mayGo, group.id)
  if (change === null) {
    tellPlaced(turn, group, meta)
    return
  }
  if (raft.transfer !== null || !knowsEnough(turn, group)) return
  // One that stays should lead before this replica goes: nobody then waits for an election.
  if (change.remove.includes(raft.id) && isPlaced(meta, group) && handOver(turn, group)) return
  if (proposeConfig(raft, turn.wall, change).ok) {
    turn.touched.add(group)
    note(turn, 'info', 'The members of a group change', {
      group: group.id,
      learners: change.addLearners.length,
      promoted: change.promote.length,
      removed: change.remove.length,
    })
  }
}

const isPlaced = (meta: MetaState, { id }: Group): boolean => placedShard(meta, id) !== undefined

/** The group is as it was wanted, and has decided so: whoever it let go may go for good. */
function tellPlaced(turn: Turn, group: Group, meta: MetaState): void {
  const { raft } = group
  const placed = placedShard(meta, group.id)
  const last = raft?.configs.at(-1)
  if (placed === undefined || placed.settled || raft === null || last === undefined) return
  if (last.index > raft.commit || !isAsWanted(last.config, meta, group.id)) return
  proposeMeta(turn, { kind: 'shardPlaced', group: group.id, nodes: placed.nodes, index: last.index })
}

function knowsEnough(turn: Turn, group: Group): boolean {
  const raft = group.raft!
  if (group.id === META_GROUP) return group.machine.applied >= raft.termStart
  if (group.membersTerm === raft.term) return true
  if (turn.now < group.membersAskedUntil) return false
  group.membersAskedUntil = turn.now + turn.state.options.electionTimeoutMs * 2
  const origin = { kind: 'members', group: group.id, term: raft.term } as const
  const call = openCall(turn, origin, { kind: 'barrier' }, group.membersAskedUntil)
  if (call !== null) routeCall(turn, call)
  return false
}

/** What the log should bind: founders speak for themselves once they take part, newcomers are spoken for. */
export function bindCommand(state: NodeState, meta: MetaState, group: Group): MetaCommand | null {
  const { self } = state.options
  for (const seat of meta.membership.seats) {
    if (isTaken(seat)) continue
    if (seat.node === self && state.admission.admitted)
      return { kind: 'bindMember', node: self, incarnation: state.identity.incarnation }
    const peer = state.peers.get(seat.node)
    if (!seat.founder && leads(group) && peer?.trusted === true && peer.record !== null)
      return { kind: 'bindMember', node: seat.node, incarnation: peer.record.incarnation }
  }
  return null
}
