import type { ClientResult, WatchResponse } from '@kvorum/model'
import type { LongCommandBound } from '@kvorum/machine'
import type { Bootstrap, MaintenanceOptions, NodeLimits } from '@kvorum/node'
import type { LogOptions } from '@kvorum/storage'
import type { Station } from '../network/partition.js'

export interface NodeConfig {
  readonly station: Station
  readonly stations: number
  readonly bootstrap: Bootstrap
  readonly electionTimeoutMs: number
  readonly heartbeatMs: number
  readonly limits: NodeLimits
  readonly longCommand: LongCommandBound
  readonly maintenance: MaintenanceOptions
  readonly log: Partial<LogOptions>
  /** Entries of each group handed to it from its recovered log; the others are read from the disk. */
  readonly recoveredEntriesMax: number
}

/** A client is told of its answer, or that its connection is gone. */
export type Answered = (result: ClientResult | 'lost') => void

export interface StreamListener {
  receive(response: WatchResponse): void
  lost(): void
}
