import { LIMITS, type Millis, type SplitStep } from '@kvorum/model'
import { isMoving, operationOn, planSplits, type MetaState } from '@kvorum/placement'
import type { NodeState } from './state.js'
import type { BalanceOptions } from './types.js'

/** Where shards are placed on some of the members, and nobody has said otherwise. */
const DEFAULT_SPLIT_BYTES = 256 * 1024 * 1024

/** A shard with more bytes is split by itself; 0: none is. */
export function splitBytesOf(meta: MetaState, balance: BalanceOptions | undefined): number {
  if (balance === undefined) return 0
  if (balance.splitBytes !== null) return balance.splitBytes
  const { replicas } = meta.placement
  const voters = meta.nodes.filter(({ learner }) => !learner).length
  return replicas > 0 && voters > replicas ? DEFAULT_SPLIT_BYTES : 0
}

/** What should be split now, by what the leaders of shards have told this node. */
export function splitsOf(
  state: NodeState,
  meta: MetaState,
  now: Millis,
  balance: BalanceOptions,
): SplitStep[] {
  const bytesMax = splitBytesOf(meta, balance)
  if (bytesMax === 0) return []
  const { told, heats } = state.loads
  const shards = meta.shards.shards.map(({ group, epoch }) => {
    const load = told.get(group)
    const known = load?.epoch === epoch ? load : undefined
    const heat = heats.get(group)
    return {
      group,
      settled: !isMoving(meta, group) && operationOn(meta, group) === undefined,
      bytes: known?.bytes ?? 0,
      bytesMiddle: known?.bytesMiddle ?? null,
      hotForMs: heat?.epoch === epoch ? now - heat.since : 0,
      requestsMiddle: known?.requestsMiddle ?? null,
    }
  })
  return planSplits(shards, meta.operations.length, {
    bytesMax,
    hotForMs: balance.hotForMs,
    splitsMax: LIMITS.automaticSplitsMax,
    shardsMax: LIMITS.automaticShardsMax,
  })
}
