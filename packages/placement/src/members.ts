import {
  ByteReader,
  ByteWriter,
  incarnation,
  MalformedError,
  nodeId,
  ok,
  refuse,
  replicaId,
  type Incarnation,
  type Member,
  type NodeId,
  type Replica,
  type ReplicaId,
  type Reply,
  type Result,
} from '@kvorum/model'
import type { MetaSection } from './metaSections.js'
import type { MetaState, NodeRecord } from './metaState.js'
import type { ShardDescriptor } from './shardMap.js'
import { placeWithout } from './former.js'

/**
 * Who is a member, as the meta group's log decides it. A member has a seat: the replica id that is its own in
 * every group, and the one data directory that may sit there.
 *
 *     addMember --> a seat that is free --> bindMember: a directory took it --> the groups let its replicas in
 *     removeMember --> the seat is gone, its id is remembered for ever --> the groups let its replicas go
 *
 * A founder is named by --initial-cluster and starts before there is a log that could bind it.
 */
export interface Seat {
  readonly node: NodeId
  readonly replica: ReplicaId
  /** The directory that sits here; 0: none yet. Once set it never changes. */
  readonly incarnation: Incarnation
  readonly founder: boolean
}

export interface Membership {
  /** The next member's replica id; never given out again. */
  nextReplica: number
  /** One for each node, ascending by node. */
  seats: readonly Seat[]
  /** Those who were members, and never will be again. */
  removed: readonly FormerMember[]
}

/** Until every group has let it go it may be needed: its replica and where it was reached are kept. */
export interface FormerMember {
  readonly node: NodeId
  /** 0 where an older version removed it. */
  readonly replica: ReplicaId
  readonly peerUrls: readonly string[]
}

export const NO_INCARNATION = incarnation(0n)
/** Learners at a time, as in etcd: each is one more copy for the leader to feed. */
export const LEARNERS_MAX = 1

export type MemberCommand =
  | {
      readonly kind: 'addMember'
      readonly node: NodeId
      readonly peerUrls: readonly string[]
      readonly learner: boolean
      readonly strict: boolean
    }
  | { readonly kind: 'removeMember'; readonly node: NodeId; readonly strict: boolean }
  | { readonly kind: 'updateMember'; readonly node: NodeId; readonly peerUrls: readonly string[] }
  | { readonly kind: 'promoteMember'; readonly node: NodeId; readonly strict: boolean }
  /** A data directory takes the seat of `node`. The first one in the log has it for ever. */
  | { readonly kind: 'bindMember'; readonly node: NodeId; readonly incarnation: Incarnation }

export function foundingMembership(
  nodes: readonly NodeRecord[],
  shards: readonly ShardDescriptor[],
  members: readonly Replica[] = [],
): Membership {
  const named = [...members, ...shards.flatMap(({ replicas }) => replicas)]
  const known = new Map(named.map(({ id, node }) => [node, id] as const))
  let next = Math.max(0, ...known.values()) + 1
  const seats = nodes.map(({ id }) => ({
    node: id,
    replica: known.get(id) ?? replicaId(next++),
    incarnation: NO_INCARNATION,
    founder: true,
  }))
  return { nextReplica: next, seats, removed: [] }
}

export const seatOf = ({ membership }: Pick<MetaState, 'membership'>, node: NodeId): Seat | undefined =>
  membership.seats.find(seat => seat.node === node)

export const formerMember = (
  { membership }: Pick<MetaState, 'membership'>,
  node: NodeId,
): FormerMember | undefined => membership.removed.find(former => former.node === node)

export const isTaken = ({ incarnation }: Seat): boolean => incarnation !== NO_INCARNATION

export const membersIn = (state: MetaState): Member[] =>
  state.nodes.map(({ id, name, peerUrls, clientUrls, learner }) => ({
    id,
    name,
    peerUrls,
    clientUrls,
    learner,
  }))

export function applyMemberCommand(state: MetaState, command: MemberCommand): Result<Reply> {
  switch (command.kind) {
    case 'addMember':
      return addMember(state, command)
    case 'removeMember':
      return removeMember(state, command)
    case 'updateMember':
      return updateMember(state, command)
    case 'promoteMember':
      return promoteMember(state, command)
    case 'bindMember':
      return bindMember(state, command)
  }
}

type Of<Kind extends MemberCommand['kind']> = Extract<MemberCommand, { kind: Kind }>

const done = (state: MetaState, member: NodeId): Result<Reply> =>
  ok({ kind: 'members', member, members: membersIn(state) })

const isStarted = ({ name }: NodeRecord): boolean => name !== ''
const votersOf = ({ nodes }: MetaState): readonly NodeRecord[] => nodes.filter(({ learner }) => !learner)
const started = (nodes: readonly NodeRecord[]): number => nodes.filter(isStarted).length
const quorumOf = (members: number): number => Math.floor(members / 2) + 1

/** etcd's rule: one more voter must not need members that have not started. From one to two it is allowed. */
function mayAddVoter(state: MetaState): boolean {
  const voters = votersOf(state)
  const running = started(voters)
  if (voters.length === 1 && running === 1) return true
  return running >= quorumOf(voters.length + 1)
}

function mayRemoveVoter(state: MetaState, node: NodeId): boolean {
  const left = votersOf(state).filter(({ id }) => id !== node)
  return left.length > 0 && started(left) >= quorumOf(left.length)
}

function mayPromote(state: MetaState): boolean {
  const voters = votersOf(state)
  return started(voters) + 1 >= quorumOf(voters.length + 1)
}

const urlTaken = ({ nodes }: MetaState, urls: readonly string[], besides: NodeId | null): boolean =>
  nodes.some(({ id, peerUrls }) => id !== besides && peerUrls.some(url => urls.includes(url)))

function addMember(state: MetaState, { node, peerUrls, learner, strict }: Of<'addMember'>): Result<Reply> {
  const { membership } = state
  if (strict && !learner && !mayAddVoter(state)) return refuse('notEnoughStarted')
  if (formerMember(state, node) || seatOf(state, node)) return refuse('memberExists')
  if (urlTaken(state, peerUrls, null)) return refuse('peerUrlExists')
  if (learner && state.nodes.filter(other => other.learner).length >= LEARNERS_MAX)
    return refuse('tooManyLearners')
  const record = { id: node, name: '', peerUrls, clientUrls: [], learner, serverVersion: '' }
  state.nodes = [...state.nodes, record].sort((a, b) => (a.id < b.id ? -1 : 1))
  const replica = replicaId(membership.nextReplica++)
  const seat = { node, replica, incarnation: NO_INCARNATION, founder: false }
  membership.seats = [...membership.seats, seat].sort((a, b) => (a.node < b.node ? -1 : 1))
  return done(state, node)
}

function removeMember(state: MetaState, { node, strict }: Of<'removeMember'>): Result<Reply> {
  const { membership } = state
  const record = state.nodes.find(({ id }) => id === node)
  if (record === undefined) return refuse('memberNotFound')
  // Nobody could decide anything any more without a voter.
  const last = !record.learner && votersOf(state).length === 1
  if (last || (strict && !record.learner && !mayRemoveVoter(state, node))) return refuse('notEnoughStarted')
  const { replica } = seatOf(state, node)!
  state.nodes = state.nodes.filter(({ id }) => id !== node)
  membership.seats = membership.seats.filter(seat => seat.node !== node)
  placeWithout(state, node)
  membership.removed = [...membership.removed, { node, replica, peerUrls: record.peerUrls }]
  return done(state, node)
}

function updateMember(state: MetaState, { node, peerUrls }: Of<'updateMember'>): Result<Reply> {
  if (seatOf(state, node) === undefined) return refuse('memberNotFound')
  if (urlTaken(state, peerUrls, node)) return refuse('peerUrlExists')
  state.nodes = state.nodes.map(record => (record.id === node ? { ...record, peerUrls } : record))
  return done(state, node)
}

function promoteMember(state: MetaState, { node, strict }: Of<'promoteMember'>): Result<Reply> {
  const record = state.nodes.find(({ id }) => id === node)
  if (record === undefined) return refuse('memberNotFound')
  if (strict && !mayPromote(state)) return refuse('notEnoughStarted')
  if (!record.learner) return refuse('notLearner')
  state.nodes = state.nodes.map(other => (other.id === node ? { ...other, learner: false } : other))
  return done(state, node)
}

function bindMember(state: MetaState, command: Of<'bindMember'>): Result<Reply> {
  const { membership } = state
  membership.seats = membership.seats.map(seat =>
    seat.node === command.node && !isTaken(seat) ? { ...seat, incarnation: command.incarnation } : seat,
  )
  return ok({ kind: 'done' })
}

/** Not written while it says no more than the founding does. */
export const MEMBERSHIP_SECTION: MetaSection = {
  tag: 1,
  encode: state => {
    const { membership } = state
    const seats = writeMembership(membership)
    const founding = writeMembership(foundingMembership(state.nodes, state.shards.shards))
    return Buffer.compare(seats, founding) === 0 ? null : seats
  },
  decode: (state, bytes) => {
    state.membership = readMembership(bytes)
  },
}

/** 1 held no more of former members than their ids. */
const MEMBERSHIP_FORMAT = 2

function writeMembership({ nextReplica, seats, removed }: Membership): Uint8Array {
  const out = new ByteWriter()
  out.u8(MEMBERSHIP_FORMAT).varint(nextReplica).varint(seats.length)
  for (const seat of seats) out.u64(seat.node).varint(seat.replica).u64(seat.incarnation).bool(seat.founder)
  out.varint(removed.length)
  for (const { node, replica, peerUrls } of removed) {
    out.u64(node).varint(replica).varint(peerUrls.length)
    for (const url of peerUrls) out.text(url)
  }
  return out.finish()
}

function readMembership(bytes: Uint8Array): Membership {
  const input = new ByteReader(bytes)
  const format = input.u8()
  if (format !== 1 && format !== MEMBERSHIP_FORMAT)
    throw new MalformedError(`membership format ${format} is not known`)
  const nextReplica = input.varint()
  const seats = readMany(input, () => ({
    node: nodeId(input.u64()),
    replica: replicaId(input.varint()),
    incarnation: incarnation(input.u64()),
    founder: input.bool(),
  }))
  const removed = readMany(input, () => readFormer(input, format))
  input.end()
  return { nextReplica, seats, removed }
}

function readFormer(input: ByteReader, format: number): FormerMember {
  const node = nodeId(input.u64())
  if (format === 1) return { node, replica: replicaId(0), peerUrls: [] }
  return { node, replica: replicaId(input.varint()), peerUrls: readMany(input, () => input.text()) }
}

function readMany<Item>(input: ByteReader, read: () => Item): Item[] {
  const count = input.varint()
  if (count > input.remaining)
    throw new MalformedError(`${count} items cannot be in ${input.remaining} bytes`)
  return Array.from({ length: count }, read)
}
