import { compareBytes } from '@kvorum/model'
import type { Message } from './target.js'
import type { WatchStream } from './watchStream.js'

/** One watch at one server. */
export interface Watch {
  readonly stream: number
  readonly id: bigint
  /** As it was sent. */
  readonly request: Message
  /** The first revision it is to see. */
  readonly first: number
  /** Starts in the past: what it is to see is there already. */
  readonly past: boolean
  /** The compacted revision when it was made. */
  readonly compacted: number
  /** Where on its stream what was said to it begins. */
  readonly from: number
  ended: boolean
  /** Whose it is. */
  readonly as?: string
  /** Ended by us because its user may not read there any more: nothing to compare. */
  revoked?: true
}

export const WHOLE_LEDGER = { key: Buffer.from([0]), range_end: Buffer.from([0]), prev_kv: true }

export interface Seen {
  readonly event: Message
  readonly key: Uint8Array
  readonly mod: number
  readonly isDelete: boolean
}

const messagesOf = (watch: Watch, stream: WatchStream): Message[] =>
  stream.said.slice(watch.from).filter(message => message['watch_id'] === watch.id)

function seenOf(event: Message): Seen {
  const kv = event['kv'] as Message
  return {
    event,
    key: kv['key'] as Uint8Array,
    mod: kv['mod_revision'] as number,
    isDelete: event['type'] === 1,
  }
}

/** The events of a watch so far, in order. */
export const eventsOf = (watch: Watch, stream: WatchStream): Seen[] =>
  messagesOf(watch, stream)
    .flatMap(message => (message['events'] as Message[]).map(seenOf))
    .filter(seen => !isAtEdge(watch, seen))

/**
 * A tombstone at the compacted revision itself: etcd forgets it when the compaction, which goes on in the
 * background, gets there.
 */
const isAtEdge = (watch: Watch, seen: Seen): boolean => seen.isDelete && seen.mod === watch.compacted

/** How many of the ledger's events the watch is to see. */
export const expectedEvents = (watch: Watch, ledger: readonly Seen[]): number =>
  ledger.filter(seen => seen.mod >= watch.first && isWanted(watch.request, seen) && !isAtEdge(watch, seen))
    .length

const NO_BYTES = new Uint8Array()

function isWanted(request: Message, { key, isDelete }: Seen): boolean {
  const filters = (request['filters'] ?? []) as number[]
  if (filters.includes(isDelete ? 1 : 0)) return false
  const asked = (request['key'] ?? NO_BYTES) as Uint8Array
  const start = asked.length === 0 ? Uint8Array.of(0) : asked
  const end = (request['range_end'] ?? NO_BYTES) as Uint8Array
  if (end.length === 0) return compareBytes(start, key) === 0
  if (compareBytes(key, start) < 0) return false
  return (end.length === 1 && end[0] === 0) || compareBytes(key, end) < 0
}

/** The rules for messages that hold whatever the batching: what is broken; null: nothing. */
export function groupedByRevision(watch: Watch, stream: WatchStream): string | null {
  let before = 0
  let cut: Seen[] = []
  for (const message of messagesOf(watch, stream)) {
    const events = [...cut, ...(message['events'] as Message[]).map(seenOf)]
    cut = []
    if (message['fragment'] === true) {
      if (watch.request['fragment'] !== true) return 'a response came in fragments that nobody wanted'
      cut = events
      continue
    }
    if (events.length === 0) continue
    if (events[0]!.mod <= before) return `revision ${events[0]!.mod} came in two responses, or late`
    before = events.at(-1)!.mod
    if ((message['header'] as { revision: number }).revision < before) return `events of ${before} came early`
  }
  return null
}
