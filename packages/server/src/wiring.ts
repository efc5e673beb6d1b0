import { utf8, type ClusterId, type KvNode, type Member, type NodeId } from '@kvorum/model'
import { clusterIdOf, memberIdOf } from './identity.js'
import type { ServerConfig } from './config/config.js'
import type { PeerTls } from '@kvorum/peer'
import type { Logger } from './logging.js'
import { UNTIMED, type DiskTimes } from './metrics/disk.js'

/** What a server needs to make its node. The node itself comes from whoever starts the server. */
export interface NodeSetup {
  readonly config: ServerConfig
  readonly cluster: ClusterId
  readonly self: NodeId
  /** The initial members with the ids that all of them compute alike, sorted by id. */
  readonly members: readonly Member[]
  /** Where a cluster that begins is cut into shards, ascending; by default it is one. The same on all members. */
  readonly splitKeys?: readonly Uint8Array[]
  /** Replicas of each shard in a cluster that begins; absent or 0: one on every member. The same on all members. */
  readonly replicas?: number
  readonly logger: Logger
  /** How the members speak TLS; null: they do not. */
  readonly peerTls: PeerTls | null
  /** Measures what the disk takes. */
  readonly diskTimes: DiskTimes
  /** For a condition that this node cannot survive. May be called at any time, and more than once. */
  readonly fatal: (reason: string) => void
}

/** Resolves when the node answers requests, if only with "no leader". Rejects with a StartError. */
export type CreateNode = (setup: NodeSetup) => Promise<KvNode>

/** The server cannot start, and the message is the sentence that tells the operator why. */
export class StartError extends Error {
  override readonly name = 'StartError'
}

export function nodeSetup(
  config: ServerConfig,
  logger: Logger,
  fatal: (reason: string) => void,
  peerTls: PeerTls | null = null,
  diskTimes: DiskTimes = UNTIMED,
): NodeSetup {
  const token = config.initialClusterToken
  const self = memberIdOf(config.advertisePeerUrls, token)
  const members = config.initialCluster
    .map(({ name, peerUrls }) => {
      const id = memberIdOf(peerUrls, token)
      const clientUrls = id === self ? config.advertiseClientUrls : []
      return { id, name, peerUrls, clientUrls, learner: false }
    })
    .sort((a, b) => (a.id < b.id ? -1 : 1))
  return {
    config,
    cluster: clusterIdOf(config.initialCluster, token, config.initialSplitKeys, config.replicas),
    self,
    members,
    logger,
    fatal,
    peerTls,
    diskTimes,
    splitKeys: config.initialSplitKeys.map(utf8),
    replicas: config.replicas,
  }
}
