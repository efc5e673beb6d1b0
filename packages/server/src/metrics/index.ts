import { Counter, type Registry } from 'prom-client'
import type { KvNode } from '@kvorum/model'
import { createCallMetrics, type CallMetrics } from './calls.js'
import { createNodeMetrics } from './node.js'
import { createProcessMetrics } from './process.js'
import { createTlsMetrics } from './tls.js'
import type { TlsStatus } from '../tls/setup.js'

export interface ServerMetrics {
  readonly calls: CallMetrics
  /** A check of /health. */
  readonly checked: (well: boolean) => void
  readonly contentType: string
  /** The exposition text of a scrape. */
  render(): Promise<string>
  close(): void
}

/** What the metrics read that is not the node's. */
export interface MetricSources {
  readonly leaderChanges: () => number
  /** Events of watches that wait for their connections. */
  readonly pendingEvents: () => number
  readonly tls: () => TlsStatus
}

export function createMetrics(registry: Registry, node: KvNode, edge: MetricSources): ServerMetrics {
  const calls = createCallMetrics(registry)
  const ofNode = createNodeMetrics(registry, node, edge)
  const readTls = createTlsMetrics(registry, edge.tls)
  const ofProcess = createProcessMetrics(registry)
  const health = (name: string, help: string): Counter => new Counter({ name, help, registers: [registry] })
  const well = health('etcd_server_health_success', 'Health checks that this server passed.')
  const ill = health('etcd_server_health_failures', 'Health checks that this server failed.')
  return {
    calls,
    checked: passed => (passed ? well : ill).inc(),
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
