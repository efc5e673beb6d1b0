import { LIMITS, refuse, watchEventBytes, watchResponseBytes } from '@kvorum/model'
import type { WatchEvent, WatchResponse } from '@kvorum/model'
import { toWatchRequest, toWatchResponse } from '@kvorum/protocol'
import { identity, termFloor, type Edge } from '../edge/edge.js'
import type { Streaming } from './handler.js'

/** What the edge remembers of one watch stream; the watches themselves live in the node's hub. */
interface WatchState {
  /** Creations not answered yet, in order, which is the order of the answers: whether fragments are wanted. */
  readonly creating: boolean[]
  /** Open watches by id. */
  readonly open: Map<number, { readonly fragment: boolean }>
  /** Handed to the transport and not taken yet. */
  waitingBytes: number
  halfClosed: boolean
}

/**
 * One watch stream. The hub may have `watchQueueBytesMax` under way and is told as the transport takes them;
 * a stream that runs past that all the same is cut, its client resumes from the last revision it saw.
 */
export const watch: Streaming<'etcdserverpb.Watch/Watch'> = (edge, out) => {
  const state: WatchState = { creating: [], open: new Map(), waitingBytes: 0, halfClosed: false }

  const deliver = (response: WatchResponse): void => {
    if (state.waitingBytes > LIMITS.watchQueueBytesMax) return out.end(refuse('tooManyRequests').error)
    const fragment = note(state, response)
    const bytes = watchResponseBytes(response)
    state.waitingBytes += bytes
    const pieces = fragment ? fragments(response, edge.limits.requestBytesMax) : [response]
    pieces.forEach((piece, at) => {
      const taken = (): void => {
        state.waitingBytes -= bytes
        stream.consumed(bytes)
      }
      out.send(messageOf(edge, piece), at === pieces.length - 1 ? taken : undefined)
    })
    reap()
  }
  /** The client has closed its side and nothing is left that could be sent: end ours too. */
  const reap = (): void => {
    if (state.halfClosed && state.creating.length === 0 && state.open.size === 0) out.end()
  }
  const stream = edge.node.openWatch(deliver)
  return {
    receive: message => {
      const request = toWatchRequest(message)
      if (!request.ok) return out.end(request.error)
      if (request.value === null) return
      if (request.value.kind === 'create') {
        if (state.creating.length + state.open.size >= LIMITS.watchersPerStreamMax)
          return out.end(refuse('tooManyRequests').error)
        state.creating.push(request.value.create.fragment)
      }
      stream.send(request.value)
    },
    halfClosed: () => {
      state.halfClosed = true
      reap()
    },
    closed: () => stream.close(),
  }
}

/** Keeps the books; answers whether the response may be sent in fragments. */
function note(state: WatchState, response: WatchResponse): boolean {
  switch (response.kind) {
    case 'created':
      state.open.set(response.watchId, { fragment: state.creating.shift() ?? false })
      return false
    case 'refused':
      state.creating.shift()
      return false
    case 'canceled':
      state.open.delete(response.watchId)
      return false
    case 'events':
      return state.open.get(response.watchId)?.fragment ?? false
    case 'progress':
      return false
  }
}

const messageOf = (edge: Edge, response: WatchResponse) =>
  toWatchResponse(identity(edge), {
    ...response,
    header: { revision: response.header.revision, term: termFloor(edge, response.header.term) },
  })

/** Pieces of at most `bytesMax` (but of one event at least); all but the last say that more follows. */
export function fragments(response: WatchResponse, bytesMax: number): readonly WatchResponse[] {
  if (response.kind !== 'events') return [response]
  const groups: WatchEvent[][] = []
  let bytes = Infinity
  for (const event of response.events) {
    const size = watchEventBytes(event)
    if (bytes + size > bytesMax) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1)!.push(event)
    bytes += size
  }
  return groups.map((events, at) => ({
    ...response,
    events,
    fragment: at < groups.length - 1 || response.fragment,
  }))
}
