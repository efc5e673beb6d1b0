import type { NodeId } from '@kvorum/model'

/**
 * Where the replicas of a new cluster's shards begin: `replicas` of the nodes each, in turn, so that every node has
 * as many as any other, or one more.
 */
export function initialPlaces(nodes: readonly NodeId[], shards: number, replicas: number): NodeId[][] {
  const each = Math.min(replicas, nodes.length)
  return Array.from({ length: shards }, (_, shard) =>
    Array.from({ length: each }, (_place, place) => nodes[(shard * each + place) % nodes.length]!).sort(
      (a, b) => (a < b ? -1 : 1),
    ),
  )
}
