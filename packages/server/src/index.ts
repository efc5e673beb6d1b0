/**
 * The edges over a node: one port for gRPC and HTTP, configuration, metrics, the process.
 *
 *   sockets -> port -> grpc | http -> call rings -> handlers -> KvNode
 *   flags, environment, file -> ServerConfig -> startServer
 */
export { leaseTtlMin, requestTimeoutMs, type InitialMember, type ServerConfig } from './config/config.js'
export { FLAGS, FLAG_NAMES, FOREIGN_FLAG_NAMES, helpText, type FlagName } from './config/flags.js'
export { loadConfig, type ConfigOutcome, type ConfigSources } from './config/load.js'
export { type Endpoint } from './config/urls.js'
export { clusterIdOf, memberIdOf } from './identity.js'
export { createLogger, SILENT, type Logger, type LogOptions, type ProcessLogger } from './logging.js'
export { runServerProcess, type ProcessParts } from './process.js'
export { startServer, type RunningServer, type ServerParts } from './server.js'
export { createAuthority, type Authority, type Issued, type Wish } from './tls/authority.js'
export { ETCD_API_VERSION, ETCD_CLUSTER_VERSION, KVORUM_VERSION } from './version.js'
export { restoreSnapshot, type Restored, type RestoreRequest } from './snapshot/restore.js'
export { SnapshotError } from './snapshot/sourceFile.js'
export { snapshotStatus, type SnapshotStatus } from './snapshot/status.js'
export { nodeSetup, StartError, type CreateNode, type NodeSetup } from './wiring.js'
export { createClusterNode } from './node/clusterNode.js'
