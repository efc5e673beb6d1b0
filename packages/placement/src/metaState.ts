import {
  type AuthState,
  ByteReader,
  ByteWriter,
  EMPTY,
  groupId,
  MalformedError,
  nodeId,
  readRange,
  replicaId,
  writeRange,
  type Index,
  type NodeId,
  type Revision,
  type Replica,
  type Term,
} from '@kvorum/model'
import { createEncodedAuth, EMPTY_AUTH, type EncodedAuth } from './auth/authState.js'
import { foundingMembership, type Membership } from './members.js'
import { NO_ALARMS, type Alarms } from './alarms.js'
import type { HeldLeader } from './heldLeaders.js'
import { readSections, writeSections } from './metaSections.js'
import type { ShardOperation } from './shardOperations.js'
import { initialPlacement, NO_PLACEMENT, type Placement } from './placing.js'
import { checkShardMap, FIRST_MAP, shardMapProblem, type ShardDescriptor, type ShardMap } from './shardMap.js'

/** A member of the cluster as the meta group's log knows it. */
export interface NodeRecord {
  readonly id: NodeId
  /** Empty until the node has started once. */
  readonly name: string
  readonly peerUrls: readonly string[]
  readonly clientUrls: readonly string[]
  readonly learner: boolean
  /** Empty until the node has started once. */
  readonly serverVersion: string
}

/**
 * State of the meta group's machine: what the cluster knows as a whole. Small (it names nodes and shards, not
 * keys), so it is one record and one row of the state store.
 */
export interface MetaState {
  applied: Index
  appliedTerm: Term
  /** The group's configuration in force at `configIndex`, as raft encoded it. */
  config: Uint8Array
  configIndex: Index
  nodes: readonly NodeRecord[]
  shards: ShardMap
  /** The least version of all nodes; new kinds of commands wait for it. Empty until first decided. */
  clusterVersion: string
  /** Groups ever made; ids are never reused. */
  nextGroup: number
  auth: AuthState
  membership: Membership
  alarms: Alarms
  /** Begun and not finished, at most one on a shard. */
  operations: readonly ShardOperation[]
  /** Of the revision oracle: what it may hand out. Null: revisions are dense, and there is no oracle. */
  ceiling: Revision | null
  /** History before it is gone in every shard, or is about to go, where there are several; 0: none. */
  compacted: Revision
  placement: Placement
  /** Ascending by group. */
  heldLeaders: readonly HeldLeader[]
}

const META_FORMAT = 1
/** Table prefix in the state store, apart from every table of the shards. */
export const META_ROW = Uint8Array.of(0x4d)

/**
 * The state that a cluster begins with. `replicas`: how many each shard should have, which then begins where its
 * descriptor says; 0: one on every node. `members`: every node's replica id, where the shards do not name them all.
 */
export function createMetaState(
  nodes: readonly NodeRecord[],
  shards: readonly ShardDescriptor[],
  { replicas = 0, members = [] }: { readonly replicas?: number; readonly members?: readonly Replica[] } = {},
): MetaState {
  const map = { version: FIRST_MAP, shards }
  checkShardMap(map)
  const sorted = [...nodes].sort((a, b) => (a.id < b.id ? -1 : 1))
  return {
    applied: 0,
    appliedTerm: 0,
    config: EMPTY,
    configIndex: 0,
    nodes: sorted,
    shards: map,
    clusterVersion: '',
    nextGroup: Math.max(0, ...shards.map(shard => shard.group)) + 1,
    auth: EMPTY_AUTH,
    membership: foundingMembership(sorted, shards, members),
    alarms: NO_ALARMS,
    operations: [],
    ceiling: null,
    compacted: 0,
    placement: initialPlacement(shards, replicas),
    heldLeaders: [],
  }
}

/** `encoded`: of whoever encodes the same state again and again. */
export function encodeMetaState(state: MetaState, encoded: EncodedAuth = createEncodedAuth()): Uint8Array {
  const out = new ByteWriter()
  out.u8(META_FORMAT).varint(state.applied).varint(state.appliedTerm)
  out.bytes(state.config).varint(state.configIndex)
  out.text(state.clusterVersion).varint(state.nextGroup)
  out.varint(state.nodes.length)
  for (const node of state.nodes) {
    out.u64(node.id).text(node.name).bool(node.learner).text(node.serverVersion)
    writeTexts(out, node.peerUrls)
    writeTexts(out, node.clientUrls)
  }
  out.varint(state.shards.version).varint(state.shards.shards.length)
  for (const shard of state.shards.shards) {
    out.varint(shard.group).varint(shard.epoch)
    writeRange(out, shard.range)
    out.varint(shard.replicas.length)
    for (const replica of shard.replicas) out.varint(replica.id).u64(replica.node)
  }
  writeSections(out, state, encoded)
  return out.finish()
}

export function decodeMetaState(bytes: Uint8Array): MetaState {
  const input = new ByteReader(bytes)
  const format = input.u8()
  if (format !== META_FORMAT) throw new MalformedError(`meta state format ${format} is not known`)
  const state: MetaState = {
    applied: input.varint(),
    appliedTerm: input.varint(),
    config: Buffer.from(input.bytes()),
    configIndex: input.varint(),
    clusterVersion: input.text(),
    nextGroup: input.varint(),
    nodes: readMany(input, () => readNode(input)),
    shards: { version: input.varint(), shards: readMany(input, () => readShard(input)) },
    auth: EMPTY_AUTH,
    membership: { nextReplica: 0, seats: [], removed: [] },
    alarms: NO_ALARMS,
    operations: [],
    ceiling: null,
    compacted: 0,
    placement: NO_PLACEMENT,
    heldLeaders: [],
  }
  state.membership = foundingMembership(state.nodes, state.shards.shards)
  readSections(input, state)
  input.end()
  const problem = shardMapProblem(state.shards)
  if (problem !== null) throw new MalformedError(problem)
  return state
}

function readNode(input: ByteReader): NodeRecord {
  const id = nodeId(input.u64())
  const name = input.text()
  const learner = input.bool()
  const serverVersion = input.text()
  const peerUrls = readTexts(input)
  return { id, name, learner, serverVersion, peerUrls, clientUrls: readTexts(input) }
}

function readShard(input: ByteReader): ShardDescriptor {
  const group = groupId(input.varint())
  const epoch = input.varint()
  const { start, end } = readRange(input)
  const range = { start: Buffer.from(start), end: end === null ? null : Buffer.from(end) }
  const replicas = readMany(input, () => ({ id: replicaId(input.varint()), node: nodeId(input.u64()) }))
  return { group, epoch, range, replicas }
}

export function writeTexts(out: ByteWriter, texts: readonly string[]): void {
  out.varint(texts.length)
  for (const text of texts) out.text(text)
}

export const readTexts = (input: ByteReader): string[] => readMany(input, () => input.text())

function readMany<Item>(input: ByteReader, read: () => Item): Item[] {
  const count = input.varint()
  if (count > input.remaining)
    throw new MalformedError(`${count} items cannot be in ${input.remaining} bytes`)
  return Array.from({ length: count }, read)
}
