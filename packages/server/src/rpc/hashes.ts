import { ok, type KvNode, type Result, type Revision } from '@kvorum/model'
import { responseHeader, type Edge } from '../edge/edge.js'
import type { HeldHash } from '../snapshot/snapshots.js'
import { forward } from './forward.js'
import type { Call, Unary } from './handler.js'

const HASH = 'etcdserverpb.Maintenance/Hash'
const HASH_KV = 'etcdserverpb.Maintenance/HashKV'

/**
 * The hash of all keys is the same at every member. One that has replicas of all shards reads its own rows; another one
 * asks those who lead the shards that it does not have.
 */
export const hashKv: Unary<typeof HASH_KV> = async (edge, message, call) => {
  if (hasAllShards(edge.node)) return forward(HASH_KV)(edge, message, call)
  const hashed = await hashElsewhere(edge, Math.max(0, Number(message.revision)), call)
  if (!hashed.ok) return hashed
  const { hash: value, revision, compactRevision } = hashed.value
  return ok({
    header: headerOf(edge, hashed.value),
    hash: value,
    // etcd's way to say that nothing was ever compacted.
    compact_revision: compactRevision === 0 ? -1 : compactRevision,
    hash_revision: revision,
  })
}

export const hash: Unary<typeof HASH> = async (edge, message, call) => {
  if (hasAllShards(edge.node)) return forward(HASH)(edge, message, call)
  const hashed = await hashElsewhere(edge, 0, call)
  return hashed.ok ? ok({ header: headerOf(edge, hashed.value), hash: hashed.value.hash }) : hashed
}

const hashElsewhere = (edge: Edge, revision: Revision, call: Call): Promise<Result<HeldHash>> =>
  edge.snapshots.hash(revision, call.signal)

const headerOf = (edge: Edge, { newest }: HeldHash) =>
  responseHeader(edge, { revision: newest, term: edge.node.status().header.term })

/** As far as this node knows the map. Without --replicas every member has all of them. */
function hasAllShards(node: KvNode): boolean {
  const map = node.shards()
  if (map === null || map.replicas === 0) return true
  const here = new Set(node.status().groups.map(({ group }) => group))
  return map.shards.every(({ group }) => here.has(group))
}
