import {
  ByteReader,
  ByteWriter,
  compareBytes,
  groupId,
  LIMITS,
  MalformedError,
  ok,
  rangeContains,
  refuse,
  type Epoch,
  type GroupId,
  type NodeId,
  type Reply,
  type Result,
} from '@kvorum/model'
import type { MetaSection } from './metaSections.js'
import type { MetaState } from './metaState.js'
import { isMoving, placeRightHalf, shardsOn, wantedNodes } from './placing.js'
import { checkShardMap, shardOf, type ShardDescriptor } from './shardMap.js'

/**
 * What is being done to shards. An operation is begun by an entry of the meta group's log, carried out in the log of
 * its shard, and finished by another entry of the meta group's, which changes the map. In between it is state: the
 * leader of the meta group drives it, and whoever leads next goes on.
 *
 *     splitShard --> pending --(entry in the shard's log: the halves exist)--> finishSplit --> the map has both
 *                       \--(it cannot be carried out)--> abandonSplit
 */
export interface SplitOperation {
  readonly kind: 'split'
  /** Keeps the keys below `at`. */
  readonly group: GroupId
  /** Gets the others. The number was taken at the beginning and is never given again, whatever comes of it. */
  readonly right: GroupId
  readonly at: Uint8Array
  /** Of both halves, above every epoch that the shard had. */
  readonly epoch: Epoch
}

export type ShardOperation = SplitOperation

export type ShardCommandOfMeta =
  /** Split the shard of `group` (null: whichever owns the key) so that `at` is the first key of the right half. */
  | { readonly kind: 'splitShard'; readonly at: Uint8Array; readonly group: GroupId | null }
  /** The shard's log holds the split, applied by its leader. */
  | { readonly kind: 'finishSplit'; readonly right: GroupId }
  /** The shard's log will never hold it. */
  | { readonly kind: 'abandonSplit'; readonly right: GroupId }

export const operationOn = (state: MetaState, group: GroupId): ShardOperation | undefined =>
  state.operations.find(operation => operation.group === group)

export function applyShardCommand(state: MetaState, command: ShardCommandOfMeta): Result<Reply> {
  switch (command.kind) {
    case 'splitShard':
      return beginSplit(state, command.at, command.group)
    case 'finishSplit':
      return finishSplit(state, command.right)
    case 'abandonSplit':
      state.operations = state.operations.filter(({ right }) => right !== command.right)
      return ok({ kind: 'done' })
  }
}

/** Nothing changes but the list: routing goes on as before until the halves exist. */
function beginSplit(state: MetaState, at: Uint8Array, group: GroupId | null): Result<Reply> {
  const { shards } = state.shards
  const shard = group === null ? shardOf(state.shards, at) : shards.find(other => other.group === group)
  if (shard === undefined) return refuse('shardNotFound')
  const { start } = shard.range
  if (at.length === 0 || !rangeContains(shard.range, at) || compareBytes(at, start) === 0)
    return refuse('splitKeyInvalid')
  if (operationOn(state, shard.group) !== undefined || isMoving(state, shard.group))
    return refuse('shardBusy')
  if (state.operations.length >= LIMITS.shardOperationsMax) return refuse('tooManyRequests')
  if (shards.length + state.operations.length >= LIMITS.shardsMax) return refuse('tooManyShards')
  const isFull = (node: NodeId): boolean => shardsOn(state, node) >= LIMITS.shardsPerNodeMax
  if (wantedNodes(state, shard.group).some(isFull)) return refuse('nodeFull')
  const right = groupId(state.nextGroup++)
  const operation = { kind: 'split', group: shard.group, right, at, epoch: shard.epoch + 1 } as const
  state.operations = [...state.operations, operation]
  return ok({ kind: 'splitBegun', right })
}

/** Told again after a change of leaders, it is finished already. */
function finishSplit(state: MetaState, right: GroupId): Result<Reply> {
  const operation = state.operations.find(other => other.right === right)
  if (operation === undefined) return ok({ kind: 'done' })
  const shards = state.shards.shards.flatMap(shard =>
    shard.group === operation.group ? halvesOf(shard, operation) : [shard],
  )
  const map = { version: state.shards.version + 1, shards }
  checkShardMap(map)
  state.shards = map
  placeRightHalf(state, operation.group, right)
  state.operations = state.operations.filter(other => other !== operation)
  return ok({ kind: 'done' })
}

/** What a split makes of a shard's descriptor. The halves begin on the same nodes. */
export function halvesOf(
  shard: ShardDescriptor,
  { right, at, epoch }: SplitOperation,
): [ShardDescriptor, ShardDescriptor] {
  const { start, end } = shard.range
  return [
    { ...shard, epoch, range: { start, end: at } },
    { ...shard, epoch, group: right, range: { start: at, end } },
  ]
}

const OPERATIONS_FORMAT = 1
/** On disk. */
const OPERATIONS = { split: 1 } as const

export const OPERATIONS_SECTION: MetaSection = {
  tag: 6,
  encode: ({ operations }) => {
    if (operations.length === 0) return null
    const out = new ByteWriter().u8(OPERATIONS_FORMAT).varint(operations.length)
    for (const { kind, group, right, at, epoch } of operations)
      out.u8(OPERATIONS[kind]).varint(group).varint(right).bytes(at).varint(epoch)
    return out.finish()
  },
  decode: (state, bytes) => {
    const input = new ByteReader(bytes)
    const format = input.u8()
    if (format !== OPERATIONS_FORMAT)
      throw new MalformedError(`format ${format} of operations on shards is not known`)
    const count = input.varint()
    if (count > LIMITS.shardOperationsMax)
      throw new MalformedError(`${count} operations on shards are too many`)
    state.operations = Array.from({ length: count }, () => readOperation(input))
    input.end()
  },
}

function readOperation(input: ByteReader): ShardOperation {
  const kind = input.u8()
  if (kind !== OPERATIONS.split) throw new MalformedError(`operation ${kind} on a shard is not known`)
  return {
    kind: 'split',
    group: groupId(input.varint()),
    right: groupId(input.varint()),
    at: Buffer.from(input.bytes()),
    epoch: input.varint(),
  }
}
