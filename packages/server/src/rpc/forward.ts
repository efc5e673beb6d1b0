import { decodeReply, ok, type ClientRequest, type Result } from '@kvorum/model'
import { toClientRequest, toResponse, type RequestRpc } from '@kvorum/protocol'
import { responseHeader, type Edge } from '../edge/edge.js'
import { checkRequest } from './check.js'
import type { Call, RequestOf, ResponseOf, Unary } from './handler.js'

/** A last change to a request: what only the edge knows. */
export type Adjust = (edge: Edge, request: ClientRequest) => ClientRequest

/** The handler of an RPC that is one request to the node. */
export const forward =
  <Name extends RequestRpc>(name: Name, adjust?: Adjust): Unary<Name> =>
  (edge, message, call) =>
    send(edge, name, message, call, adjust)

export async function send<Name extends RequestRpc>(
  edge: Edge,
  name: Name,
  message: RequestOf<Name>,
  call: Pick<Call, 'signal'>,
  adjust?: Adjust,
): Promise<Result<ResponseOf<Name>>> {
  const prepared = toClientRequest(name, message)
  if (!prepared.ok) return prepared
  const refusal = checkRequest(prepared.value, edge.limits)
  if (refusal !== null) return refusal
  const { request } = prepared.value
  const result = await edge.node.request(adjust === undefined ? request : adjust(edge, request), {
    signal: call.signal,
    timeoutMs: edge.limits.requestTimeoutMs,
  })
  if (!result.ok) return result
  const { header, body } = result.value
  return ok(toResponse(responseHeader(edge, header), decodeReply(body)) as ResponseOf<Name>)
}
