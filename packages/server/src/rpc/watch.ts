import { LIMITS, refuse, watchResponseBytes } from '@kvorum/model'
import type { WatchEvent, WatchResponse } from '@kvorum/model'
import { toWatchRequest, toWatchResponse } from '@kvorum/protocol'
import { identity, termFloor, type Edge } from '../edge/edge.js'
import type { Streaming } from './handler.js'

/** What the edge remembers of one watch stream; the watches themselves live in the node's hub. */
interface WatchState {
  /** Creations not answered yet. */
  creating: number
  /** Ids of open watches. */
  readonly open: Set<number>
  /** Handed to the transport and not taken yet. */
  waitingBytes: number
  waitingEvents: number
  halfClosed: boolean
}

/**
 * One watch stream. The hub may have `watchQueueBytesMax` under way and is told as the transport takes them;
 * a stream that runs past that all the same is cut, its client resumes from the last revision it saw.
 */
export const watch: Streaming<'etcdserverpb.Watch/Watch'> = (edge, out) => {
  const state: WatchState = {
    creating: 0,
    open: new Set(),
    waitingBytes: 0,
    waitingEvents: 0,
    halfClosed: false,
  }

  const waiting = (events: number): void => {
    state.waitingEvents += events
    edge.state.pendingEvents += events
  }
  const deliver = (response: WatchResponse): void => {
    if (state.waitingBytes > LIMITS.watchQueueBytesMax) return out.end(refuse('tooManyRequests').error)
    note(state, response)
    const bytes = watchResponseBytes(response)
    const events = response.kind === 'events' ? response.events.length : 0
    state.waitingBytes += bytes
    waiting(events)
    const pieces = fragments(response, edge.limits.requestBytesMax)
    pieces.forEach((piece, at) => {
      const taken = (): void => {
        state.waitingBytes -= bytes
        if (state.waitingEvents > 0) waiting(-events)
        stream.consumed(bytes)
      }
      out.send(messageOf(edge, piece), at === pieces.length - 1 ? taken : undefined)
    })
    reap()
  }
  /** The client has closed its side and nothing is left that could be sent: end ours too. */
  const reap = (): void => {
    if (state.halfClosed && state.creating === 0 && state.open.size === 0) out.end()
  }
  const stream = edge.node.openWatch(deliver)
  return {
    receive: message => {
      const request = toWatchRequest(message)
      if (!request.ok) return out.end(request.error)
      if (request.value === null) return
      if (request.value.kind === 'create') {
        if (state.creating + state.open.size >= edge.limits.watchersPerStreamMax)
          return out.end(refuse('tooManyRequests').error)
        state.creating++
      }
      stream.send(request.value)
    },
    halfClosed: () => {
      state.halfClosed = true
      reap()
    },
    closed: () => {
      waiting(-state.waitingEvents)
      stream.close()
    },
  }
}

/** Keeps the books on which watches are open. */
function note(state: WatchState, response: WatchResponse): void {
  if (response.kind === 'created') state.open.add(response.watchId)
  if (response.kind === 'canceled') state.open.delete(response.watchId)
  if (response.kind === 'created' || response.kind === 'refused') state.creating--
}

const messageOf = (edge: Edge, response: WatchResponse) =>
  toWatchResponse(identity(edge), {
    ...response,
    header: { revision: response.header.revision, term: termFloor(edge, response.header.term) },
  })

/**
 * What becomes of a response on the wire. One for a watch that takes fragments is cut into pieces of at most
 * `bytesMax` (but of one event at least), and all but the last say that more follows.
 */
export function fragments(response: WatchResponse, bytesMax: number): readonly WatchResponse[] {
  if (response.kind !== 'events' || !response.fragment) return [response]
  const groups: WatchEvent[][] = []
  let bytes = Infinity
  for (const event of response.events) {
    const size = eventBytes(event)
    if (bytes + size > bytesMax) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1)!.push(event)
    bytes += size
  }
  return groups.map((events, at) => ({ ...response, events, fragment: at < groups.length - 1 }))
}

/** More than the numbers and tags of an event take beside its keys and values. */
const EVENT_OVERHEAD_BYTES = 128

const eventBytes = ({ kv, prev }: WatchEvent): number =>
  EVENT_OVERHEAD_BYTES +
  kv.key.length +
  kv.value.length +
  (prev === null ? 0 : prev.key.length + prev.value.length)
