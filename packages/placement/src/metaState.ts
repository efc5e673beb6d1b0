import {
  type AuthState,
  ByteReader,
  ByteWriter,
  EMPTY,
  groupId,
  LIMITS,
  MalformedError,
  nodeId,
  readRange,
  replicaId,
  writeRange,
  type Index,
  type NodeId,
  type Revision,
  type Replica,
  type StoreAnswer,
  type StoreNeed,
  type StoreRow,
  type StoreScan,
  type StoreWrite,
  type Term,
} from '@kvorum/model'
import { authWrites, withAuthRows } from './auth/authRows.js'
import { EMPTY_AUTH, EMPTY_HEAD } from './auth/authState.js'
import { foundingMembership, type Membership } from './members.js'
import { NO_ALARMS, type Alarms } from './alarms.js'
import type { HeldLeader } from './heldLeaders.js'
import { readSections, writeSections, type MetaRow } from './metaSections.js'
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
 * keys), so it is one record, and one row of the state store but for users, roles and tokens.
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
/** That row and those of users, roles and tokens behind it. */
export const META_ROWS = { gte: META_ROW, lt: Uint8Array.of(0x4e) } as const
const AUTH_ROWS = { gte: Uint8Array.of(0x4d, 0), lt: META_ROWS.lt } as const

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

/** The meta group's own row. Users, roles and tokens have rows of their own, of which it says how many there are. */
export function encodeMetaState(state: MetaState): Uint8Array {
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
  writeSections(out, state)
  return out.finish()
}

/** All that a change of the state writes; `before` is what it knew of users, roles and tokens. */
export const metaWrites = (state: MetaState, before: AuthState): StoreWrite[] => [
  { key: META_ROW, value: encodeMetaState(state) },
  ...authWrites(before, state.auth),
]

/** The state as its rows say it. Malformed where some of them are missing. */
export function decodeMetaState(bytes: Uint8Array, authRows: readonly StoreRow[]): MetaState {
  const row = decodeMetaRow(bytes)
  return { ...row, auth: withAuthRows(row.auth, authRows) }
}

/** For those who want to know nothing of users. */
export function decodeMetaRow(bytes: Uint8Array): MetaRow {
  const input = new ByteReader(bytes)
  const format = input.u8()
  if (format !== META_FORMAT) throw new MalformedError(`meta state format ${format} is not known`)
  const state: MetaRow = {
    applied: input.varint(),
    appliedTerm: input.varint(),
    config: Buffer.from(input.bytes()),
    configIndex: input.varint(),
    clusterVersion: input.text(),
    nextGroup: input.varint(),
    nodes: readMany(input, () => readNode(input)),
    shards: { version: input.varint(), shards: readMany(input, () => readShard(input)) },
    auth: EMPTY_HEAD,
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

type Loading<Value> = Generator<StoreNeed, Value, StoreAnswer>

/** Reads it from the store, whose rows must be those of one moment; null: there is none. */
export function* loadMetaState(): Loading<MetaState | null> {
  const row = (yield { gets: [META_ROW], scans: [] }).values[0] ?? null
  if (row === null) return null
  const { users, roles, tokens } = decodeMetaRow(row).auth
  return decodeMetaState(row, users + roles + tokens === 0 ? [] : yield* loadRows(AUTH_ROWS, true))
}

/** Keys of all rows that the store has of it. */
export function* loadMetaKeys(): Loading<Uint8Array[]> {
  return (yield* loadRows(META_ROWS, false)).map(({ key }) => key)
}

function* loadRows(range: Pick<StoreScan, 'gte' | 'lt'>, values: boolean): Loading<StoreRow[]> {
  const rows: StoreRow[] = []
  let { gte } = range
  const bounds = { rowsMax: LIMITS.pageRowsMax, bytesMax: LIMITS.pageBytesMax }
  for (;;) {
    const page = (yield { gets: [], scans: [{ ...bounds, gte, lt: range.lt, reverse: false, values }] })
      .pages[0]!
    for (const row of page.rows) rows.push(row)
    const last = page.rows.at(-1)
    if (!page.more || last === undefined) return rows
    gte = Buffer.concat([last.key, Buffer.of(0)])
  }
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
