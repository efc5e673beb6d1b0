import { isAllKeys, LIMITS, type ClientRequest, type KvError, rangeCovers } from '@kvorum/model'
import { ownsOp } from '@kvorum/machine'
import { halvesOf, type ShardMap, type SplitOperation } from '@kvorum/placement'
import { shardOfGroup } from './groupMachine.js'
import { metaOf } from './membership.js'
import type { Group, NodeState } from './state.js'

/**
 * By which map a node routes: the meta group's, as far as it has applied it, with the splits that it knows of and that
 * have not come back to the meta group yet. What it knows may be old: then the shard refuses, as its range has the last
 * word, at the leader and again when a command is applied.
 */
export function learnSplit(state: NodeState, split: SplitOperation): void {
  if (state.splits.some(({ right }) => right === split.right)) return
  // What is forgotten here is learnt again from the next refusal.
  state.splits = [...state.splits, split].slice(-LIMITS.shardOperationsMax)
  state.shards = withSplits(state.shards, state.splits)
}

/** The meta group has a new map. */
export function mapApplied(state: NodeState, map: ShardMap): void {
  const known = new Set(map.shards.map(({ group }) => group))
  state.splits = state.splits.filter(({ right }) => !known.has(right))
  state.shards = withSplits(map, state.splits)
}

function withSplits(map: ShardMap, splits: readonly SplitOperation[]): ShardMap {
  let { shards } = map
  for (const split of splits) {
    if (shards.some(({ group }) => group === split.right)) continue
    shards = shards.flatMap(shard =>
      shard.group === split.group && shard.epoch < split.epoch ? halvesOf(shard, split) : [shard],
    )
  }
  return shards === map.shards ? map : { version: map.version, shards }
}

/** A shard refused, and said what it is now. Which group has the rest stands in the meta group's state. */
export function learnRoute(state: NodeState, { route }: KvError): void {
  const split = metaOf(state)?.operations.find(
    ({ group, epoch }) => group === route?.group && epoch === route.epoch,
  )
  if (split !== undefined) learnSplit(state, split)
}

/** Whether the shard, as this replica has applied it, has all keys of the request. */
export function hasKeysOf(group: Group, request: ClientRequest): boolean {
  const shard = shardOfGroup(group)
  if (shard === null) return true
  const { range } = shard
  switch (request.kind) {
    case 'write':
      return request.ranges.every(each => rangeCovers(range, each))
    case 'read':
      return ownsOp(range, request.op)
    case 'leaseTimeToLive':
      return request.part?.ranges.every(each => rangeCovers(range, each)) ?? true
    case 'follow':
    case 'history':
    case 'rows':
      return rangeCovers(range, request.range)
    case 'transactionRead':
      return request.ranges.every(each => rangeCovers(range, each))
    case 'resolve':
      // All keys: whatever the shard has, at the index that it answers.
      return request.ranges.every(each => isAllKeys(each) || rangeCovers(range, each))
    default:
      return true
  }
}

/** For whoever routed by an older map. */
export function routeOf(group: Group): Pick<KvError, 'route'> {
  const shard = shardOfGroup(group)
  if (shard === null) return {}
  const { range, epoch } = shard
  return { route: { group: group.id, range, epoch } }
}
