import { refuse, type KvError } from '@kvorum/model'
import type { RpcName } from '@kvorum/protocol'
import type { Edge } from './edge.js'

/** What a learner answers in etcd: how it is, and what it has; and what etcd does not have. */
const SERVED: ReadonlySet<RpcName> = new Set<RpcName>([
  'etcdserverpb.Maintenance/Status',
  'etcdserverpb.Maintenance/Snapshot',
  'grpc.health.v1.Health/Check',
  'grpc.health.v1.Health/Watch',
  'grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
  'grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo',
  'kvorum.v1.Admin/Groups',
])

/**
 * A learner is a copy in the making, and no place for clients: of what they ask for it serves only reads that may
 * be stale. `request` is null for a stream, which is judged before its first message.
 */
export function refusedByLearner(edge: Edge, rpc: RpcName, request: unknown): Refusal | null {
  if (!edge.node.isLearner() || SERVED.has(rpc)) return null
  const stale = rpc === 'etcdserverpb.KV/Range' && (request as { serializable: boolean }).serializable
  return stale ? null : refuse('learner')
}

type Refusal = { readonly ok: false; readonly error: KvError }
