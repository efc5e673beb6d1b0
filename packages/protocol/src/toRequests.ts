import { encodeShardCommand, isWrite, leaseId, LIMITS, ok, pointRange, refuse } from '@kvorum/model'
import type { ClientRequest, KeyRange, Op, Result } from '@kvorum/model'
import type { Messages, Rpcs } from './messages.js'
import type * as pb from './messages.js'
import type { RpcName } from './rpcs.js'
import { toDeleteOp, toPutOp, toRangeOp, toTxnOp } from './toOps.js'

/** A request for the node, and the operation in it where there is one, for checks before it is sent. */
export interface Prepared {
  readonly request: ClientRequest
  readonly op: Op | null
}

type Prepare<Name extends RpcName> = (message: Messages[Rpcs[Name]['request']]) => Result<Prepared>

/** Every unary RPC (and keep-alive, message by message) that the node answers through its request door. */
const PREPARE = {
  'etcdserverpb.KV/Range': range,
  'etcdserverpb.KV/Put': put,
  'etcdserverpb.KV/DeleteRange': remove,
  'etcdserverpb.KV/Txn': txn,
  'etcdserverpb.KV/Compact': (message: pb.CompactionRequest) =>
    plain({ kind: 'compact', revision: Math.max(message.revision, 0), physical: message.physical }),
  'etcdserverpb.Lease/LeaseGrant': leaseGrant,
  'etcdserverpb.Lease/LeaseRevoke': (message: pb.LeaseRevokeRequest) =>
    plain({ kind: 'leaseRevoke', id: leaseId(message.ID) }),
  'etcdserverpb.Lease/LeaseKeepAlive': (message: pb.LeaseKeepAliveRequest) =>
    plain({ kind: 'leaseKeepAlive', id: leaseId(message.ID) }),
  'etcdserverpb.Lease/LeaseTimeToLive': (message: pb.LeaseTimeToLiveRequest) =>
    plain({ kind: 'leaseTimeToLive', id: leaseId(message.ID), keys: message.keys }),
  'etcdserverpb.Lease/LeaseLeases': () => plain({ kind: 'leaseList' }),
  'kvorum.v1.Sessions/Open': (message: pb.OpenSessionRequest) =>
    plain({ kind: 'sessionOpen', lease: leaseId(message.lease) }),
  'etcdserverpb.Maintenance/HashKV': (message: pb.HashKVRequest) =>
    plain({ kind: 'hashKv', revision: Math.max(message.revision, 0) }),
  'etcdserverpb.Maintenance/Hash': () => plain({ kind: 'hashKv', revision: 0 }),
} as const satisfies { [Name in RpcName]?: Prepare<Name> }

/** The RPCs that become one ClientRequest and whose Reply becomes their response (see toMessages.ts). */
export type RequestRpc = keyof typeof PREPARE

export const REQUEST_RPCS = Object.keys(PREPARE) as readonly RequestRpc[]

export function toClientRequest<Name extends RequestRpc>(
  name: Name,
  message: Messages[Rpcs[Name]['request']],
): Result<Prepared> {
  return (PREPARE[name] as Prepare<Name>)(message)
}

const plain = (request: ClientRequest): Result<Prepared> => ok({ request, op: null })

function range(message: pb.RangeRequest): Result<Prepared> {
  const op = toRangeOp(message)
  if (!op.ok) return op
  return ok({
    request: { kind: 'read', op: op.value, serializable: message.serializable },
    op: op.value,
  })
}

function put(message: pb.PutRequest): Result<Prepared> {
  const op = toPutOp(message)
  return op.ok ? ok(write(op.value)) : op
}

function remove(message: pb.DeleteRangeRequest): Result<Prepared> {
  const op = toDeleteOp(message)
  return op.ok ? ok(write(op.value)) : op
}

function txn(message: pb.TxnRequest): Result<Prepared> {
  const converted = toTxnOp(message)
  if (!converted.ok) return converted
  const op = converted.value
  if (isWrite(op)) return ok(write(op))
  return ok({ request: { kind: 'read', op, serializable: isSerializable(message) }, op })
}

function leaseGrant(message: pb.LeaseGrantRequest): Result<Prepared> {
  if (message.TTL > LIMITS.leaseTtlMax) return refuse('leaseTtlTooLarge')
  return plain({ kind: 'leaseGrant', id: leaseId(message.ID), ttl: Math.max(message.TTL, 0) })
}

const write = (op: Op): Prepared => ({
  request: { kind: 'write', ranges: opRanges(op), command: encodeShardCommand({ kind: 'write', op }) },
  op,
})

/**
 * A transaction that only reads may be answered without asking others if each of its ranges may. One without
 * any range says nothing about that, so it gets the stronger read.
 */
function isSerializable(message: pb.TxnRequest): boolean {
  const ranges = rangesOf(message)
  return ranges.length > 0 && ranges.every(request => request.serializable)
}

function rangesOf(message: pb.TxnRequest): pb.RangeRequest[] {
  return [...message.success, ...message.failure].flatMap(op => {
    if (op.request_range !== null) return [op.request_range]
    return op.request_txn === null ? [] : rangesOf(op.request_txn)
  })
}

/** Every range the operation may touch, in either branch, compares included. */
export function opRanges(op: Op): KeyRange[] {
  switch (op.kind) {
    case 'put':
      return [pointRange(op.key)]
    case 'delete':
    case 'range':
      return [op.range]
    case 'txn':
      return [
        ...op.compares.map(compare => compare.range),
        ...op.success.flatMap(opRanges),
        ...op.failure.flatMap(opRanges),
      ]
  }
}
