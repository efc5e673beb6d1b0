import {
  compare,
  op,
  type Entry,
  type KvorumClient,
  type Operation,
  type OperationResult,
} from '@kvorum/client'
import {
  ALL_KEYS,
  leaseId,
  NO_LEASE,
  pointRange,
  utf8,
  type KeyValue,
  type OpReply,
  type PutOp,
  type RangeOp,
  type DeleteOp,
} from '@kvorum/model'
import type { KvRequest, KvResult } from '@kvorum/sim'

/** A request as the checkers know it, and the way to send it. */
export interface Step {
  readonly request: KvRequest
  send(client: KvorumClient): Promise<KvResult>
}

/** Writers meet on few keys, so that their order matters. */
export const KEYS = Array.from({ length: 8 }, (_, i) => `key-${i}`)

export const keyValueOf = (entry: Entry): KeyValue => ({
  key: entry.key,
  create: entry.createRevision,
  mod: entry.modRevision,
  version: entry.version,
  value: entry.value,
  lease: entry.lease === 0n ? NO_LEASE : leaseId(entry.lease),
})

function replyOf(result: OperationResult): OpReply {
  switch (result.kind) {
    case 'put':
      return { kind: 'put', prev: result.previous === null ? null : keyValueOf(result.previous) }
    case 'delete':
      return { kind: 'delete', deleted: result.deleted, prevs: result.previous.map(keyValueOf) }
    case 'range':
      return { kind: 'range', kvs: result.entries.map(keyValueOf), more: result.more, count: result.count }
    case 'txn': {
      const { succeeded, revision, results } = result
      const writes = results.some(one => one.kind === 'put' || (one.kind === 'delete' && one.deleted > 0))
      const before = writes ? revision - 1 : revision
      return { kind: 'txn', succeeded, revision, before, responses: results.map(replyOf) }
    }
  }
}

const resultOf = (result: OperationResult): KvResult => ({
  revision: result.revision,
  reply: replyOf(result),
})

const putOf = (key: string, value: string, prevKv: boolean): PutOp => ({
  kind: 'put',
  key: utf8(key),
  value: utf8(value),
  lease: NO_LEASE,
  prevKv,
  ignoreValue: false,
  ignoreLease: false,
})

const rangeOf = (key: string | null): RangeOp => ({
  kind: 'range',
  range: key === null ? ALL_KEYS : pointRange(utf8(key)),
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
})

export const putStep = (key: string, value: string): Step => ({
  request: { kind: 'write', op: putOf(key, value, true) },
  send: async client => resultOf(await client.put(key, value, { prevKv: true })),
})

export const deleteStep = (key: string): Step => {
  const request: DeleteOp = { kind: 'delete', range: pointRange(utf8(key)), prevKv: true }
  return {
    request: { kind: 'write', op: request },
    send: async client => resultOf(await client.delete(key, { prevKv: true })),
  }
}

/** `key`: null reads all of them. */
export const readStep = (key: string | null, serializable: boolean): Step => ({
  request: { kind: 'read', op: rangeOf(key), serializable },
  send: async client => resultOf(await client.range(key ?? { all: true }, { serializable })),
})

/** Puts where nobody has written since `mod`, deletes another key with it, and reads where somebody has. */
export function swapStep(key: string, mod: number, value: string, other: string): Step {
  const success: Operation[] = [op.put(key, value), op.delete(other)]
  return {
    request: {
      kind: 'write',
      op: {
        kind: 'txn',
        compares: [{ range: pointRange(utf8(key)), result: 'equal', target: 'mod', operand: mod }],
        success: [
          putOf(key, value, false),
          { kind: 'delete', range: pointRange(utf8(other)), prevKv: false },
        ],
        failure: [rangeOf(null)],
      },
    },
    send: async client =>
      resultOf(
        await client.txn({
          compares: [compare.mod(key, '=', mod)],
          success,
          failure: [op.range({ all: true })],
        }),
      ),
  }
}
