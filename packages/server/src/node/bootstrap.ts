import { groupId, replicaId, type Replica } from '@kvorum/model'
import { foundingMeta, type Bootstrap } from '@kvorum/node'
import { initialPlaces, rangesBetween } from '@kvorum/placement'
import type { NodeSetup } from '../wiring.js'

/**
 * The cluster as --initial-cluster names it: the meta group on all members, the data shards on all of them or where
 * --replicas has them. Every member computes the same.
 */
export function bootstrapOf({ members, splitKeys = [], replicas: wanted = 0 }: NodeSetup): Bootstrap {
  const replicas: Replica[] = members.map(({ id }, at) => ({ id: replicaId(at + 1), node: id }))
  const ranges = rangesBetween(splitKeys)
  const nodes = members.map(({ id }) => id)
  const places = wanted === 0 ? null : initialPlaces(nodes, ranges.length, wanted)
  return {
    nodes: members.map(({ id, peerUrls }) => ({
      id,
      name: '',
      peerUrls,
      clientUrls: [],
      learner: false,
      serverVersion: '',
    })),
    metaConfig: foundingMeta(replicas, places !== null),
    shards: ranges.map((range, at) => ({
      group: groupId(at + 1),
      range,
      epoch: 1,
      replicas: places === null ? replicas : replicas.filter(({ node }) => places[at]!.includes(node)),
    })),
    // Who has no replica of a shard reads and watches it at revisions that the oracle gave.
    ...(splitKeys.length > 0 || places !== null ? { oracle: true } : {}),
    ...(places === null ? {} : { placed: true, replicas: wanted }),
    joined: null,
  }
}
