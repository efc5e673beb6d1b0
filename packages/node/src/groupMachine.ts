import {
  assert,
  type GroupConfig,
  type Index,
  type StoreAnswer,
  type StoreNeed,
  type Term,
} from '@kvorum/model'
import {
  createMachine,
  foundConfig,
  foundPositions,
  foundRevisions,
  loadMachine,
  type Machine,
} from '@kvorum/machine'
import {
  createMetaState,
  decodeRevisions,
  encodeRevisions,
  FIRST_REVISION,
  loadMetaState,
  ORACLE_REVISIONS,
  PLAIN_REVISIONS,
  type MetaState,
  type ShardRevisions,
} from '@kvorum/placement'
import { decodeConfig, encodeConfig } from '@kvorum/raft'
import type { Group, NodeState } from './state.js'
import type { Bootstrap } from './types.js'

/** The state machine of a group: a shard's or the meta group's, with what both have. */
export interface GroupMachine {
  readonly kind: 'shard' | 'meta'
  shard: Machine | null
  /** Of a shard: where its revisions come from, and transactions over several shards. Replicated. */
  revisions: ShardRevisions
  meta: MetaState | null
  applied: Index
  appliedTerm: Term
  /** The configuration in force at `applied`, and where it came from; null until loaded. */
  config: { readonly index: Index; readonly value: GroupConfig } | null
  /** There is no usable state: a snapshot is being, or must be, installed. */
  installing: boolean
}

export const createGroupMachine = (kind: GroupMachine['kind']): GroupMachine => ({
  kind,
  shard: null,
  revisions: PLAIN_REVISIONS,
  meta: null,
  applied: 0,
  appliedTerm: 0,
  config: null,
  installing: false,
})

export const shardOfGroup = (group: Group): Machine | null => group.machine.shard

/** Reads what the store remembers; where it remembers nothing, the group begins as the bootstrap says. */
export function* loadGroup(
  state: NodeState,
  group: Group,
  bootstrap: Bootstrap,
): Generator<StoreNeed, void, StoreAnswer> {
  const { machine } = group
  if (machine.kind === 'meta') yield* loadMeta(machine, bootstrap)
  else yield* loadShard(state, group, bootstrap)
}

function* loadMeta(machine: GroupMachine, bootstrap: Bootstrap): Generator<StoreNeed, void, StoreAnswer> {
  const loaded = yield* loadMetaState()
  if (loaded === null && bootstrap.joined !== null) {
    waitForSnapshot(machine)
    return
  }
  if (loaded === null) {
    machine.meta = createMetaState(bootstrap.nodes, bootstrap.shards, {
      replicas: bootstrap.replicas ?? 0,
      members: bootstrap.metaConfig.replicas,
    })
    if (bootstrap.oracle === true) machine.meta.ceiling = FIRST_REVISION
    machine.meta.config = encodeConfig(bootstrap.metaConfig)
  } else machine.meta = loaded
  machine.applied = machine.meta.applied
  machine.appliedTerm = machine.meta.appliedTerm
  machine.config = configOr(machine.meta.config, machine.meta.configIndex, bootstrap.metaConfig)
}

function* loadShard(
  state: NodeState,
  group: Group,
  bootstrap: Bootstrap,
): Generator<StoreNeed, void, StoreAnswer> {
  const { machine } = group
  const { checksum, longCommand } = state.options
  const descriptor = bootstrap.shards.find(shard => shard.group === group.id)
  const { range: keys } = group
  assert(keys !== null, () => `group ${group.id} is a shard without keys`)
  const options = {
    group: group.id,
    range: keys,
    checksum,
    counts: state.operations,
    ...(longCommand === undefined ? {} : { longCommand }),
  }
  const loaded = yield* loadMachine(options)
  // On the map since a change, and not here: made by a split that lies ahead in a log, or come by a snapshot.
  if (loaded === null && bootstrap.mapChanged === true) return
  // On its way to here, and nothing of it has come: where it begins is elsewhere.
  const named = descriptor?.replicas.some(({ node }) => node === state.options.self) === true
  if (loaded === null && bootstrap.placed === true && !named) return
  if (loaded === null && bootstrap.joined !== null) {
    waitForSnapshot(machine)
    return
  }
  const first = descriptor === undefined ? null : votersOf(descriptor.replicas)
  machine.shard = loaded ?? createMachine(options)
  group.range = machine.shard.range
  // From the first row on the state says with whom it began: a snapshot of it is for those who cannot know.
  if (loaded === null && first !== null) foundConfig(machine.shard, state.overlay, encodeConfig(first))
  if (loaded === null && bootstrap.oracle === true)
    foundRevisions(machine.shard, state.overlay, encodeRevisions(ORACLE_REVISIONS))
  machine.revisions = decodeRevisions(machine.shard.revisions)
  machine.installing = machine.shard.installing
  machine.applied = machine.shard.applied
  machine.appliedTerm = machine.shard.appliedTerm
  machine.config = configOr(machine.shard.config, machine.shard.configIndex, first)
}

/** A node that joined has nothing: what the groups began with is written down nowhere but in snapshots. */
export function waitForSnapshot(machine: GroupMachine): void {
  machine.installing = true
  machine.config = { index: 0, value: NO_MEMBERS }
}

const NO_MEMBERS: GroupConfig = { voters: [], outgoing: [], learners: [], learnersNext: [], replicas: [] }

function configOr(bytes: Uint8Array, index: Index, first: GroupConfig | null): GroupMachine['config'] {
  if (bytes.length > 0) return { index, value: decodeConfig(bytes) }
  return first === null ? null : { index: 0, value: first }
}

/** The shards of this node that have applied nothing yet: the store has to know their keys before the map changes. */
export function keepFoundings(state: NodeState): void {
  for (const { machine } of state.groups.values()) {
    if (machine.shard?.applied === 0 && !machine.installing) foundPositions(machine.shard, state.overlay)
  }
}

/** The configuration a group starts with: everybody votes. */
export function votersOf(replicas: GroupConfig['replicas']): GroupConfig {
  const sorted = [...replicas].sort((a, b) => a.id - b.id)
  return {
    voters: sorted.map(({ id }) => id),
    outgoing: [],
    learners: [],
    learnersNext: [],
    replicas: sorted,
  }
}

/** What a snapshot left behind, before it is loaded again. */
export function forgetState(machine: GroupMachine): void {
  machine.shard = null
  machine.revisions = PLAIN_REVISIONS
  machine.meta = null
  machine.applied = 0
  machine.appliedTerm = 0
  machine.installing = true
}
