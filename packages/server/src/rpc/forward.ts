import { decodeReply, ok, type ClientRequest, type Result, type SessionTag } from '@kvorum/model'
import { toClientRequest, toResponse, type RequestRpc } from '@kvorum/protocol'
import { responseHeader, type Edge } from '../edge/edge.js'
import { requestOptions } from '../edge/requestOptions.js'
import { checkRequest } from './check.js'
import { readSessionTag, withSession } from './session.js'
import type { Call, RequestOf, ResponseOf, Unary } from './handler.js'

/** A last change to a request: what only the edge knows. */
export type Adjust = (edge: Edge, request: ClientRequest) => ClientRequest

const unchanged: Adjust = (_, request) => request

/** The handler of an RPC that is one request to the node. */
export const forward =
  <Name extends RequestRpc>(name: Name, adjust = unchanged): Unary<Name> =>
  async (edge, message, call) => {
    const tag = readSessionTag(call.meta.session)
    return tag.ok ? send(edge, name, message, call, adjust, tag.value) : tag
  }

export async function send<Name extends RequestRpc>(
  edge: Edge,
  name: Name,
  message: RequestOf<Name>,
  call: Pick<Call, 'signal' | 'stages'>,
  adjust = unchanged,
  session: SessionTag | null = null,
): Promise<Result<ResponseOf<Name>>> {
  const prepared = toClientRequest(name, message)
  if (!prepared.ok) return prepared
  const refusal = checkRequest(prepared.value, edge.limits)
  if (refusal !== null) return refusal
  const request = withSession(adjust(edge, prepared.value.request), session)
  if (!request.ok) return request
  const result = await edge.node.request(request.value, requestOptions(edge, call))
  if (!result.ok) return result
  const { header, body } = result.value
  return ok(toResponse(responseHeader(edge, header), decodeReply(body)) as ResponseOf<Name>)
}
