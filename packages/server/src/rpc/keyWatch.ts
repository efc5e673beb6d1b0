import { ok, refuse, watchResponseBytes } from '@kvorum/model'
import type {
  KeyRange,
  KvError,
  ReplyHeader,
  Result,
  Revision,
  WatchEvent,
  WatchResponse,
} from '@kvorum/model'
import type { Edge } from '../edge/edge.js'

export interface Seen {
  readonly event: WatchEvent
  readonly header: ReplyHeader
}

/** A watch that the server itself reads. */
export interface KeyWatch {
  /** The next event; null: the history was compacted under the watch, or rights changed: read the keys again. */
  next(): Promise<Result<Seen | null>>
  close(): void
}

export interface KeyWatchPlan {
  readonly range: KeyRange
  readonly from: Revision
  readonly noPut: boolean
}

/** Ends with 'canceled' when the signal aborts, with 'stopped' when the server stops. */
export function watchKeys(edge: Edge, plan: KeyWatchPlan, signal: AbortSignal): KeyWatch {
  const arrived: { readonly seen: Seen | null; readonly bytes: number }[] = []
  let over: KvError | null = null
  let wake = (): void => {}
  const end = (error: KvError): void => {
    over ??= error
    close()
    wake()
  }
  const canceled = (): void => end(refuse('canceled').error)
  const self = { stop: () => end(refuse('stopped').error) }
  const stream = edge.node.openWatch(response => {
    if (response.kind === 'refused' && response.code !== 'authOutdated')
      return end(refuse(response.code).error)
    arrived.push(...seenIn(response))
    wake()
  })
  const close = (): void => {
    signal.removeEventListener('abort', canceled)
    edge.state.streams.delete(self)
    stream.close()
  }
  edge.state.streams.add(self)
  signal.addEventListener('abort', canceled)
  if (signal.aborted) canceled()
  stream.send({ kind: 'create', create: { ...CREATE, ...planned(plan) } })
  return {
    next: async () => {
      while (over === null && arrived.length === 0) await new Promise<void>(resolve => (wake = resolve))
      if (over !== null) return { ok: false, error: over }
      const { seen, bytes } = arrived.shift()!
      stream.consumed(bytes)
      return ok(seen)
    },
    close,
  }
}

const CREATE = { progressNotify: false, noDelete: false, prevKv: false, watchId: 0, fragment: false }

const planned = ({ range, from, noPut }: KeyWatchPlan) => ({ range, startRevision: from, noPut })

/** What a response is charged with is given back with its last event. */
function seenIn(response: WatchResponse): { seen: Seen | null; bytes: number }[] {
  const bytes = watchResponseBytes(response)
  // Refused: by users and roles that had changed meanwhile. Reading the keys again decides by the new ones.
  if (response.kind === 'canceled' || response.kind === 'refused') return [{ seen: null, bytes }]
  if (response.kind !== 'events') return []
  const { events, header } = response
  return events.map((event, at) => ({
    seen: { event, header },
    bytes: at === events.length - 1 ? bytes : 0,
  }))
}
