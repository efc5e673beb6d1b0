import {
  encodeShardCommand,
  leaseId,
  NO_LEASE,
  pointRange,
  utf8,
  type ClientRequest,
  type Compare,
  type DeleteOp,
  type KeyRange,
  type LeaseId,
  type Op,
  type PutOp,
  type RangeOp,
  type SessionTag,
} from '@kvorum/model'
import type { KvRequest } from '../check/models/kv.js'

/** Short ways to write what clients ask. */
export const put = (key: string, value: string, lease: LeaseId = NO_LEASE, prevKv = false): PutOp => ({
  kind: 'put',
  key: utf8(key),
  value: utf8(value),
  lease,
  prevKv,
  ignoreValue: false,
  ignoreLease: false,
})

export const range = (keys: KeyRange, more: Partial<RangeOp> = {}): RangeOp => ({
  kind: 'range',
  range: keys,
  limit: 0,
  revision: 0,
  order: 'none',
  target: 'key',
  keysOnly: false,
  countOnly: false,
  minMod: 0,
  maxMod: 0,
  minCreate: 0,
  maxCreate: 0,
  ...more,
})

export const get = (key: string): RangeOp => range(pointRange(utf8(key)))

export const del = (keys: KeyRange, prevKv = false): DeleteOp => ({ kind: 'delete', range: keys, prevKv })

export const modIs = (key: string, revision: number): Compare => ({
  range: pointRange(utf8(key)),
  result: 'equal',
  target: 'mod',
  operand: revision,
})

export function rangesOf(op: Op): KeyRange[] {
  switch (op.kind) {
    case 'put':
      return [pointRange(op.key)]
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

export function toClientRequest(request: KvRequest, session: SessionTag | null = null): ClientRequest {
  switch (request.kind) {
    case 'write':
      return {
        kind: 'write',
        ranges: rangesOf(request.op),
        command: encodeShardCommand({ kind: 'write', op: request.op }, { authRevision: null, session }),
      }
    case 'read':
      return request
    case 'leaseRevoke':
      return { kind: 'leaseRevoke', id: leaseId(request.lease) }
  }
}
