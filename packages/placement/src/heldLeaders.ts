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
  type NodeId,
  type Reply,
  type Result,
} from '@kvorum/model'
import type { MetaSection } from './metaSections.js'
import type { MetaState } from './metaState.js'

/**
 * Leaderships that an operator has placed by hand. The balancer leaves them where they are until the meta group's
 * leader says that it has been long enough, or that the node is not there any more.
 */
export interface HeldLeader {
  readonly group: GroupId
  readonly node: NodeId
}

export interface HoldCommand {
  readonly kind: 'holdLeader'
  readonly group: GroupId
  readonly node: NodeId
  /** False: it is held there no more; if it is held elsewhere by now, nothing happens. */
  readonly hold: boolean
}

export function applyHoldCommand(state: MetaState, { group, node, hold }: HoldCommand): Result<Reply> {
  const others = state.heldLeaders.filter(held => held.group !== group)
  if (!hold) {
    if (state.heldLeaders.some(held => held.group === group && held.node === node)) state.heldLeaders = others
    return ok({ kind: 'done' })
  }
  if (!state.shards.shards.some(shard => shard.group === group)) return refuse('shardNotFound')
  state.heldLeaders = [...others, { group, node }].sort((a, b) => a.group - b.group)
  return ok({ kind: 'done' })
}

const FORMAT = 1

export const HELD_LEADERS_SECTION: MetaSection = {
  tag: 9,
  encode: ({ heldLeaders }) => {
    if (heldLeaders.length === 0) return null
    const out = new ByteWriter().u8(FORMAT).varint(heldLeaders.length)
    for (const { group, node } of heldLeaders) out.varint(group).u64(node)
    return out.finish()
  },
  decode: (state, bytes) => {
    const input = new ByteReader(bytes)
    const format = input.u8()
    if (format !== FORMAT) throw new MalformedError(`format ${format} of held leaderships is not known`)
    const count = input.varint()
    if (count > LIMITS.shardsMax) throw new MalformedError(`${count} held leaderships are too many`)
    state.heldLeaders = Array.from({ length: count }, () => ({
      group: groupId(input.varint()),
      node: nodeId(input.u64()),
    }))
    input.end()
  },
}
