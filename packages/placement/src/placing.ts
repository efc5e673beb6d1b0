import {
  ByteReader,
  ByteWriter,
  groupId,
  LIMITS,
  MalformedError,
  nodeId,
  ok,
  refuse,
  type GroupId,
  type Index,
  type NodeId,
  type Replica,
  type Reply,
  type Result,
} from '@kvorum/model'
import type { FormerReplica } from './former.js'
import { seatOf, type Seat } from './members.js'
import type { MetaSection } from './metaSections.js'
import type { MetaState } from './metaState.js'

/**
 * On which members each shard's replicas are wanted. The group follows: its leader finds the next step from what the
 * group is to what is wanted, and says when it is there.
 *
 *     placeShard: wanted elsewhere --> the group's leader adds, waits, swaps --> shardPlaced: as wanted, at an index
 *
 * A shard that is not placed has a replica on every member.
 */
export interface Placement {
  /** Replicas that a shard should have; 0: one on every member. */
  readonly replicas: number
  /** Members that are to hold no replicas of shards any more; ascending. */
  readonly draining: readonly NodeId[]
  /** Ascending by group. */
  readonly shards: readonly PlacedShard[]
  /** Whom shards may count that are no members any more: until the groups have said that they go on without them. */
  readonly former: readonly FormerReplica[]
}

export interface PlacedShard {
  readonly group: GroupId
  /** Where its replicas are wanted; ascending, never empty. */
  readonly nodes: readonly NodeId[]
  /** The group is as it is wanted; false: an operation is under way. */
  readonly settled: boolean
  /**
   * Position in the group's log by which it was last as wanted; 0: from the beginning. Whoever has a configuration
   * from behind it that names it was let in again since.
   */
  readonly settledAt: Index
}

export const NO_PLACEMENT: Placement = { replicas: 0, draining: [], shards: [], former: [] }

export type PlaceCommand =
  /**
   * The shard's replicas are wanted on `nodes` from now on. `before`: where whoever decided that took them to be.
   * `override`: also while it is moving; the balancer's, when a move cannot be finished.
   */
  | {
      readonly kind: 'placeShard'
      readonly group: GroupId
      readonly before: readonly NodeId[]
      readonly nodes: readonly NodeId[]
      readonly override: boolean
    }
  /** The group is as it was wanted on `nodes`, by its log at `index`. */
  | {
      readonly kind: 'shardPlaced'
      readonly group: GroupId
      readonly nodes: readonly NodeId[]
      readonly index: Index
    }
  /** The member is to be emptied, or no longer. */
  | { readonly kind: 'drainNode'; readonly node: NodeId; readonly drain: boolean }

/** Asked for with every request to a shard elsewhere, and there may be a thousand of them. */
export function placedShard({ placement }: MetaState, group: GroupId): PlacedShard | undefined {
  const { shards } = placement
  let low = 0
  for (let high = shards.length; low < high;) {
    const middle = (low + high) >> 1
    if (shards[middle]!.group < group) low = middle + 1
    else high = middle
  }
  return shards[low]?.group === group ? shards[low] : undefined
}

/** Where the shard's replicas are wanted: where it is placed, or on every member that votes. */
export const wantedNodes = (state: MetaState, group: GroupId): readonly NodeId[] =>
  placedShard(state, group)?.nodes ?? state.nodes.filter(({ learner }) => !learner).map(({ id }) => id)

/** Whose replicas take part in the group: of a placed shard those that are wanted, otherwise every member's. */
export function wantedSeats(state: MetaState, group: GroupId): readonly Seat[] {
  const placed = placedShard(state, group)
  const { seats } = state.membership
  return placed === undefined ? seats : seats.filter(({ node }) => placed.nodes.includes(node))
}

/** The right half of a split begins where the left is, and counts whom the left may count. */
export function placeRightHalf(state: MetaState, left: GroupId, right: GroupId): void {
  const placed = placedShard(state, left)
  if (placed === undefined) return
  setShard(state, { ...placed, group: right, settledAt: 0 })
  const { placement } = state
  const counted = placement.former.filter(({ group }) => group === left)
  const former = [...placement.former, ...counted.map(({ node }) => ({ group: right, node }))]
  state.placement = { ...placement, former }
}

/** Its replicas are on their way: nothing else is to be begun on it. */
export const isMoving = (state: MetaState, group: GroupId): boolean =>
  placedShard(state, group)?.settled === false

/** How many shards' replicas are wanted on the member, those that splits are about to make too. */
export function shardsOn(state: MetaState, node: NodeId): number {
  const placed = state.placement.shards
  const votes = state.nodes.some(({ id, learner }) => id === node && !learner)
  const everywhere = votes ? state.shards.shards.length - placed.length : 0
  const coming = state.operations.filter(({ group }) => wantedNodes(state, group).includes(node))
  return everywhere + placed.filter(({ nodes }) => nodes.includes(node)).length + coming.length
}

/** The placement that a new cluster begins with: as its shards' descriptors say. */
export const initialPlacement = (
  shards: readonly { readonly group: GroupId; readonly replicas: readonly Replica[] }[],
  replicas: number,
): Placement => ({
  replicas,
  draining: [],
  shards:
    replicas === 0
      ? []
      : [...shards]
          .sort((a, b) => a.group - b.group)
          .map(shard => ({
            group: shard.group,
            nodes: ascending(shard.replicas.map(({ node }) => node)),
            settled: true,
            settledAt: 0,
          })),
  former: [],
})

export function applyPlaceCommand(state: MetaState, command: PlaceCommand): Result<Reply> {
  switch (command.kind) {
    case 'placeShard':
      return placeShard(state, command)
    case 'shardPlaced':
      return shardPlaced(state, command)
    case 'drainNode':
      return drainNode(state, command)
  }
}

type Of<Kind extends PlaceCommand['kind']> = Extract<PlaceCommand, { kind: Kind }>

const DONE = ok<Reply>({ kind: 'done' })

function placeShard(state: MetaState, command: Of<'placeShard'>): Result<Reply> {
  const { group, override } = command
  if (!state.shards.shards.some(shard => shard.group === group)) return refuse('shardNotFound')
  const placed = placedShard(state, group)
  const before = wantedNodes(state, group)
  const moving = placed !== undefined && !placed.settled && !override
  if (moving || state.operations.some(operation => operation.group === group)) return refuse('shardBusy')
  if (command.before.join() !== before.join()) return refuse('shardChanged')
  const nodes = ascending(new Set(command.nodes))
  if (nodes.length === 0 || nodes.length > LIMITS.replicasPerShardMax) return refuse('placeInvalid')
  for (const node of nodes) {
    const refusal = refusesNode(state, node, before.includes(node))
    if (refusal !== null) return refuse(refusal)
  }
  const next = { group, nodes, settled: false, settledAt: placed?.settledAt ?? 0 }
  setShard(state, next)
  return DONE
}

/** Whoever stays may be leaving or full; whoever comes may not. */
function refusesNode(
  state: MetaState,
  node: NodeId,
  stays: boolean,
): 'memberNotFound' | 'nodeDraining' | 'nodeFull' | null {
  const record = state.nodes.find(({ id }) => id === node)
  if (stays) return null
  if (record === undefined || record.learner) return 'memberNotFound'
  if (state.placement.draining.includes(node)) return 'nodeDraining'
  return shardsOn(state, node) >= LIMITS.shardsPerNodeMax ? 'nodeFull' : null
}

function shardPlaced(state: MetaState, { group, nodes, index }: Of<'shardPlaced'>): Result<Reply> {
  const placed = placedShard(state, group)
  // Wanted elsewhere meanwhile: what is told speaks of an operation that is no more.
  if (placed === undefined || placed.settled || placed.nodes.join() !== nodes.join()) return DONE
  // The same places, some time ago.
  if (index < placed.settledAt) return DONE
  setShard(state, { ...placed, settled: true, settledAt: index })
  const former = state.placement.former.filter(other => other.group !== group)
  state.placement = { ...state.placement, former }
  const replicas = wantedSeats(state, group).map(({ node, replica }) => ({ id: replica, node }))
  const shards = state.shards.shards.map(shard => (shard.group === group ? { ...shard, replicas } : shard))
  state.shards = { version: state.shards.version + 1, shards }
  return DONE
}

function drainNode(state: MetaState, { node, drain }: Of<'drainNode'>): Result<Reply> {
  if (seatOf(state, node) === undefined) return refuse('memberNotFound')
  const { placement } = state
  const others = placement.draining.filter(other => other !== node)
  state.placement = { ...placement, draining: ascending(drain ? [...others, node] : others) }
  return DONE
}

function setShard(state: MetaState, shard: PlacedShard): void {
  const others = state.placement.shards.filter(({ group }) => group !== shard.group)
  const shards = [...others, shard].sort((a, b) => a.group - b.group)
  state.placement = { ...state.placement, shards }
}

const ascending = (nodes: Iterable<NodeId>): NodeId[] => [...nodes].sort((a, b) => (a < b ? -1 : 1))

/** The second has, behind the first, the former members that shards may count; without any the first is written. */
const PLACEMENT_FORMATS = [1, 2] as const

export const PLACEMENT_SECTION: MetaSection = {
  tag: 8,
  encode: ({ placement }) => {
    const { replicas, draining, shards, former } = placement
    if (replicas === 0 && draining.length === 0 && shards.length === 0 && former.length === 0) return null
    const out = new ByteWriter()
    out.u8(former.length === 0 ? 1 : 2).varint(replicas)
    writeNodes(out, draining)
    out.varint(shards.length)
    for (const shard of shards) {
      out.varint(shard.group).bool(shard.settled).varint(shard.settledAt)
      writeNodes(out, shard.nodes)
    }
    if (former.length > 0) {
      out.varint(former.length)
      for (const { group, node } of former) out.varint(group).u64(node)
    }
    return out.finish()
  },
  decode: (state, bytes) => {
    const input = new ByteReader(bytes)
    const format = input.u8()
    if (!PLACEMENT_FORMATS.some(known => known === format))
      throw new MalformedError(`placement format ${format} is not known`)
    const replicas = input.varint()
    const draining = readNodes(input)
    const shards: PlacedShard[] = []
    for (let left = countIn(input); left > 0; left--) {
      const group = groupId(input.varint())
      const settled = input.bool()
      const settledAt = input.varint()
      shards.push({ group, nodes: readNodes(input), settled, settledAt })
    }
    const former = Array.from({ length: format === 1 ? 0 : countIn(input) }, (): FormerReplica => {
      return { group: groupId(input.varint()), node: nodeId(input.u64()) }
    })
    input.end()
    state.placement = { replicas, draining, shards, former }
  },
}

export function writeNodes(out: ByteWriter, nodes: readonly NodeId[]): void {
  out.varint(nodes.length)
  for (const node of nodes) out.u64(node)
}

export const readNodes = (input: ByteReader): NodeId[] =>
  Array.from({ length: countIn(input) }, () => nodeId(input.u64()))

function countIn(input: ByteReader): number {
  const count = input.varint()
  if (count > input.remaining)
    throw new MalformedError(`${count} items cannot be in ${input.remaining} bytes`)
  return count
}
