import type { Machine } from '@kvorum/machine'
import type { NodeState } from './state.js'

/** A shard's part of the quota changes in steps of such a share: each is an entry of its log. */
const STEPS = 32

/**
 * What the quota leaves to a shard beside the others that this node has replicas of: the bound is one over all that a
 * member holds, and a shard can only refuse by what is in its own log. 0: no bound. Rounded up to a step, so that logs
 * do not follow every write to other shards: together they may go beyond the quota by about a step.
 * `held`: what all of them have, this one included; it is asked for of many shards at a time.
 */
export function quotaLeft(quotaBytes: number, held: number, { logicalBytes }: Machine): number {
  const others = held - logicalBytes
  if (quotaBytes === 0 || others === 0) return quotaBytes
  const step = Math.ceil(quotaBytes / STEPS)
  const left = Math.ceil((quotaBytes - others) / step) * step
  // 0 would be no bound at all.
  return Math.min(quotaBytes, Math.max(1, left))
}

/** Logical bytes of all shards that this node has replicas of. */
export function bytesHeld({ groups }: NodeState): number {
  let bytes = 0
  for (const { machine } of groups.values()) bytes += machine.shard?.logicalBytes ?? 0
  return bytes
}
