import { assert, LIMITS, NO_LEASE, type ClientRequest } from '@kvorum/model'
import type { Edge } from '../edge/edge.js'
import { send } from './forward.js'
import type { Streaming } from './handler.js'

/** The server picks the id where the client left it open, and no lease is shorter than an election. */
export function completeGrant(edge: Edge, request: ClientRequest): ClientRequest {
  assert(request.kind === 'leaseGrant', () => `${request.kind} is not a grant`)
  return {
    ...request,
    id: request.id === NO_LEASE ? edge.pickLeaseId() : request.id,
    ttl: Math.max(request.ttl, edge.limits.leaseTtlMinSeconds),
  }
}

/**
 * Renewals go to the node as they arrive, several at a time, and are answered in the order of the requests.
 * A lease that is gone is an answer without TTL, not an error.
 */
export const leaseKeepAlive: Streaming<'etcdserverpb.Lease/LeaseKeepAlive'> = (edge, out) => {
  const gone = new AbortController()
  let underWay = 0
  let halfClosed = false
  let answered: Promise<void> = Promise.resolve()
  const taken = (): void => {
    if (underWay-- === LIMITS.streamRequestsMax) out.flow(true)
    if (halfClosed && underWay === 0) out.end()
  }
  return {
    receive: request => {
      if (++underWay === LIMITS.streamRequestsMax) out.flow(false)
      const renewal = send(edge, 'etcdserverpb.Lease/LeaseKeepAlive', request, gone)
      answered = answered.then(async () => {
        const answer = await renewal
        if (answer.ok) out.send(answer.value, taken)
        else out.end(answer.error)
      })
    },
    halfClosed: () => {
      halfClosed = true
      if (underWay === 0) out.end()
    },
    closed: () => gone.abort(),
  }
}
