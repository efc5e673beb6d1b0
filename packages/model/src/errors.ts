import type { Epoch, GroupId, Revision } from './ids.js'
import type { KeyRange } from './range.js'

/**
 * Every expected refusal, by name. The protocol room has one table from these codes to etcd's texts and
 * statuses. Facts that a caller can act on travel with the code.
 */
export type ErrorCode =
  // requests that can never be right
  | 'emptyKey'
  | 'keyNotFound'
  | 'valueProvided'
  | 'leaseProvided'
  | 'tooManyOps'
  | 'duplicateKey'
  | 'invalidSortOption'
  | 'invalidClientApiVersion'
  | 'requestTooLarge'
  | 'malformed'
  | 'unimplemented'
  // positions
  | 'compacted'
  | 'futureRevision'
  // leases
  | 'leaseNotFound'
  | 'leaseExists'
  | 'leaseTtlTooLarge'
  | 'tooManyLeases'
  // sessions
  | 'sessionNotFound'
  | 'sessionExists'
  | 'sequenceAcknowledged'
  // cluster
  | 'memberNotFound'
  | 'memberExists'
  | 'peerUrlExists'
  | 'memberUrlsInvalid'
  | 'notEnoughStarted'
  | 'notLearner'
  | 'learnerNotReady'
  | 'tooManyLearners'
  | 'clusterIdMismatch'
  | 'notLeader'
  | 'notCapable'
  | 'learner'
  | 'badTransferee'
  // locks and elections
  | 'sessionExpired'
  | 'electionNoLeader'
  | 'electionNotLeader'
  | 'leaderKeyMissing'
  // shards
  | 'shardNotFound'
  | 'shardBusy'
  | 'splitKeyInvalid'
  | 'tooManyShards'
  | 'shardChanged'
  | 'leaderFollows'
  | 'shardNotPlaced'
  | 'placeInvalid'
  | 'nodeFull'
  | 'nodeDraining'
  | 'drainNowhere'
  // users, roles and who may do what
  | 'authNotEnabled'
  | 'authFailed'
  | 'authTokenInvalid'
  | 'authRevisionOld'
  | 'authManagementInvalid'
  | 'permissionDenied'
  | 'permissionNotGiven'
  | 'permissionNotGranted'
  | 'rootUserMissing'
  | 'rootRoleMissing'
  | 'userNameEmpty'
  | 'userExists'
  | 'userNotFound'
  | 'roleNameEmpty'
  | 'roleExists'
  | 'roleNotFound'
  | 'roleNotGranted'
  // downgrades
  | 'downgradeVersionFormat'
  | 'downgradeTarget'
  | 'downgradeNone'
  | 'clusterVersionMissing'
  // load and availability
  | 'noSpace'
  | 'corrupt'
  | 'tooManyRequests'
  | 'noLeader'
  | 'leaderChanged'
  | 'stopped'
  | 'timeout'
  | 'timeoutLeaderFailure'
  | 'timeoutConnectionLost'
  | 'timeoutWaitApplied'
  | 'unhealthy'
  | 'canceled'
  | 'deadlineExceeded'
  | 'responseTooLarge'
  // kvorum's own
  | 'staleRoute'
  | 'crossShard'
  /** Allowed by users and roles that have changed since: to be decided again, by newer ones. */
  | 'authOutdated'
  | 'quarantined'
  | 'internal'

/**
 * What a refusal says about the write it refuses. notApplied: it never had and never will have an effect.
 * applied: it had its effect, only the answer is lost. unknown: either.
 */
export type Outcome = 'notApplied' | 'applied' | 'unknown'

export interface KvError {
  readonly code: ErrorCode
  readonly outcome: Outcome
  /** Facts for the log and for texts that carry them; never keys, values or secrets. */
  readonly detail?: string
  /** With 'staleRoute': what the refusing shard knows about itself. */
  readonly route?: { readonly group: GroupId; readonly range: KeyRange; readonly epoch: Epoch }
  /** With 'compacted': the revision up to which history is gone. */
  readonly compactRevision?: Revision
}

export type Result<Value> =
  { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly error: KvError }

export const ok = <Value>(value: Value): Result<Value> => ({ ok: true, value })
export const refuse = (
  code: ErrorCode,
  facts: Partial<Omit<KvError, 'code'>> = {},
): { ok: false; error: KvError } => ({
  ok: false,
  error: { code, outcome: 'notApplied', ...facts },
})

/**
 * Refusals that the state machine gave in the order of the log. They judge the request itself; all others judge
 * one sending of it, and say nothing about a sending before that may still be on its way.
 */
const JUDGED: ReadonlySet<ErrorCode> = new Set([
  'keyNotFound',
  'duplicateKey',
  'compacted',
  'futureRevision',
  'leaseNotFound',
  'leaseExists',
  'responseTooLarge',
])

export const isJudged = (code: ErrorCode): boolean => JUDGED.has(code)
