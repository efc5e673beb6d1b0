import type { Group } from '@kvorum/node'
import type { Cluster } from './cluster.js'
import { isMember } from './membersOperator.js'
import type { SimNode } from './simNode.js'

/** Replicas that are expected to take part: of members, and not of a log that the simulator damaged. */
export function* sound(cluster: Cluster): Generator<{ node: SimNode; group: Group }> {
  for (const node of members(cluster)) {
    for (const group of node.state?.groups.values() ?? []) {
      if (!node.corruptGroups.includes(group.id) && group.quarantined === null) yield { node, group }
    }
  }
}

/** Before anything was decided about members, and where nothing ever is, that is everybody. */
export function members(cluster: Cluster): readonly SimNode[] {
  const { latest } = cluster.observer.members
  return latest.index === 0 ? cluster.nodes : cluster.nodes.filter(node => isMember(latest, node))
}

/** Those whose replica of the first shard is sound. */
export const soundNodes = (cluster: Cluster): SimNode[] =>
  [...sound(cluster)].filter(({ group }) => group.id === cluster.dataGroups[0]).map(({ node }) => node)
