import { encodeReply, META_GROUP, type GroupId, type NodeId } from '@kvorum/model'
import { seatOf } from '@kvorum/placement'
import { answerCall, failCall, type Call } from './calls.js'
import { handOver } from './consensus.js'
import { headerTerm, leaderNode, leads, metaOf } from './membership.js'
import { isElsewhere } from './remotes.js'
import type { Group, Turn } from './state.js'

/**
 * A group's leadership goes to a voter of choice; the answer waits until it is there. MoveLeader asks that of the meta
 * group, `kvorum shard transfer` and the balancer of a shard.
 */
export interface MovingLeader {
  readonly call: Call
  readonly group: GroupId
  readonly to: NodeId
}

export function moveLeader(turn: Turn, group: Group, call: Call, to: NodeId): void {
  const { state } = turn
  const { raft } = group
  if (raft === null || !leads(group)) {
    failCall(turn, call, raft === null || raft.leader === 0 ? 'noLeader' : 'notLeader')
    return
  }
  const meta = metaOf(state)
  const seat = meta === null ? undefined : seatOf(meta, to)
  const follows = group.id !== META_GROUP && state.shards.shards.length === 1 && !isElsewhere(state, group.id)
  if (seat === undefined || !raft.config.voters.includes(seat.replica) || follows) {
    failCall(turn, call, follows ? 'leaderFollows' : 'badTransferee')
    return
  }
  state.moving = [...state.moving, { call, group: group.id, to }]
  call.mayHaveEffect = true
  driveMoves(turn)
}

/** Tried again until the call ends: a target that is a little behind catches up. */
export function driveMoves(turn: Turn): void {
  const { state } = turn
  if (state.moving.length === 0) return
  state.moving = state.moving.filter(({ call }) => !call.done)
  for (const { call, group: id, to } of state.moving) {
    const group = state.groups.get(id)
    if (group === undefined) failCall(turn, call, 'leaderChanged')
    else if (leaderNode(group) === to)
      answerCall(turn, call, { revision: 0, term: headerTerm(state) }, encodeReply({ kind: 'done' }))
    else if (leads(group)) handOver(turn, group, node => node === to)
    else if (group.raft !== null && group.raft.leader !== 0) failCall(turn, call, 'leaderChanged')
  }
  state.moving = state.moving.filter(({ call }) => !call.done)
}
