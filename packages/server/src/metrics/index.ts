import { Registry } from 'prom-client'
import type { KvNode } from '@kvorum/model'
import { createCallMetrics, type CallMetrics } from './calls.js'
import { createNodeMetrics } from './node.js'
import { createProcessMetrics } from './process.js'

export interface ServerMetrics {
  readonly calls: CallMetrics
  readonly contentType: string
  /** The exposition text of a scrape. */
  render(): Promise<string>
  close(): void
}

export function createMetrics(node: KvNode, edge: { readonly leaderChanges: () => number }): ServerMetrics {
  const registry = new Registry()
  const calls = createCallMetrics(registry)
  const ofNode = createNodeMetrics(registry, node, edge)
  const ofProcess = createProcessMetrics(registry)
  return {
    calls,
    contentType: registry.contentType,
    render: () => {
      ofNode.read()
      ofProcess.read()
      return registry.metrics()
    },
    close: () => ofProcess.close(),
  }
}
