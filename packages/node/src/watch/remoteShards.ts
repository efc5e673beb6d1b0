import {
  decodeReply,
  isSameRange,
  LIMITS,
  type AuthFence,
  type ClientRequest,
  type ClientResult,
  type GroupId,
  type Index,
  type KeyRange,
  type Millis,
  type Reply,
  type Revision,
} from '@kvorum/model'
import { openCall } from '../calls.js'
import { learnRoute } from '../routing.js'
import type { NodeState, Turn } from '../state.js'
import type { ShardHub } from './hub.js'
import { noteSeen } from './news.js'

/** What this node knows, for its watches, of shards that it has no replica of: what their leaders have said. */
export interface RemoteWatches {
  readonly shards: Map<GroupId, RemoteShard>
  /** Hubs that read such shards, by the numbers of their groups; see remoteHub.ts. */
  readonly hubs: Map<string, ShardHub>
  /** Looks that were begun. */
  looks: number
  /** Something was said since the hubs were told. */
  hasNews: boolean
}

/** Of one shard, with the range that it had when it was asked. With another one it is another record. */
export interface RemoteShard {
  readonly group: GroupId
  readonly range: KeyRange
  /** Everything at or below the revision that touches the range is applied at the index. */
  promised: { readonly revision: Revision; readonly index: Index } | null
  compactRevision: Revision
  fence: AuthFence
  /** The newest look that was answered. */
  looked: number
  usedAt: Millis
  /** Questions under way, one of each kind. */
  readonly asking: Set<Question>
  /** A question had no answer: none before this. */
  again: Millis
}

/** `follow` waits at the shard until something happens; `look` does not. */
type Question = 'follow' | 'look' | 'resolve'

/** Null: the map has no such shard. */
export function remoteShard(turn: Turn, id: GroupId): RemoteShard | null {
  const { shards } = turn.state.hub.remote
  const descriptor = turn.state.shards.shards.find(({ group }) => group === id)
  if (descriptor === undefined) return null
  const known = shards.get(id)
  if (known !== undefined && isSameRange(known.range, descriptor.range)) return known
  const shard: RemoteShard = {
    group: id,
    range: descriptor.range,
    promised: null,
    compactRevision: 0,
    fence: { revision: 0, enabled: false },
    looked: 0,
    usedAt: turn.now,
    asking: new Set(),
    again: 0,
  }
  shards.set(id, shard)
  return shard
}

/** Whether the record is about the shard as the map has it now. */
export function isOnMap({ shards }: NodeState, { group, range }: RemoteShard): boolean {
  const descriptor = shards.shards.find(shard => shard.group === group)
  return descriptor !== undefined && isSameRange(descriptor.range, range)
}

/** Waits at the shard for what comes behind all that is known. */
export function follow(turn: Turn, shard: RemoteShard): void {
  // 0 would be a look, which does not wait.
  const after = shard.promised === null ? 0 : Math.max(1, shard.promised.revision)
  askFollow(turn, shard, 'follow', after)
}

/** How far the shard is now, and by which rights. */
export function look(turn: Turn, shard: RemoteShard): void {
  const { remote } = turn.state.hub
  const number = ++remote.looks
  askFollow(turn, shard, 'look', 0, () => {
    shard.looked = number
  })
}

function askFollow(
  turn: Turn,
  shard: RemoteShard,
  question: Question,
  after: Revision,
  answered: () => void = () => undefined,
): void {
  const { group, range } = shard
  ask(turn, shard, question, { kind: 'follow', group, range, after }, (later, reply, revision) => {
    if (reply.kind !== 'followed') return
    notePromised(later, shard, revision, reply.index)
    shard.compactRevision = Math.max(shard.compactRevision, reply.compactRevision)
    if (reply.fence.revision >= shard.fence.revision) shard.fence = reply.fence
    answered()
  })
}

/** Asks the shard's leader to promise `revision`, which another shard has shown. */
export function resolve(turn: Turn, shard: RemoteShard, revision: Revision): void {
  const { group, range } = shard
  const request = { kind: 'resolve', group, revision, ranges: [range] } as const
  ask(turn, shard, 'resolve', request, (later, reply, resolved) => {
    if (reply.kind === 'resolved') notePromised(later, shard, resolved, reply.index)
  })
}

function notePromised(turn: Turn, shard: RemoteShard, revision: Revision, index: Index): void {
  noteSeen(turn.state, revision)
  if (revision >= (shard.promised?.revision ?? 0)) shard.promised = { revision, index }
}

function ask(
  turn: Turn,
  shard: RemoteShard,
  question: Question,
  request: ClientRequest,
  answered: (turn: Turn, reply: Reply, revision: Revision) => void,
): void {
  if (shard.asking.has(question) || turn.now < shard.again) return
  shard.asking.add(question)
  askOwn(turn, request, (later, result) => {
    shard.asking.delete(question)
    later.state.hub.remote.hasNews = true
    if (result.ok) answered(later, decodeReply(result.value.body), result.value.header.revision)
    else {
      shard.again = later.now + later.state.options.heartbeatMs
      if (result.error.code === 'staleRoute') learnRoute(later.state, result.error)
    }
  })
}

export function askOwn(
  turn: Turn,
  request: ClientRequest,
  done: (turn: Turn, result: ClientResult) => void,
): void {
  const due = turn.now + turn.state.options.electionTimeoutMs * 2 + LIMITS.followMs
  const call = openCall(turn, { kind: 'own', done }, request, due)
  if (call !== null) turn.routing.push(call)
}
