import {
  encodeReply,
  META_GROUP,
  refuse,
  TRUSTED,
  type ClientRequest,
  type ClientResult,
  type KeyRange,
  type Revision,
} from '@kvorum/model'
import { encodeMetaCommand, routeRanges, type ShardDescriptor } from '@kvorum/placement'
import { answerCall, failCall, finishCall, openCall, type Call } from './calls.js'
import { askPart } from './gather.js'
import { leads, metaOf, noteOracleTerm } from './membership.js'
import { learnRoute } from './routing.js'
import type { Group, Turn } from './state.js'
import { after } from './transactions/coordinate.js'

/**
 * A compaction of several shards is one revision of the cluster: the meta group's log has it first, and then each
 * shard's, when nothing at or below it can come there any more.
 *
 *     current() --> not above it --> meta group's log --> every shard: resolve, compact --> answer
 *
 * Whoever leads a shard that is behind the meta group does its part as a duty, so that a compaction that was begun
 * comes to its end without the node that began it.
 */
type CompactRequest = Extract<ClientRequest, { kind: 'compact' }>

export function compactShards(turn: Turn, call: Call, request: CompactRequest): void {
  askPart(turn, call, { kind: 'oracle', ask: { kind: 'current' } }, META_GROUP, (later, result) => {
    if (!result.ok) finishCall(later, call, result)
    else if (request.revision > result.value.header.revision) failCall(later, call, 'futureRevision')
    else if (request.revision <= compactedHere(later)) {
      finishCall(later, call, refuse('compacted', { compactRevision: compactedHere(later) }))
    } else {
      const { header } = result.value
      noteOracleTerm(later.state, header.term)
      decide(later, call, request, header)
    }
  })
}

/** Also from when there was one shard, and its log alone knew. */
const compactedHere = ({ state }: Turn): Revision =>
  Math.max(0, ...[...state.groups.values()].map(({ machine }) => machine.shard?.compactRevision ?? 0))

function decide(
  turn: Turn,
  call: Call,
  { revision, physical }: CompactRequest,
  header: { readonly revision: Revision; readonly term: number },
): void {
  const command = encodeMetaCommand({ kind: 'compact', revision })
  call.mayHaveEffect = true
  askPart(turn, call, { kind: 'meta', command }, META_GROUP, (later, result) => {
    if (!result.ok) {
      finishCall(later, call, result)
      return
    }
    const request = { kind: 'compact', revision, physical, resolved: true } as const
    compactRange(later, call, ALL_KEYS, request, (now, done) => {
      if (!done.ok) finishCall(now, call, done)
      else answerCall(now, call, header, encodeReply({ kind: 'done' }))
    })
  })
}

const ALL_KEYS: KeyRange = { start: new Uint8Array(0), end: null }
/** Until the map here may be as new as the shard that said it was cut. */
const RETRY_MS = 10

/** Whoever has the keys by now. A shard that was cut since the map here was made refuses, and its halves are asked. */
function compactRange(
  turn: Turn,
  call: Call,
  range: KeyRange,
  request: CompactRequest,
  done: (turn: Turn, result: ClientResult) => void,
): void {
  const parts = routeRanges(turn.state.shards, [range])
  let left = parts.length
  const compacted = (later: Turn, result: ClientResult): void => {
    if (!result.ok || --left === 0) done(later, result)
  }
  for (const { shard, ranges } of parts) {
    const part = { group: shard.group, range: ranges[0]! }
    compactShard(turn, call, part, request, (later, result) => {
      if (result.ok || result.error.code !== 'staleRoute') {
        compacted(later, result)
        return
      }
      learnRoute(later.state, result.error)
      after(later, RETRY_MS, now => {
        if (!call.done) compactRange(now, call, part.range, request, compacted)
      })
    })
  }
}

function compactShard(
  turn: Turn,
  call: Call,
  { group, range }: Pick<ShardDescriptor, 'group' | 'range'>,
  request: CompactRequest,
  done: (turn: Turn, result: ClientResult) => void,
): void {
  const { revision } = request
  askPart(turn, call, { kind: 'resolve', group, revision, ranges: [range] }, group, (later, resolved) => {
    if (!resolved.ok) {
      done(later, resolved)
      return
    }
    askPart(later, call, request, group, (now, result) => {
      // Its leader may have been quicker.
      const isDone = !result.ok && result.error.code === 'compacted'
      done(now, isDone ? resolved : result)
    })
  })
}

/** Part of the duties. */
export function driveShardCompaction(turn: Turn, group: Group): void {
  const { shard } = group.machine
  const compacted = metaOf(turn.state)?.compacted ?? 0
  if (shard === null || group.revisions === null || !leads(group) || compacted <= shard.compactRevision)
    return
  if (shard.guard.corrupt || group.own.compact?.done === false) return
  const due = turn.now + turn.state.options.electionTimeoutMs * 2
  const request: CompactRequest = {
    kind: 'compact',
    revision: compacted,
    physical: false,
    resolved: true,
    authority: TRUSTED,
  }
  const call = openCall(turn, { kind: 'own', done: () => undefined }, request, due)
  if (call === null) return
  group.own.compact = call
  const range = { group: group.id, range: shard.range }
  compactShard(turn, call, range, request, (later, result) => finishCall(later, call, result))
}
