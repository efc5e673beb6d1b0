import { LIMITS, type GroupId, type Millis, type NodeId } from '@kvorum/model'
import type { Message } from '@kvorum/raft'
import type { NodeState, Turn } from './state.js'

/**
 * Votes that are asked for a group which is not here. The replica that split a shard first asks for the right half's
 * leadership, and the others are about to apply the split themselves: what it asked is heard then, and nobody waits
 * for an election timeout. Everything else that comes too early is repeated by whoever sent it.
 */
export interface EarlyMessage {
  readonly at: Millis
  readonly from: NodeId
  readonly message: Message
}

export function keepEarly(turn: Turn, from: NodeId, group: GroupId, message: Message): void {
  const { early } = turn.state
  if (message.kind !== 'preVote' && message.kind !== 'vote') return
  const others = (early.get(group) ?? []).filter(other => other.message.from !== message.from)
  if (others.length >= LIMITS.earlyVotesMax) return
  early.delete(group)
  early.set(group, [...others, { at: turn.now, from, message }])
  const oldest = early.size > LIMITS.earlyGroupsMax ? early.keys().next().value : undefined
  if (oldest !== undefined) early.delete(oldest)
}

/** What was asked no longer ago than a candidate waits. */
export function takeEarly(state: NodeState, group: GroupId, now: Millis): readonly EarlyMessage[] {
  const kept = state.early.get(group) ?? []
  state.early.delete(group)
  return kept.filter(({ at }) => now - at < state.options.electionTimeoutMs)
}
