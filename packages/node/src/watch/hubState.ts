import { assert, type GroupId, type KeyRange, type Revision } from '@kvorum/model'
import type { Machine, Reader } from '@kvorum/machine'
import { shardOfGroup } from '../groupMachine.js'
import { takeReadView } from '../readView.js'
import type { Turn } from '../state.js'
import type { RemoteReading } from './remoteHub.js'
import { toldBy, type ShardHub } from './hub.js'

/** The shards of a hub as they are here now. */
export interface HubShards {
  /** Of those that are here; none where a hub reads them from elsewhere. */
  readonly machines: readonly Machine[]
  /** Everything up to this may be told to watchers. */
  readonly revision: Revision
  readonly compactRevision: Revision
}

type HubOf = Pick<ShardHub, 'groups' | 'merging' | 'remote'>

/** Null: one of the shards has no state that can be told. */
export function shardsOf(turn: Turn, hub: HubOf): HubShards | null {
  const { groups, merging, remote } = hub
  if (remote !== null) return remote.told === null ? null : remoteShards(remote, remote.told)
  const machines = groups.map(id => machineAt(turn, id)).filter(machine => machine !== null)
  const [first] = machines
  if (first === undefined || machines.length < groups.length) return null
  return {
    machines,
    revision: merging === null ? first.revision : toldBy(hub),
    compactRevision: Math.max(...machines.map(({ compactRevision }) => compactRevision)),
  }
}

function remoteShards({ shards }: RemoteReading, revision: Revision): HubShards {
  const compacted = shards.map(({ compactRevision }) => compactRevision)
  return { machines: [], revision, compactRevision: Math.max(...compacted) }
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
  const [first] = shards.machines
  assert(first !== undefined, () => 'a history is read where its shards are')
  const { reader, view } = takeReadView(turn, first)
  if (shards.machines.length === 1 && reader.revision === shards.revision) return { reader, view }
  const { revision, compactRevision } = shards
  return { reader: { ...reader, range, revision, compactRevision }, view }
}
