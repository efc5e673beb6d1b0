import { copyBytes, ok, refuse, requestRange } from '@kvorum/model'
import type { Result, WatchCreate, WatchRequest } from '@kvorum/model'
import { WatchCreateRequestFilterType } from './messages.js'
import type * as pb from './messages.js'

/** The first possible key, which an empty key in a watch stands for. */
const FIRST_KEY = Uint8Array.of(0)

/** A request that names nothing is ignored by etcd and answered with null here. */
export function toWatchRequest(request: pb.WatchRequest): Result<WatchRequest | null> {
  if (request.create_request !== null) {
    const create = toWatchCreate(request.create_request)
    return create.ok ? ok({ kind: 'create', create: create.value }) : create
  }
  if (request.cancel_request !== null) {
    const watchId = toWatchId(request.cancel_request.watch_id)
    return watchId.ok ? ok({ kind: 'cancel', watchId: watchId.value }) : watchId
  }
  return ok(request.progress_request === null ? null : { kind: 'progress' })
}

/** Keys are copied: a watch outlives the request it came in. */
export function toWatchCreate(request: pb.WatchCreateRequest): Result<WatchCreate> {
  const watchId = toWatchId(request.watch_id)
  if (!watchId.ok) return watchId
  const key = request.key.length === 0 ? FIRST_KEY : copyBytes(request.key)
  return ok({
    range: requestRange(key, copyBytes(request.range_end)),
    startRevision: request.start_revision,
    progressNotify: request.progress_notify,
    // kinds of filters that are not known filter nothing, as in etcd
    noPut: request.filters.includes(WatchCreateRequestFilterType.NOPUT),
    noDelete: request.filters.includes(WatchCreateRequestFilterType.NODELETE),
    prevKv: request.prev_kv,
    watchId: watchId.value,
    fragment: request.fragment,
  })
}

/** Watch ids are numbers inside: one that is not exact as a number is refused rather than changed. */
function toWatchId(id: bigint): Result<number> {
  const watchId = Number(id)
  if (!Number.isSafeInteger(watchId)) return refuse('malformed', { detail: 'watch id beyond 2^53' })
  return ok(watchId)
}
