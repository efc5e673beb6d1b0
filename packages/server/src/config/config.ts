import type { TlsConfig } from '../tls/config.js'
import type { TokenConfig } from './authToken.js'
import type { MaintenanceOptions } from '@kvorum/node'
import type { Endpoint } from './urls.js'

export interface InitialMember {
  readonly name: string
  /** Canonical and sorted. */
  readonly peerUrls: readonly string[]
}

/** Everything an operator decides, validated: whoever holds one need not check it again. */
export interface ServerConfig {
  readonly name: string
  readonly dataDir: string
  readonly listenClient: readonly Endpoint[]
  readonly advertiseClientUrls: readonly string[]
  /** For HTTP alone, and for metrics and health alone. */
  readonly listenHttp: readonly Endpoint[]
  readonly listenMetrics: readonly Endpoint[]
  readonly listenPeer: readonly Endpoint[]
  readonly advertisePeerUrls: readonly string[]
  /** Of the https URLs that clients are answered on; null: there are none. */
  readonly clientTls: TlsConfig | null
  readonly peerTls: TlsConfig | null
  /** Peer URLs off this machine that are not https. */
  readonly plainPeerUrls: readonly string[]
  readonly initialCluster: readonly InitialMember[]
  readonly initialClusterState: 'new' | 'existing'
  readonly initialClusterToken: string
  /** Where a new cluster is cut into shards, ascending; none: it has one shard. */
  readonly initialSplitKeys: readonly string[]
  /** Replicas of each shard in a new cluster; 0: one on every member. A cluster that is there knows its own. */
  readonly replicas: number
  /** A member that is missing for so long is taken for dead. */
  readonly deadNodeAfterMs: number
  /** A shard with more bytes is split; 0: none is; null: as it is fit for the cluster. */
  readonly shardSplitBytes: number | null
  readonly strictReconfigCheck: boolean
  readonly heartbeatMs: number
  readonly electionTimeoutMs: number
  readonly snapshotCount: number
  readonly maxRequestBytes: number
  readonly maxTxnOps: number
  readonly maxConcurrentStreams: number
  readonly maxConnections: number
  readonly maxConnectionsPerHost: number
  readonly maxPendingRequests: number
  readonly maxWatchersPerStream: number
  readonly maxRequestsPerUser: number
  readonly maxWatchersPerUser: number
  readonly maxGrantsPerUser: number
  readonly maxLeases: number
  /** 0: never. */
  readonly keepaliveIntervalMs: number
  readonly keepaliveTimeoutMs: number
  readonly catchUpEntries: number
  readonly watchProgressMs: number
  readonly slowRequestMs: number
  readonly slowApplyMs: number
  readonly maintenance: MaintenanceOptions
  readonly corsOrigins: readonly string[]
  /** Holds '*' where any host will do. */
  readonly hostWhitelist: readonly string[]
  readonly tokens: TokenConfig
  /** '': nothing is audited. */
  readonly auditLog: string
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'fatal'
  readonly logFormat: 'json' | 'console'
}

/** The least TTL of a lease in seconds: shorter ones would expire during an ordinary election. */
export const leaseTtlMin = (config: ServerConfig): number =>
  Math.ceil((1.5 * config.electionTimeoutMs) / 1000)

/** How long a request may take before it is answered with a timeout, as etcd counts it. */
export const requestTimeoutMs = (config: ServerConfig): number => 5000 + 2 * config.electionTimeoutMs
