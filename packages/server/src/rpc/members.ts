import { randomBytes } from 'node:crypto'
import { decodeReply, nodeId, ok, refuse, type NodeId, type Result } from '@kvorum/model'
import { encodeMetaCommand, type MemberCommand } from '@kvorum/placement'
import { toMember } from '@kvorum/protocol'
import { parseAdvertisedUrl } from '../config/urls.js'
import type { Edge } from '../edge/edge.js'
import { requestOptions } from '../edge/requestOptions.js'
import { clusterHeader } from './cluster.js'
import type { Call, Unary } from './handler.js'

/** Changes of the members: each is one command of the meta group, answered when that is applied. */
export const memberAdd: Unary<'etcdserverpb.Cluster/MemberAdd'> = async (edge, request, call) => {
  const urls = peerUrlsOf(request.peerURLs)
  if (!urls.ok) return urls
  const { strictReconfig: strict } = edge.limits
  const node = freshId()
  const changed = await change(edge, call, {
    kind: 'addMember',
    node,
    peerUrls: urls.value,
    learner: request.isLearner,
    strict,
  })
  if (!changed.ok) return changed
  const member = changed.value.members.find(({ ID }) => ID === node) ?? null
  return ok({ ...changed.value, member })
}

export const memberRemove: Unary<'etcdserverpb.Cluster/MemberRemove'> = (edge, request, call) =>
  change(edge, call, {
    kind: 'removeMember',
    node: nodeId(request.ID),
    strict: edge.limits.strictReconfig,
  })

export const memberUpdate: Unary<'etcdserverpb.Cluster/MemberUpdate'> = (edge, request, call) => {
  const urls = peerUrlsOf(request.peerURLs)
  if (!urls.ok) return Promise.resolve(urls)
  return change(edge, call, { kind: 'updateMember', node: nodeId(request.ID), peerUrls: urls.value })
}

export const memberPromote: Unary<'etcdserverpb.Cluster/MemberPromote'> = (edge, request, call) =>
  change(edge, call, {
    kind: 'promoteMember',
    node: nodeId(request.ID),
    strict: edge.limits.strictReconfig,
  })

/** Its answer carries no header, as in etcd. */
export const moveLeader: Unary<'etcdserverpb.Maintenance/MoveLeader'> = async (edge, request, call) => {
  const moved = await edge.node.request(
    { kind: 'moveLeader', to: nodeId(request.targetID) },
    requestOptions(edge, call),
  )
  return moved.ok ? ok({ header: null }) : moved
}

async function change(edge: Edge, call: Pick<Call, 'signal' | 'stages'>, command: MemberCommand) {
  const result = await edge.node.request(
    { kind: 'meta', command: encodeMetaCommand(command) },
    requestOptions(edge, call),
  )
  if (!result.ok) return result
  const reply = decodeReply(result.value.body)
  const members = reply.kind === 'members' ? reply.members : edge.node.members()
  return ok({ header: clusterHeader(edge), members: members.map(toMember) })
}

/** Random, so that it is nobody's and never was. */
function freshId(): NodeId {
  const id = randomBytes(8).readBigUInt64BE(0)
  return nodeId(id === 0n ? 1n : id)
}

/** At least one, each one that others could dial; sorted, each once. */
function peerUrlsOf(given: readonly string[]): Result<readonly string[]> {
  const urls = new Set<string>()
  for (const text of given) {
    const url = parseAdvertisedUrl(text)
    if (!url.ok || url.value.endpoint.port === 0) return refuse('memberUrlsInvalid')
    urls.add(url.value.href)
  }
  return urls.size === 0 ? refuse('memberUrlsInvalid') : ok([...urls].sort())
}
