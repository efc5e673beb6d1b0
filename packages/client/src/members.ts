import type { pb } from '@kvorum/protocol'

export interface Member {
  readonly id: bigint
  /** Empty for a member that has not started yet. */
  readonly name: string
  readonly peerUrls: readonly string[]
  readonly clientUrls: readonly string[]
  readonly isLearner: boolean
}

/** One server's view of itself and its cluster. */
export interface Status {
  readonly clusterId: bigint
  readonly memberId: bigint
  /** 0n: none known. */
  readonly leaderId: bigint
  readonly isLeader: boolean
  readonly isLearner: boolean
  readonly version: string
  readonly revision: number
  readonly raftTerm: number
  readonly raftIndex: number
  readonly raftAppliedIndex: number
  /** Bytes: the store's size, and the part of it that is in use. */
  readonly dbSize: number
  readonly dbSizeInUse: number
  /** Bytes in use that raise the alarm NOSPACE; 0 from a server that does not tell it (etcd before 3.6). */
  readonly dbSizeQuota: number
  /** What is wrong, such as an alarm or the lack of a leader. */
  readonly errors: readonly string[]
}

export const memberOf = (message: pb.Member): Member => ({
  id: message.ID,
  name: message.name,
  peerUrls: message.peerURLs,
  clientUrls: message.clientURLs,
  isLearner: message.isLearner,
})

export const statusOf = (message: pb.StatusResponse): Status => ({
  clusterId: message.header?.cluster_id ?? 0n,
  memberId: message.header?.member_id ?? 0n,
  leaderId: message.leader,
  isLeader: message.leader !== 0n && message.leader === message.header?.member_id,
  isLearner: message.isLearner,
  version: message.version,
  revision: message.header?.revision ?? 0,
  raftTerm: message.raftTerm,
  raftIndex: message.raftIndex,
  raftAppliedIndex: message.raftAppliedIndex,
  dbSize: message.dbSize,
  dbSizeInUse: message.dbSizeInUse,
  dbSizeQuota: message.dbSizeQuota,
  errors: message.errors,
})
