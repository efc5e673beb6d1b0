import { META_GROUP, type GroupId, type NodeId } from '@kvorum/model'
import { placedShard, wantedNodes } from '@kvorum/placement'
import { failCall, type Call } from './calls.js'
import { canForwardTo, forwardCall } from './forwarding.js'
import { metaOf } from './membership.js'
import { enterStage } from './stages.js'
import type { NodeState, Turn } from './state.js'

/**
 * A shard that this node has no replica of. Requests go to the node that was found to lead it; while none is known,
 * to those that the map names, one after the other, and when all have said no, again a little later.
 */
export interface Remote {
  leader: NodeId | null
  /** Said that they do not lead, since the last look around. */
  readonly tried: Set<NodeId>
  waiting: Call[]
}

/** By group; at most one for each shard of the map. */
export type Remotes = Map<GroupId, Remote>

/** Whether the map places the shard by itself: then it may be elsewhere, and here only where the map says so. */
export function isElsewhere(state: NodeState, group: GroupId): boolean {
  const meta = metaOf(state)
  return meta !== null && placedShard(meta, group) !== undefined
}

/** What has no state here, and need not have one: it is not placed here, or still on its way. */
export function isReadElsewhere(state: NodeState, id: GroupId): boolean {
  const machine = state.groups.get(id)?.machine
  return (machine === undefined || machine.installing) && isElsewhere(state, id)
}

/** Sends the call where the shard's leader is, or lets it wait for one. */
export function placeElsewhere(turn: Turn, group: GroupId, call: Call): void {
  if (call.done) return
  // Who sent it on looks for the leader itself.
  if (call.origin.kind === 'peer') {
    failCall(turn, call, 'notLeader')
    return
  }
  const remote = remoteOf(turn.state, group)
  const node = candidateOf(turn.state, group, remote)
  if (node === null) {
    call.mayHaveEffect = false
    enterStage(call, 'leader', turn.now)
    remote.waiting.push(call)
    return
  }
  call.mayHaveEffect = true
  enterStage(call, 'forward', turn.now)
  forwardCall(turn, call, group, node)
}

/** What a node answered to a request for a shard elsewhere. */
export function noteRemote(state: NodeState, group: GroupId, node: NodeId, leads: boolean): void {
  if (!isReadElsewhere(state, group)) return
  const remote = remoteOf(state, group)
  if (leads) {
    remote.leader = node
    remote.tried.clear()
    return
  }
  remote.tried.add(node)
  if (remote.leader === node) remote.leader = null
}

/** Those who wait look around again. */
export function retryElsewhere({ state, routing }: Turn): void {
  for (const remote of state.remotes.values()) {
    const { waiting } = remote
    if (remote.tried.size > 0) remote.tried.clear()
    if (waiting.length === 0) continue
    remote.waiting = []
    for (const call of waiting) if (!call.done) routing.push(call)
  }
}

function remoteOf(state: NodeState, group: GroupId): Remote {
  const known = state.remotes.get(group)
  if (known !== undefined) return known
  const remote: Remote = { leader: null, tried: new Set(), waiting: [] }
  state.remotes.set(group, remote)
  return remote
}

function candidateOf(state: NodeState, group: GroupId, { leader, tried }: Remote): NodeId | null {
  const mayAsk = (node: NodeId): boolean => canForwardTo(state, node) && !tried.has(node)
  if (leader !== null && mayAsk(leader)) return leader
  const descriptor = state.shards.shards.find(shard => shard.group === group)
  const meta = metaOf(state)
  const named = (descriptor?.replicas ?? []).map(({ node }) => node)
  const wanted = meta === null || group === META_GROUP ? [] : wantedNodes(meta, group)
  return [...named, ...wanted].find(mayAsk) ?? null
}
