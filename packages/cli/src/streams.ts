import { setTimeout as sleep } from 'node:timers/promises'
import { KvorumError, type RawRequest, type RawResponse, type RawStream } from '@kvorum/client'
import type { LeaseId } from '@kvorum/model'
import type { Init, pb, RpcName } from '@kvorum/protocol'

/** Opens streams; a RawClient, or a fake of one. */
export interface StreamSource {
  stream<Name extends RpcName>(name: Name): Promise<RawStream<RawRequest<Name>, RawResponse<Name>>>
}

const RETRY_MS = 250

/**
 * A watch that outlives the servers it is on: it goes on with the revision after the last one it has shown, and
 * drops what it has shown already. Ends after a cancellation; rejects when no server can be reached.
 */
export async function* watchResponses(
  source: StreamSource,
  request: Init<pb.WatchCreateRequest>,
): AsyncGenerator<pb.WatchResponse, void, undefined> {
  let next = request.start_revision ?? 0
  for (;;) {
    try {
      const stream = await source.stream('etcdserverpb.Watch/Watch')
      stream.send({ create_request: { ...request, start_revision: next } })
      for await (const response of stream) {
        if (response.created && !response.canceled) next ||= (response.header?.revision ?? 0) + 1
        else {
          const fresh = newerThan(response, next)
          if (fresh !== null) yield fresh
          if (response.canceled) return
          next = Math.max(next, ...response.events.map(event => (event.kv?.mod_revision ?? 0) + 1))
        }
      }
    } catch (error) {
      if (!isLostServer(error)) throw error
    }
    await sleep(RETRY_MS)
  }
}

/** Nobody to connect to at all is worth telling; a server that went away under a stream is not. */
const isLostServer = (error: unknown): boolean =>
  error instanceof KvorumError && error.retryable && error.code !== 'ERR_KV_NOT_CONNECTED'

function newerThan(response: pb.WatchResponse, next: number): pb.WatchResponse | null {
  if (response.events.length === 0) return response
  const events = response.events.filter(event => (event.kv?.mod_revision ?? 0) >= next)
  return events.length === 0 ? null : { ...response, events }
}

/** Renewals of one lease, the first at once; ends when the lease is gone (its response has TTL 0). */
export async function* keepAliveResponses(
  source: StreamSource,
  lease: LeaseId,
): AsyncGenerator<pb.LeaseKeepAliveResponse, void, undefined> {
  const stream = await source.stream('etcdserverpb.Lease/LeaseKeepAlive')
  stream.send({ ID: lease })
  for await (const response of stream) {
    yield response
    if (response.TTL <= 0) return
    await sleep((response.TTL * 1000) / 3)
    stream.send({ ID: lease })
  }
}

/** One snapshot of one server; it does not go on elsewhere when that is lost. */
export async function* snapshotResponses(
  source: StreamSource,
): AsyncGenerator<pb.SnapshotResponse, void, undefined> {
  const stream = await source.stream('etcdserverpb.Maintenance/Snapshot')
  stream.send({})
  stream.halfClose()
  yield* stream
}
