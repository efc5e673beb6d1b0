import type { RequestOptions } from '@kvorum/model'
import type { Call } from '../rpc/handler.js'
import type { Edge } from './edge.js'

/** How a request to the node is made for a call: given up with it, and its time counted as the call's. */
export const requestOptions = (
  { limits }: Pick<Edge, 'limits'>,
  { signal, stages }: Pick<Call, 'signal' | 'stages'>,
): RequestOptions => ({
  signal,
  timeoutMs: limits.requestTimeoutMs,
  ...(stages === undefined ? {} : { stages }),
})
