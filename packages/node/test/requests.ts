import {
  decodeReply,
  encodeShardCommand,
  leaseId,
  NO_LEASE,
  pointRange,
  utf8,
  type ClientRequest,
  type ClientResult,
  type KeyRange,
  type Reply,
} from '@kvorum/model'
import type { MiniCluster, MiniNode } from './miniCluster.js'

/** Requests as the edge would make them, and what is in their answers. */

export const put = (key: string, value: string, lease = 0n): ClientRequest => ({
  kind: 'write',
  ranges: [pointRange(utf8(key))],
  command: encodeShardCommand({
    kind: 'write',
    op: {
      kind: 'put',
      key: utf8(key),
      value: utf8(value),
      lease: lease === 0n ? NO_LEASE : leaseId(lease),
      prevKv: false,
      ignoreValue: false,
      ignoreLease: false,
    },
  }),
})

export const get = (range: KeyRange, serializable = false): ClientRequest => ({
  kind: 'read',
  serializable,
  op: {
    kind: 'range',
    range,
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
  },
})

export const ALL: KeyRange = { start: new Uint8Array(0), end: null }

export function reply(result: ClientResult): Reply {
  if (!result.ok) throw new Error(`refused: ${result.error.code}`)
  return decodeReply(result.value.body)
}

export function pairs(result: ClientResult): string[] {
  const answer = reply(result)
  if (answer.kind !== 'op' || answer.op.kind !== 'range') throw new Error('not a range')
  return answer.op.kvs.map(
    kv => `${Buffer.from(kv.key).toString()}=${Buffer.from(kv.value).toString()}@${kv.mod}`,
  )
}

export const leader = (cluster: MiniCluster): MiniNode => {
  cluster.until(() => cluster.leaderOf(0) !== undefined && cluster.leaderOf(0) === cluster.leaderOf(1))
  return cluster.leaderOf(1)!
}
