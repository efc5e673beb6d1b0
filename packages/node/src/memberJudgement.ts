import type { ErrorCode, Millis, NodeId } from '@kvorum/model'
import { seatOf, type MemberCommand, type MetaCommand, type MetaState } from '@kvorum/placement'
import { mayDrain } from './balanceView.js'
import { metaOf } from './membership.js'
import type { NodeState } from './state.js'

/** What only the leader can judge: who is there, and how far a learner is. Null: nothing against it. */
export function judgeMemberCommand(state: NodeState, command: MetaCommand, now: Millis): ErrorCode | null {
  const meta = metaOf(state)
  if (meta === null) return null
  switch (command.kind) {
    case 'addMember':
      return command.strict && !allConnected(state, meta) ? 'unhealthy' : null
    case 'removeMember':
      return command.strict ? judgeRemoval(state, meta, command) : null
    case 'promoteMember':
      return judgePromotion(state, meta, command.node)
    case 'placeShard':
      return meta.placement.replicas === 0 ? 'shardNotPlaced' : null
    case 'drainNode':
      return judgeDrain(state, meta, command, now)
    default:
      return null
  }
}

const isPresent = (state: NodeState, node: NodeId): boolean =>
  node === state.options.self ||
  (state.peers.get(node)?.trusted === true && state.peers.get(node)?.connected === true)

const votersIn = (meta: MetaState): NodeId[] =>
  meta.nodes.filter(({ learner }) => !learner).map(({ id }) => id)

const allConnected = (state: NodeState, meta: MetaState): boolean =>
  meta.nodes.every(({ id, learner, name }) => learner || name === '' || isPresent(state, id))

/** One that is not there may go; one that is there only if those who are there are still a majority without it. */
function judgeRemoval(
  state: NodeState,
  meta: MetaState,
  { node }: Extract<MemberCommand, { kind: 'removeMember' }>,
): ErrorCode | null {
  const voters = votersIn(meta)
  if (!voters.includes(node) || !isPresent(state, node) || voters.length === 1) return null
  const present = voters.filter(id => isPresent(state, id)).length - 1
  if (present < 1 + Math.floor((voters.length - 1) / 2)) return 'unhealthy'
  return meta.placement.shards.every(shard => goesOnWithout(state, shard.nodes, node)) ? null : 'unhealthy'
}

/** Of a shard that it has a replica of, those that stay are a majority of what is left until another one is made. */
function goesOnWithout(state: NodeState, replicas: readonly NodeId[], node: NodeId): boolean {
  const left = replicas.filter(id => id !== node)
  if (left.length === replicas.length) return true
  return left.filter(id => isPresent(state, id)).length >= 1 + Math.floor(left.length / 2)
}

function judgeDrain(
  state: NodeState,
  meta: MetaState,
  { node, drain }: Extract<MetaCommand, { kind: 'drainNode' }>,
  now: Millis,
): ErrorCode | null {
  if (!drain || seatOf(meta, node) === undefined) return null
  return mayDrain(state, meta, now, node) ? null : 'drainNowhere'
}

/** Within so much of the leader's log a learner counts as caught up, as in etcd. */
const READY_SHARE = 0.9

function judgePromotion(state: NodeState, meta: MetaState, node: NodeId): ErrorCode | null {
  const seat = seatOf(meta, node)
  const learner = meta.nodes.some(({ id, learner }) => id === node && learner)
  if (seat === undefined || !learner) return null
  for (const { raft } of state.groups.values()) {
    if (raft === null || raft.role !== 'leader') continue
    const progress = raft.progress.get(seat.replica)
    if (progress === undefined || progress.match < raft.lastIndex * READY_SHARE) return 'learnerNotReady'
  }
  return null
}
