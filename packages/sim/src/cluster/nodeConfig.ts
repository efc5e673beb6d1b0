import {
  clusterId,
  nodeId,
  type ClientResult,
  type JoinAnswer,
  type JoinRequest,
  type NodeId,
  type WatchResponse,
} from '@kvorum/model'
import type { LongCommandBound } from '@kvorum/machine'
import type { BalanceOptions, Bootstrap, MaintenanceOptions, NodeLimits, NodeOptions } from '@kvorum/node'
import type { LogOptions } from '@kvorum/storage'
import type { Station } from '../network/partition.js'
import type { Addresses } from './addresses.js'
import { checksum } from './storedState.js'

export const CLUSTER = clusterId(0x6b766f72756dn)

/** A machine is one member for ever: who is replaced comes back on another one. */
export const nodeOf = (station: Station): NodeId => nodeId(BigInt(station + 1))
export const stationOf = (node: NodeId): Station => Number(node) - 1

export interface NodeConfig {
  readonly station: Station
  /** As --initial-cluster says it; of a newcomer only the shards count. */
  readonly bootstrap: Bootstrap
  /** Set for a newcomer: it asks the members who it is. */
  readonly joins: Joins | null
  readonly electionTimeoutMs: number
  readonly heartbeatMs: number
  readonly limits: NodeLimits
  readonly longCommand: LongCommandBound
  readonly maintenance: MaintenanceOptions
  readonly log: Partial<LogOptions>
  /** Entries of each group handed to it from its recovered log; the others are read from the disk. */
  readonly recoveredEntriesMax: number
  readonly balance: BalanceOptions | null
}

export interface Joins {
  /** As they were given to MemberAdd. */
  readonly peerUrls: readonly string[]
  /** Asks one of the members; answered once, in a later event, or never. */
  readonly ask: (request: JoinRequest, answered: (answer: JoinAnswer) => void) => void
}

/** A client is told of its answer, or that its connection is gone. */
export type Answered = (result: ClientResult | 'lost') => void

export interface StreamListener {
  receive(response: WatchResponse): void
  lost(): void
}

/** Where it is reached is said as its flags would say it, but not by a machine that is where it has always been. */
export const nodeOptions = (config: NodeConfig, seed: number, addresses: Addresses): NodeOptions => ({
  cluster: CLUSTER,
  self: nodeOf(config.station),
  name: `n${config.station + 1}`,
  clientUrls: [],
  peerUrls: addresses.movedTo(config.station),
  serverVersion: '3.6.0',
  seed,
  electionTimeoutMs: config.electionTimeoutMs,
  heartbeatMs: config.heartbeatMs,
  progressNotifyMs: 2_000,
  limits: config.limits,
  maintenance: config.maintenance,
  checksum,
  longCommand: config.longCommand,
  ...(config.balance === null ? {} : { balance: config.balance }),
})
