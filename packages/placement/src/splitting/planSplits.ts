import type { GroupId, Millis, SplitStep } from '@kvorum/model'

export interface SplittableShard {
  readonly group: GroupId
  /** Neither moving nor being split. */
  readonly settled: boolean
  /** As the quota counts them; of one replica. */
  readonly bytes: number
  /** A key that halves the bytes; null: not known, or there is none. */
  readonly bytesMiddle: Uint8Array | null
  /** How long it has had far more requests than the others; 0: it has not. */
  readonly hotForMs: Millis
  /** A key that halves its requests; null: not known, or there is none. */
  readonly requestsMiddle: Uint8Array | null
}

export interface SplitPolicy {
  /** A shard with more bytes is split. */
  readonly bytesMax: number
  /** A shard that is hot for so long is split. */
  readonly hotForMs: Millis
  /** Splits under way at a time, in the whole cluster. */
  readonly splitsMax: number
  /** Shards that the cluster comes to have by itself. */
  readonly shardsMax: number
}

/**
 * Which shards should be split now, where, and why; the worst first. Nothing is ever joined again, and halves have about
 * half of what their shard had: so a shard is not split a second time before it has grown to twice its size, or is
 * far busier than all others once more.
 */
export function planSplits(
  shards: readonly SplittableShard[],
  underWay: number,
  policy: SplitPolicy,
): SplitStep[] {
  const room = Math.min(policy.splitsMax - underWay, policy.shardsMax - shards.length - underWay)
  if (room <= 0) return []
  const settled = shards.filter(shard => shard.settled)
  const large = settled
    .filter(({ bytes, bytesMiddle }) => bytes > policy.bytesMax && bytesMiddle !== null)
    .sort((a, b) => b.bytes - a.bytes || a.group - b.group)
  const hot = settled
    .filter(({ hotForMs, requestsMiddle }) => hotForMs >= policy.hotForMs && requestsMiddle !== null)
    .filter(shard => !large.includes(shard))
    .sort((a, b) => b.hotForMs - a.hotForMs || a.group - b.group)
  return [
    ...large.map(({ group, bytesMiddle }) => step(group, bytesMiddle!, 'bytesMany')),
    ...hot.map(({ group, requestsMiddle }) => step(group, requestsMiddle!, 'requestsMany')),
  ].slice(0, room)
}

const step = (group: GroupId, at: Uint8Array, reason: SplitStep['reason']): SplitStep => ({
  kind: 'split',
  group,
  at,
  reason,
})
