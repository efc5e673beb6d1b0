import { Registry } from 'prom-client'
import type { KvNode } from '@kvorum/model'
import { createCallMetrics, type CallMetrics } from './calls.js'
import { createNodeMetrics } from './node.js'
import { createProcessMetrics } from './process.js'
import { createTlsMetrics } from './tls.js'
import type { TlsStatus } from '../tls/setup.js'

export interface ServerMetrics {
  readonly calls: CallMetrics
  readonly contentType: string
  /** The exposition text of a scrape. */
  render(): Promise<string>
  close(): void
}

/** What the metrics read that is not the node's. */
export interface MetricSources {
  readonly leaderChanges: () => number
  readonly tls: () => TlsStatus
}

export function createMetrics(node: KvNode, edge: MetricSources): ServerMetrics {
  const registry = new Registry()
  const calls = createCallMetrics(registry)
  const ofNode = createNodeMetrics(registry, node, edge)
  const readTls = createTlsMetrics(registry, edge.tls)
  const ofProcess = createProcessMetrics(registry)
  return {
    calls,
    contentType: registry.contentType,
    render: () => {
      ofNode.read()
      ofProcess.read()
      readTls()
      return registry.metrics()
    },
    close: () => ofProcess.close(),
  }
}
