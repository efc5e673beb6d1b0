import type { GroupId, Index, Revision, RevisionEvents } from '@kvorum/model'
import type { Group, NodeState, Turn } from '../state.js'
import { leaveDense } from './leaveDense.js'

/** What has happened to a shard in oracle mode and the hubs were not told yet; they are once a turn. */
export interface ShardNews {
  events: RevisionEvents[]
  promised: { readonly revision: Revision; readonly index: Index }[]
  /** Events up to here did not come along. */
  lostUpTo: Revision
}

export function noteSeen({ hub }: NodeState, revision: Revision): void {
  hub.seen = Math.max(hub.seen, revision)
}

/** A shard in oracle mode has changed keys; null: more of them than fit in memory. */
export function noteApplied(
  turn: Turn,
  group: Group,
  revision: Revision,
  events: RevisionEvents | null,
): void {
  noteSeen(turn.state, revision)
  leaveDense(turn, group)
  if (turn.state.hub.merged.size === 0) return
  const news = newsOf(turn, group.id)
  if (events === null) news.lostUpTo = Math.max(news.lostUpTo, revision)
  else news.events.push(events)
}

export function notePromise(turn: Turn, group: GroupId, promised: ShardNews['promised'][number]): void {
  noteSeen(turn.state, promised.revision)
  if (turn.state.hub.merged.size > 0) newsOf(turn, group).promised.push(promised)
}

export function newsOf({ state }: Turn, group: GroupId): ShardNews {
  let news = state.hub.news.get(group)
  if (news === undefined) {
    news = { events: [], promised: [], lostUpTo: 0 }
    state.hub.news.set(group, news)
  }
  return news
}

/** Something came after the hubs were told; another turn is due. */
export const hasNews = ({ hub }: NodeState): boolean => hub.news.size > 0 || hub.remote.hasNews
