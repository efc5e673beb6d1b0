import { decodeReply } from '@kvorum/model'
import { StoreHashes } from '../invariants/storeHashes.js'
import { MILLISECOND, SECOND } from '../schedule.js'
import type { Cluster } from './cluster.js'
import type { SimNode } from './simNode.js'

/** I24, as an operator would ask: every member that is sound gives a hash of the first shard at one revision. */
export function askHashes(cluster: Cluster, nodes: readonly SimNode[], done: () => void): void {
  const group = cluster.dataGroups[0]!
  const hashes = new StoreHashes(nodes.map(({ station }) => station))
  const { revision } = cluster.truthOf(group)
  let left = nodes.length
  const ask = (node: SimNode): void => {
    const again = (): void => {
      cluster.schedule.after(100 * MILLISECOND, 'hash', () => ask(node))
    }
    const asked = node.request({ kind: 'hashKv', revision }, (5 * SECOND) / MILLISECOND, result => {
      const reply = result !== 'lost' && result.ok ? decodeReply(result.value.body) : null
      if (reply?.kind !== 'hashed') {
        again()
        return
      }
      const { hash, compactRevision: compacted } = reply
      hashes.observe({ kind: 'storeHash', node: node.station, revision: reply.revision, compacted, hash })
      if (--left > 0) return
      hashes.finish()
      done()
    })
    if (asked === null) again()
  }
  for (const node of nodes) ask(node)
}
