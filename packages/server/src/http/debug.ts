import type { FastifyInstance } from 'fastify'
import type { Edge } from '../edge/edge.js'
import { descriptorLimit } from '../metrics/process.js'

/** What etcd tells about itself under /debug/vars, as far as it has a meaning here. */
export function addDebugVars(app: FastifyInstance, edge: Edge): void {
  app.get('/debug/vars', (_request, reply) => {
    const { rss, heapTotal, heapUsed, external } = process.memoryUsage()
    const { groups, term, leader, committed, applied } = edge.node.status()
    return reply.type('application/json').send(
      JSON.stringify({
        file_descriptor_limit: descriptorLimit(),
        memstats: { Sys: rss, HeapSys: heapTotal, HeapAlloc: heapUsed, External: external },
        'raft.status': {
          id: edge.node.self.toString(16),
          term,
          lead: leader.toString(16),
          commit: committed,
          applied,
          groups: groups.length,
        },
      }),
    )
  })
}
