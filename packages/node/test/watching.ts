import type { WatchCreate, WatchResponse } from '@kvorum/model'
import type { MiniNode } from './miniCluster.js'
import { ALL } from './requests.js'

/** Watches at a node, each on a stream of its own with the same number, and what they were told. */

export const PLAIN: WatchCreate = {
  range: ALL,
  startRevision: 0,
  progressNotify: false,
  noPut: false,
  noDelete: false,
  prevKv: false,
  watchId: 0,
  fragment: false,
}

export const watch = (node: MiniNode, id: number, create: Partial<WatchCreate> = {}): void =>
  node.watch(id, { kind: 'create', create: { ...PLAIN, watchId: id, ...create } })

export const told = (node: MiniNode, id: number): WatchResponse[] =>
  node.watched.filter(({ watchId }) => watchId === id)

export const isCreated = (node: MiniNode, id: number): boolean =>
  told(node, id).some(({ kind }) => kind === 'created')

/** What a watch was told, as "revision key=value". */
export const seen = (node: MiniNode, id: number): string[] =>
  told(node, id)
    .flatMap(response => (response.kind === 'events' ? response.events : []))
    .map(({ kv }) => `${kv.mod} ${Buffer.from(kv.key).toString()}=${Buffer.from(kv.value).toString()}`)
