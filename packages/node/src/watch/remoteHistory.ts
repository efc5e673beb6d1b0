import {
  assert,
  decodeReply,
  intersectRanges,
  isEmptyRange,
  ok,
  refuse,
  type ClientResult,
  type KeyRange,
  type PlacedEvents,
  type Result,
  type Revision,
} from '@kvorum/model'
import { mergeHistories, type MergedHistory } from '@kvorum/machine'
import type { Turn } from '../state.js'
import { askOwn, type RemoteShard } from './remoteShards.js'

export interface RemoteHistory {
  readonly range: KeyRange
  readonly from: Revision
  /** All shards have promised it. */
  readonly to: Revision
  readonly prev: boolean
}

interface Page {
  readonly events: readonly PlacedEvents[]
  readonly next: Revision
}

/**
 * A page of the history of shards, from their leaders, in one order. All pages together take about as many
 * bytes as one of a shard that is here.
 */
export function readRemote(
  turn: Turn,
  shards: readonly RemoteShard[],
  { range, from, to, prev }: RemoteHistory,
  done: (turn: Turn, page: Result<MergedHistory>) => void,
): void {
  const parts = shards
    .map(({ group, range: own, promised }) => ({ group, promised, range: intersectRanges(own, range) }))
    .filter(part => !isEmptyRange(part.range))
  const bytesMax = Math.ceil(turn.state.options.limits.pageBytesMax / Math.max(1, parts.length))
  const pages: Page[] = []
  let isOver = false
  const end = (later: Turn, page: Result<MergedHistory>): void => {
    if (isOver) return
    isOver = true
    done(later, page)
  }
  assert(
    parts.every(({ promised }) => (promised?.revision ?? 0) >= to),
    () => `history up to ${to} is not promised`,
  )
  if (parts.length === 0) end(turn, ok({ events: [], next: to + 1 }))
  for (const { group, promised, range: own } of parts) {
    const index = promised?.index ?? 0
    const request = { kind: 'history', group, range: own, index, from, to, prev, bytesMax } as const
    askOwn(turn, request, (later, result) => {
      const page = pageIn(result)
      if (!page.ok) end(later, page)
      else if (pages.push(page.value) === parts.length) end(later, ok(mergeHistories(pages)))
    })
  }
}

function pageIn(result: ClientResult): Result<Page> {
  if (!result.ok) return result
  const reply = decodeReply(result.value.body)
  return reply.kind === 'history' ? ok(reply) : refuse('internal')
}
