import type { Result } from '@kvorum/model'
import { codec, rpcNamed, type Codec, type Init, type RequestRpc } from '@kvorum/protocol'
import type { Edge } from '../edge/edge.js'
import { send, type Adjust } from './forward.js'
import type { Call, RequestOf, ResponseOf } from './handler.js'

/**
 * A request that the server makes on behalf of a client, by the way the client's own would take. Fields that
 * are left out have their defaults.
 */
export function ask<Name extends RequestRpc>(
  edge: Edge,
  name: Name,
  request: Init<RequestOf<Name>>,
  call: Pick<Call, 'signal' | 'stages'>,
  adjust?: Adjust,
): Promise<Result<ResponseOf<Name>>> {
  const messages = codec(rpcNamed(name).request) as Codec<RequestOf<Name>>
  return send(edge, name, messages.decode(messages.encode(request)), call, adjust)
}
