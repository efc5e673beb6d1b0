import type { Entry, EntryKind, Index } from '@kvorum/model'
import { termAt, type Raft } from '@kvorum/raft'
import type { LogShadow } from './invariants/logShadow.js'
import type { ConfigAt, EntryMark, Positions } from './invariants/observation.js'
import { mix } from './random.js'

/** How observations read the record of a replica. It is looked at only, between steps. */

const KINDS: Readonly<Record<EntryKind, number>> = { normal: 1, noop: 2, config: 3 }

export function markOf({ index, term, kind, data, time }: Entry): EntryMark {
  let hash = mix(KINDS[kind] ^ Math.imul(time >>> 0, 0x9e3779b1))
  for (let i = 0; i < data.length; i++) hash = Math.imul(hash ^ data[i]!, 0x01000193)
  return { index, term, hash: mix(hash) }
}

/**
 * What was appended or replaced since `log` was told: everything above the last position where both agree. New
 * entries are in the cache until they are durable, so they are always found there.
 */
export function appendedSince(raft: Raft, log: LogShadow): EntryMark[] {
  let agreed = Math.min(raft.lastIndex, log.last)
  while (agreed > log.base.index && termAt(raft, agreed) !== log.termAt(agreed)) agreed--
  const { cache } = raft
  const from = Math.max(agreed + 1, cache.first)
  return cache.entries.slice(cache.head + from - cache.first).map(markOf)
}

/** The configurations that came with entries from `from` on. */
export const configsFrom = (raft: Raft, from: Index): readonly ConfigAt[] =>
  raft.configs.filter(({ index }) => index >= from)

/** `snapshot` is the applied index that a synced state store covers. */
export const positionsOf = (raft: Raft, snapshot: Index): Positions => ({
  term: raft.term,
  vote: raft.vote,
  purged: raft.base.index,
  snapshot,
  applied: raft.applied,
  commit: raft.commit,
  last: raft.lastIndex,
  configIndex: raft.configs.at(-1)!.index,
})
