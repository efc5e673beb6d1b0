import { ok } from '@kvorum/model'
import { toGroupStatus, toMember } from '@kvorum/protocol'
import { responseHeader, type Edge } from '../edge/edge.js'
import { requestOptions } from '../edge/requestOptions.js'
import type { Unary } from './handler.js'

/** Answers about the cluster carry no revision, as in etcd. */
export const clusterHeader = (edge: Edge) =>
  responseHeader(edge, { revision: 0, term: edge.node.status().header.term })

export const memberList: Unary<'etcdserverpb.Cluster/MemberList'> = async (edge, request, call) => {
  if (request.linearizable) {
    const fresh = await edge.node.request({ kind: 'barrier' }, requestOptions(edge, call))
    if (!fresh.ok) return fresh
  }
  return ok({ header: clusterHeader(edge), members: edge.node.members().map(toMember) })
}

/** kvorum's own view of its Raft groups. */
export const groups: Unary<'kvorum.v1.Admin/Groups'> = edge => {
  const status = edge.node.status()
  return Promise.resolve(
    ok({ header: responseHeader(edge, status.header), groups: status.groups.map(toGroupStatus) }),
  )
}
