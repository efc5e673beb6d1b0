import { ALL_KEYS, groupId, replicaId, type Replica } from '@kvorum/model'
import { votersOf, type Bootstrap } from '@kvorum/node'
import type { NodeSetup } from '../wiring.js'

/** The cluster as --initial-cluster names it: the meta group and one data shard, on all members. */
export function bootstrapOf({ members }: NodeSetup): Bootstrap {
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
    shards: [{ group: groupId(1), range: ALL_KEYS, epoch: 1, replicas }],
    joined: null,
  }
}
