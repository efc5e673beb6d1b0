import { assert, type GroupId } from '@kvorum/model'
import type { Machine } from '@kvorum/machine'
import type { Group, Turn } from '../state.js'
import { createShardHub, isUnused } from './hub.js'
import { createMerging } from './merging.js'

export const isOracleMode = ({ machine }: Group): boolean => machine.revisions.mode.kind === 'oracle'

/** By which a hub of these shards is known. */
export const nameOf = (groups: readonly GroupId[]): string => groups.join()

/** The state machine of a shard that is loaded here. */
export function machineOf({ state }: Turn, id: GroupId): Machine {
  const machine = state.groups.get(id)?.machine.shard ?? null
  assert(machine !== null, () => `group ${id} has no state to be watched`)
  return machine
}

/** The shard has left dense mode: its watchers go on, with everything sent to them that was written in dense mode. */
export function leaveDense(turn: Turn, group: Group): void {
  const { hub } = turn.state
  const dense = hub.shards.get(group.id)
  const { mode } = group.machine.revisions
  if (dense === undefined || mode.kind === 'dense' || isUnused(dense)) return
  const { epoch, revision } = machineOf(turn, group.id)
  const merging = createMerging([{ group: group.id, epoch }], mode.denseUpTo, mode.denseUpTo)
  merging.wanted = revision
  dense.merging = merging
  hub.merged.set(nameOf(dense.groups), dense)
  hub.shards.set(group.id, createShardHub(dense.groups, revision))
}
