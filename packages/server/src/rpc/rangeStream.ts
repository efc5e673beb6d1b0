import { LIMITS, ok, refuse, successor, type ClientRequest, type Result, type Revision } from '@kvorum/model'
import { pb } from '@kvorum/protocol'
import type { Edge } from '../edge/edge.js'
import { failure } from '../edge/unary.js'
import { ask } from './ask.js'
import type { RequestOf, ResponseOf, Streaming } from './handler.js'

const RANGE = 'etcdserverpb.KV/Range'
const RANGE_STREAM = 'etcdserverpb.KV/RangeStream'

/**
 * A range in pieces of one revision. A piece is read when the client's connection has taken the one before, so
 * that a client costs one piece of memory. Only the last carries header, count and more.
 */
export const rangeStream: Streaming<typeof RANGE_STREAM> = (edge, out) => {
  const gone = new AbortController()
  const tell: Tell = response => new Promise(resolve => out.send({ range_response: response }, resolve))
  return {
    receive: request => {
      if (!isPlain(request)) return out.end(refuse('unimplemented', { detail: ONLY_PLAIN }).error)
      pages(edge, request, gone.signal, tell).then(
        ended => out.end(ended.ok ? undefined : ended.error),
        (error: unknown) => out.end(failure(edge, RANGE_STREAM, error).error),
      )
    },
    halfClosed: () => {},
    closed: () => gone.abort(),
  }
}

type Request = RequestOf<typeof RANGE_STREAM>
type Response = ResponseOf<typeof RANGE>
type Tell = (response: Response) => Promise<void>

const ONLY_PLAIN = 'a range with an order or with filters is not streamed, use Range'

const isPlain = (request: Request): boolean =>
  request.sort_order === pb.RangeRequestSortOrder.NONE &&
  request.sort_target === pb.RangeRequestSortTarget.KEY &&
  request.min_mod_revision === 0 &&
  request.max_mod_revision === 0 &&
  request.min_create_revision === 0 &&
  request.max_create_revision === 0

const inPages = (_edge: Edge, request: ClientRequest): ClientRequest =>
  request.kind === 'read' && request.op.kind === 'range' && !request.op.countOnly
    ? { ...request, pageBytes: LIMITS.streamPageBytes }
    : request

async function pages(edge: Edge, request: Request, signal: AbortSignal, tell: Tell): Promise<Result<null>> {
  const first = await ask(edge, RANGE, request, { signal }, inPages)
  if (!first.ok) return first
  const { header } = first.value
  const pinned = pin(request, header?.revision ?? 0)
  let page: Response = first.value
  let count = page.count ?? 0
  for (;;) {
    const rest = restOf(pinned, page, count)
    if (rest === null) break
    if (rest.limit < 0) {
      const uncounted = await ask(edge, RANGE, { ...rest, limit: 0, count_only: true }, { signal })
      if (!uncounted.ok) return uncounted
      count += uncounted.value.count ?? 0
      break
    }
    await tell({ kvs: page.kvs ?? [] })
    const next = await ask(edge, RANGE, rest, { signal }, inPages)
    if (!next.ok) return next
    page = next.value
    count += page.count ?? 0
  }
  await tell({ header, kvs: page.kvs ?? [], more: page.more === true, count })
  return ok(null)
}

/** What follows the first page is read from the state that the first has seen, which is here. */
const pin = (request: Request, seen: Revision): Request => ({
  ...request,
  revision: request.revision > 0 ? request.revision : seen,
  serializable: true,
})

/** What is still to be read after a page, null for nothing. A limit below 0: only to be counted. */
function restOf(pinned: Request, page: Response, read: number): Request | null {
  const last = page.kvs?.at(-1)?.key
  if (page.more !== true || last === undefined) return null
  const limit = pinned.limit <= 0 ? 0 : pinned.limit - read || -1
  return { ...pinned, key: successor(last), limit }
}
