import { ALARM_KINDS } from '@kvorum/model'
import type {
  AlarmKind,
  ClusterId,
  GroupStatus,
  KeyValue,
  Member,
  MemberAlarm,
  NodeId,
  OpReply,
  Reply,
  ReplyHeader,
  Revision,
  TxnReply,
  WatchEvent,
  WatchResponse,
} from '@kvorum/model'
import type { Init } from './codec.js'
import { AlarmType, EventEventType } from './messages.js'
import type * as pb from './messages.js'

/** Answers of the model as response messages. Byte strings are shared, not copied: encode at once. */

/** Who answers; known to an edge from the start. */
export interface Identity {
  readonly cluster: ClusterId
  readonly member: NodeId
}

export type HeaderMessage = Init<pb.ResponseHeader>

/** One object for unary answers: the header of the whole and, below, of nested answers. */
export const toHeader = (identity: Identity, header: ReplyHeader): HeaderMessage => ({
  cluster_id: identity.cluster,
  member_id: identity.member,
  revision: header.revision,
  raft_term: header.term,
})

/** The response message of the RPC whose request was answered with `reply`. */
export function toResponse(header: HeaderMessage, reply: Reply): Init<ResponseMessage> {
  switch (reply.kind) {
    case 'op':
      return toOpResponse(header, reply.op)
    case 'done':
    // Of no RPC by themselves: their handlers make the answer of them.
    case 'splitBegun':
    case 'tokenIssued':
    // Between nodes.
    case 'block':
    case 'resolved':
    case 'followed':
    case 'history':
    case 'rows':
    // Among nodes.
    case 'voted':
    case 'ended':
    case 'part':
      return { header }
    case 'leaseGranted':
    case 'leaseRenewed':
      return { header, ID: reply.id, TTL: reply.ttl }
    case 'leaseTimeToLive':
      return { header, ID: reply.id, TTL: reply.remaining, grantedTTL: reply.granted, keys: reply.keys }
    case 'leases':
      return { header, leases: reply.ids.map(ID => ({ ID })) }
    case 'sessionOpened':
      return { header, session: reply.id }
    case 'members':
      return { header, members: reply.members.map(toMember) }
    case 'alarms':
      return { header, alarms: reply.alarms.map(toAlarm) }
    case 'hashed':
      return {
        header,
        hash: reply.hash,
        // etcd's way to say that nothing was ever compacted.
        compact_revision: reply.compactRevision === 0 ? -1 : reply.compactRevision,
        hash_revision: reply.revision,
      }
  }
}

export type ResponseMessage =
  | pb.RangeResponse
  | pb.PutResponse
  | pb.DeleteRangeResponse
  | pb.TxnResponse
  | pb.CompactionResponse
  | pb.LeaseGrantResponse
  | pb.LeaseRevokeResponse
  | pb.LeaseKeepAliveResponse
  | pb.LeaseTimeToLiveResponse
  | pb.LeaseLeasesResponse
  | pb.OpenSessionResponse
  | pb.MemberListResponse
  | pb.AlarmResponse
  | pb.HashKVResponse

type OpResponseMessage = pb.RangeResponse | pb.PutResponse | pb.DeleteRangeResponse | pb.TxnResponse

export function toOpResponse(header: HeaderMessage, reply: OpReply): Init<OpResponseMessage> {
  switch (reply.kind) {
    case 'range':
      return { header, kvs: reply.kvs.map(toKeyValue), more: reply.more, count: reply.count }
    case 'put':
      return { header, prev_kv: reply.prev === null ? null : toKeyValue(reply.prev) }
    case 'delete':
      return { header, deleted: reply.deleted, prev_kvs: reply.prevs.map(toKeyValue) }
    case 'txn':
      return toTxnResponse(header, reply)
  }
}

function toTxnResponse(header: HeaderMessage, reply: TxnReply): Init<pb.TxnResponse> {
  const revisions = innerRevisions(reply)
  return { header, succeeded: reply.succeeded, responses: innerResponses(reply, revisions) }
}

/**
 * Of the operations in a transaction, nested ones too, in order: the store's revision after each, which is the
 * one before the transaction until something has changed.
 */
export function innerRevisions(reply: TxnReply): Iterator<Revision, undefined> {
  return revisionsIn(reply, { changed: false })
}

function* revisionsIn(reply: TxnReply, so: { changed: boolean }): Generator<Revision, undefined> {
  for (const inner of reply.responses) {
    if (inner.kind === 'txn') {
      yield* revisionsIn(inner, so)
      continue
    }
    so.changed ||= inner.kind === 'put' || (inner.kind === 'delete' && inner.deleted > 0)
    yield so.changed ? reply.revision : reply.before
  }
}

const innerResponses = (reply: TxnReply, revisions: Iterator<Revision, undefined>): Init<pb.ResponseOp>[] =>
  reply.responses.map(inner => toResponseOp(revisions, inner))

/** Headers inside a transaction carry the revision alone; that of a nested transaction, as in etcd, nothing. */
function toResponseOp(revisions: Iterator<Revision, undefined>, reply: OpReply): Init<pb.ResponseOp> {
  if (reply.kind === 'txn') {
    const responses = innerResponses(reply, revisions)
    return { response_txn: { header: {}, succeeded: reply.succeeded, responses } }
  }
  const response = toOpResponse({ revision: revisions.next().value ?? 0 }, reply)
  switch (reply.kind) {
    case 'range':
      return { response_range: response as Init<pb.RangeResponse> }
    case 'put':
      return { response_put: response as Init<pb.PutResponse> }
    case 'delete':
      return { response_delete_range: response as Init<pb.DeleteRangeResponse> }
  }
}

export const toKeyValue = (kv: KeyValue): Init<pb.KeyValue> => ({
  key: kv.key,
  create_revision: kv.create,
  mod_revision: kv.mod,
  version: kv.version,
  value: kv.value,
  lease: kv.lease,
})

/** `created` is left out unless it is true: a client takes a present false for a failure. */
export function toWatchResponse(identity: Identity, response: WatchResponse): Init<pb.WatchResponse> {
  const common = { header: toHeader(identity, response.header), watch_id: BigInt(response.watchId) }
  switch (response.kind) {
    case 'created':
      return { ...common, created: true }
    case 'refused':
      return { ...common, created: true, ...cancellation(response) }
    case 'canceled':
      return { ...common, ...cancellation(response) }
    case 'events':
      return { ...common, fragment: response.fragment, events: response.events.map(toEvent) }
    case 'progress':
      return common
  }
}

const cancellation = (facts: { readonly reason: string; readonly compactRevision: Revision }) => ({
  canceled: true,
  cancel_reason: facts.reason,
  compact_revision: facts.compactRevision,
})

const toEvent = (event: WatchEvent): Init<pb.Event> => ({
  type: event.kind === 'put' ? EventEventType.PUT : EventEventType.DELETE,
  kv: toKeyValue(event.kv),
  prev_kv: event.prev === null ? null : toKeyValue(event.prev),
})

const ALARM_TYPES = { noSpace: AlarmType.NOSPACE, corrupt: AlarmType.CORRUPT } as const

export const toAlarm = ({ member, alarm }: MemberAlarm): Init<pb.AlarmMember> => ({
  memberID: member,
  alarm: ALARM_TYPES[alarm],
})

/** Null: none, or one that is not known. */
export const toAlarmKind = (type: number): AlarmKind | null =>
  ALARM_KINDS.find(kind => ALARM_TYPES[kind] === type) ?? null

export const toMember = (member: Member): Init<pb.Member> => ({
  ID: member.id,
  name: member.name,
  peerURLs: member.peerUrls,
  clientURLs: member.clientUrls,
  isLearner: member.learner,
})

export const toGroupStatus = (group: GroupStatus): Init<pb.GroupStatus> => ({
  group: group.group,
  term: group.term,
  leader_id: group.leaderNode,
  committed: group.committed,
  applied: group.applied,
  last_index: group.lastIndex,
  purged: group.purged,
  revision: group.revision,
  compact_revision: group.compactRevision,
  is_leader: group.isLeader,
  is_learner: group.learner,
  quarantined: group.quarantined,
  logical_bytes: group.logicalBytes,
})
