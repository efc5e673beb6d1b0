import { createHash } from 'node:crypto'
import { clusterId, nodeId, type ClusterId, type NodeId } from '@kvorum/model'
import type { InitialMember } from './config/config.js'

/**
 * Ids of a new cluster, computed by every node from the same settings, so that nobody has to hand them out.
 * The first 8 bytes of SHA-256 over length-prefixed texts: a kind, the cluster token, then the sorted URLs.
 * The token keeps clusters apart that were made from the same URLs.
 */
export const memberIdOf = (peerUrls: readonly string[], token: string): NodeId =>
  nodeId(digest(['member', token, ...[...peerUrls].sort()]))

/** Members that were told of other shards, or of other places for them, must not take each other for one cluster. */
export const clusterIdOf = (
  members: readonly InitialMember[],
  token: string,
  splitKeys: readonly string[] = [],
  replicas = 0,
): ClusterId =>
  clusterId(
    digest([
      'cluster',
      token,
      ...members.flatMap(member => member.peerUrls).sort(),
      ...(replicas > 0 ? ['replicas', String(replicas)] : []),
      ...(splitKeys.length > 0 ? ['split', ...splitKeys] : []),
    ]),
  )

function digest(texts: readonly string[]): bigint {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(`${Buffer.byteLength(text)}:`).update(text)
  const id = hash.digest().readBigUInt64BE(0)
  // 0 means "nobody" everywhere; a digest that begins with eight zero bytes may have any other name.
  return id === 0n ? 1n : id
}
