/**
 * Names of things that live longer than a process.
 *
 * 64-bit ids are opaque `bigint`s: they cross JSON, protobuf and msgpack without losing bits. Positions
 * (term, index, revision) are counted from 1 and stay below 2^53, so they are plain numbers; `position`
 * checks that where a number enters from outside.
 */
declare const brand: unique symbol
type Brand<Value, Name extends string> = Value & { readonly [brand]: Name }

/** The cluster, derived from its first configuration; never changes. Unsigned 64 bits. */
export type ClusterId = Brand<bigint, 'ClusterId'>
/** A node (etcd: member). Never reused, not even for the same machine. Unsigned 64 bits. */
export type NodeId = Brand<bigint, 'NodeId'>
/** One life of one data directory. Random, unsigned 64 bits. */
export type Incarnation = Brand<bigint, 'Incarnation'>
/** A lease. Signed 64 bits on the wire, positive where the server picks it; 0 means "none". */
export type LeaseId = Brand<bigint, 'LeaseId'>
/** A client's exactly-once session. Unsigned 64 bits, never reused. */
export type SessionId = Brand<bigint, 'SessionId'>
/** A Raft group. 0 is the meta group; data shards count from 1. Never reused. */
export type GroupId = Brand<number, 'GroupId'>
/** One copy of a group on one node. Counts from 1 within the group and is never reused. */
export type ReplicaId = Brand<number, 'ReplicaId'>

/** A Raft term; 0 before the first election. */
export type Term = number
/** A position in one group's log; 0 is "before the first entry". */
export type Index = number
/** A position in the global order of effective writes; etcd starts at 1 with an empty store. */
export type Revision = number
/** Version of a shard's descriptor: grows with every change of its range or its replicas. */
export type Epoch = number
/** Milliseconds of a clock. Which clock (monotonic or wall) the name of the field says. */
export type Millis = number

export const META_GROUP = 0 as GroupId
export const NO_LEASE = 0n as LeaseId
export const NO_REPLICA = 0 as ReplicaId

export const clusterId = (value: bigint): ClusterId => BigInt.asUintN(64, value) as ClusterId
export const nodeId = (value: bigint): NodeId => BigInt.asUintN(64, value) as NodeId
export const incarnation = (value: bigint): Incarnation => BigInt.asUintN(64, value) as Incarnation
export const leaseId = (value: bigint): LeaseId => BigInt.asIntN(64, value) as LeaseId
export const sessionId = (value: bigint): SessionId => BigInt.asUintN(64, value) as SessionId
export const groupId = (value: number): GroupId => position(value, 'group id') as GroupId
export const replicaId = (value: number): ReplicaId => position(value, 'replica id') as ReplicaId

/** Checks that `value` can be a term, an index, a revision or a small id: an integer in [0, 2^53). */
export function position(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${what} ${value} is not a position`)
  return value
}
