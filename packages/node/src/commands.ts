import {
  assert,
  commandHeader,
  encodeShardCommand,
  type ClientRequest,
  type KeyRange,
  type Op,
  type RangeOp,
  type TxnOp,
  withHeader,
} from '@kvorum/model'
import { encodeMetaCommand, withMetaAuthRevision } from '@kvorum/placement'

/** The log entry of a request that changes something, with what it was allowed by. */
export function commandOf(request: ClientRequest): Uint8Array {
  const command = plainCommand(request)
  const { authority } = request
  if (authority === undefined) return command
  if (request.kind === 'meta' || request.kind === 'alarm')
    return withMetaAuthRevision(command, authority.fence)
  const { session } = commandHeader(command)
  const header = { session, authRevision: authority.fence }
  return withHeader(
    command,
    authority.writable === null ? header : { ...header, writable: authority.writable },
  )
}

function plainCommand(request: ClientRequest): Uint8Array {
  switch (request.kind) {
    case 'write':
    case 'meta':
    case 'transaction':
      return request.command
    case 'compact':
      return encodeShardCommand({ kind: 'compact', revision: request.revision })
    case 'leaseGrant':
      return encodeShardCommand({ kind: 'leaseGrant', id: request.id, ttl: request.ttl })
    case 'leaseRevoke':
      return encodeShardCommand({ kind: 'leaseRevoke', id: request.id })
    case 'sessionOpen':
      return encodeShardCommand({ kind: 'sessionOpen', lease: request.lease })
    case 'authFence':
      return encodeShardCommand({ kind: 'authFence', fence: request.fence })
    case 'alarm': {
      const { change, member, alarm } = request
      return encodeMetaCommand({ kind: 'alarm', change, member, alarm })
    }
    default:
      assert(false, () => `a ${request.kind} is not a command`)
  }
}

/** All keys that an operation may look at or change, in any branch. */
export function rangesOf(op: Op | RangeOp | TxnOp): KeyRange[] {
  switch (op.kind) {
    case 'put':
      return [{ start: op.key, end: Buffer.concat([op.key, Buffer.of(0)]) }]
    case 'delete':
    case 'range':
      return [op.range]
    case 'txn':
      return [
        ...op.compares.map(compare => compare.range),
        ...op.success.flatMap(rangesOf),
        ...op.failure.flatMap(rangesOf),
      ]
  }
}
