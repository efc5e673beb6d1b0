import { ok } from '@kvorum/model'
import { pb, RPCS } from '@kvorum/protocol'
import type { Streaming, Unary } from './handler.js'

/** grpc.health.v1: the server as a whole is '', the services go by their names. */
const SERVICES: ReadonlySet<string> = new Set(['', ...RPCS.map(rpc => rpc.service)])

const statusOf = (service: string): number =>
  SERVICES.has(service)
    ? pb.HealthCheckResponseServingStatus.SERVING
    : pb.HealthCheckResponseServingStatus.SERVICE_UNKNOWN

export const check: Unary<'grpc.health.v1.Health/Check'> = (_edge, request) =>
  Promise.resolve(ok({ status: statusOf(request.service) }))

/** Says it once and stays open: while this process runs it serves, and when it stops the stream ends. */
export const watchHealth: Streaming<'grpc.health.v1.Health/Watch'> = (_edge, out) => ({
  receive: request => out.send({ status: statusOf(request.service) }),
  halfClosed: () => {},
  closed: () => {},
})
