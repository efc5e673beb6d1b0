import { encodeReply, META_GROUP, type NodeId } from '@kvorum/model'
import { answerCall, failCall, type Call } from './calls.js'
import { handOver } from './consensus.js'
import { headerTerm, leaderNode, leads } from './membership.js'
import type { Group, Turn } from './state.js'

/** MoveLeader: the meta group's leadership goes to a voter of choice; the answer waits until it is there. */
export interface MovingLeader {
  readonly call: Call
  readonly to: NodeId
}

export function moveLeader(turn: Turn, group: Group, call: Call, to: NodeId): void {
  const { raft, machine } = group
  if (raft === null || !leads(group)) {
    failCall(turn, call, raft === null || raft.leader === 0 ? 'noLeader' : 'notLeader')
    return
  }
  const seat = machine.meta?.membership.seats.find(({ node }) => node === to)
  if (seat === undefined || !raft.config.voters.includes(seat.replica)) {
    failCall(turn, call, 'badTransferee')
    return
  }
  turn.state.moving = [...turn.state.moving, { call, to }]
  call.mayHaveEffect = true
  driveMoves(turn)
}

/** Tried again until the call ends: a target that is a little behind catches up. */
export function driveMoves(turn: Turn): void {
  const { state } = turn
  const group = state.groups.get(META_GROUP)
  if (state.moving.length === 0 || group === undefined) return
  state.moving = state.moving.filter(({ call }) => !call.done)
  for (const { call, to } of state.moving) {
    if (leaderNode(group) === to)
      answerCall(turn, call, { revision: 0, term: headerTerm(state) }, encodeReply({ kind: 'done' }))
    else if (leads(group)) handOver(turn, group, to)
    else if (group.raft !== null && group.raft.leader !== 0) failCall(turn, call, 'leaderChanged')
  }
  state.moving = state.moving.filter(({ call }) => !call.done)
}
