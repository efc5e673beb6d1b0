import type { GroupId, KeyRange, Revision } from '@kvorum/model'
import type { Machine, Reader } from '@kvorum/machine'
import { shardOfGroup } from '../groupMachine.js'
import { takeReadView } from '../readView.js'
import type { Turn } from '../state.js'
import type { ShardHub } from './hub.js'

/** The shards of a hub as they are here now. */
export interface HubShards {
  readonly machines: readonly [Machine, ...Machine[]]
  /** Everything up to this may be told to watchers. */
  readonly revision: Revision
  readonly compactRevision: Revision
}

/** Null: one of the shards has no state here that can be told. */
export function shardsOf(
  turn: Turn,
  { groups, merging }: Pick<ShardHub, 'groups' | 'merging'>,
): HubShards | null {
  const machines = groups.map(id => machineAt(turn, id)).filter(machine => machine !== null)
  const [first, ...others] = machines
  if (first === undefined || machines.length < groups.length) return null
  return {
    machines: [first, ...others],
    revision: merging === null ? first.revision : merging.watch.emitted,
    compactRevision: Math.max(...machines.map(({ compactRevision }) => compactRevision)),
  }
}

function machineAt({ state }: Turn, id: GroupId): Machine | null {
  const group = state.groups.get(id)
  if (group === undefined || group.machine.installing || group.quarantined !== null) return null
  return shardOfGroup(group)
}

/**
 * The shards at this moment, for their history up to `revision`. The rows of all of them lie in one order in the
 * store, that of revisions, so one scan reads them merged.
 */
export function takeHubView(
  turn: Turn,
  shards: HubShards,
  range: KeyRange,
): { reader: Reader; view: number } {
  const { reader, view } = takeReadView(turn, shards.machines[0])
  if (shards.machines.length === 1 && reader.revision === shards.revision) return { reader, view }
  const { revision, compactRevision } = shards
  return { reader: { ...reader, range, revision, compactRevision }, view }
}
