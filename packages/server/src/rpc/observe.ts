import { assert, ok, pointRange, requestRange, type Result, type Revision } from '@kvorum/model'
import { toKeyValue } from '@kvorum/protocol'
import { responseHeader, type Edge } from '../edge/edge.js'
import { failure } from '../edge/unary.js'
import { firstOf, type First } from './election.js'
import type { ResponseOf, Streaming } from './handler.js'
import { watchKeys, type Seen } from './keyWatch.js'
import { queueRange } from './queue.js'

const OBSERVE = 'v3electionpb.Election/Observe'

/** Every leader of an election and every value it proclaims, one after the other, until the client goes. */
export const observe: Streaming<typeof OBSERVE> = (edge, out) => {
  const gone = new AbortController()
  const tell: Tell = message => new Promise(resolve => out.send(message, resolve))
  return {
    receive: ({ name }) => {
      follow(edge, name, gone.signal, tell).then(
        ended => out.end(ended.ok ? undefined : ended.error),
        (error: unknown) => out.end(failure(edge, OBSERVE, error).error),
      )
    },
    halfClosed: () => {},
    closed: () => gone.abort(),
  }
}

/** Resolves when the client's connection has taken the message: a slow client slows its own watch. */
type Tell = (message: ResponseOf<typeof OBSERVE>) => Promise<void>

async function follow(edge: Edge, name: Uint8Array, signal: AbortSignal, tell: Tell): Promise<Result<never>> {
  for (;;) {
    const first = await firstOf(edge, name, { signal })
    if (!first.ok) return first
    const leads = first.value.kv === null ? await awaitFirst(edge, name, first.value, signal) : first
    if (!leads.ok) return leads
    if (leads.value === null || leads.value.kv === null) continue
    const { kv, header } = leads.value
    await tell({ header, kv })
    assert(kv.key !== undefined, () => 'a pair has a key')
    const reign = await followReign(edge, kv.key, (header?.revision ?? 0) + 1, signal, tell)
    if (!reign.ok) return reign
  }
}

const shown = (edge: Edge, { event, header }: Seen) => ({
  header: responseHeader(edge, { revision: event.kv.mod, term: header.term }),
  kv: toKeyValue(event.kv),
})

/** The first candidate after nobody led; null where the keys must be read again. */
async function awaitFirst(
  edge: Edge,
  name: Uint8Array,
  { header }: First,
  signal: AbortSignal,
): Promise<Result<First | null>> {
  const { key, range_end } = queueRange(name)
  const from: Revision = (header?.revision ?? 0) + 1
  const watch = watchKeys(edge, { range: requestRange(key, range_end), from, noPut: false }, signal)
  const seen = await watch.next()
  watch.close()
  if (!seen.ok) return seen
  return ok(seen.value?.event.kind === 'put' ? shown(edge, seen.value) : null)
}

/** The values of one leader, until its key is gone. */
async function followReign(
  edge: Edge,
  key: Uint8Array,
  from: Revision,
  signal: AbortSignal,
  tell: Tell,
): Promise<Result<null>> {
  const watch = watchKeys(edge, { range: pointRange(key), from, noPut: false }, signal)
  try {
    for (;;) {
      const seen = await watch.next()
      if (!seen.ok) return seen
      if (seen.value === null || seen.value.event.kind === 'delete') return ok(null)
      await tell(shown(edge, seen.value))
    }
  } finally {
    watch.close()
  }
}
