import { groupId, replicaId, type Replica } from '@kvorum/model'
import { votersOf, type Bootstrap } from '@kvorum/node'
import { rangesBetween } from '@kvorum/placement'
import type { NodeSetup } from '../wiring.js'

/** The cluster as --initial-cluster names it: the meta group and the data shards, on all members. */
export function bootstrapOf({ members, splitKeys = [] }: NodeSetup): Bootstrap {
  const replicas: Replica[] = members.map(({ id }, at) => ({ id: replicaId(at + 1), node: id }))
  return {
    nodes: members.map(({ id, peerUrls }) => ({
      id,
      name: '',
      peerUrls,
      clientUrls: [],
      learner: false,
      serverVersion: '',
    })),
    metaConfig: votersOf(replicas),
    shards: rangesBetween(splitKeys).map((range, at) => ({
      group: groupId(at + 1),
      range,
      epoch: 1,
      replicas,
    })),
    ...(splitKeys.length > 0 ? { oracle: true } : {}),
    joined: null,
  }
}
