import type { ErrorCode, Outcome, PeerRefusal } from '@kvorum/model'

/** The names that may arrive, as tables: a name added to a union and missing here does not compile. */
const CODES: Readonly<Record<ErrorCode, true>> = {
  emptyKey: true,
  keyNotFound: true,
  valueProvided: true,
  leaseProvided: true,
  tooManyOps: true,
  duplicateKey: true,
  invalidSortOption: true,
  invalidClientApiVersion: true,
  requestTooLarge: true,
  malformed: true,
  unimplemented: true,
  compacted: true,
  futureRevision: true,
  leaseNotFound: true,
  leaseExists: true,
  leaseTtlTooLarge: true,
  sessionNotFound: true,
  sessionExists: true,
  sequenceAcknowledged: true,
  memberNotFound: true,
  memberExists: true,
  peerUrlExists: true,
  memberUrlsInvalid: true,
  notEnoughStarted: true,
  notLearner: true,
  learnerNotReady: true,
  tooManyLearners: true,
  clusterIdMismatch: true,
  notLeader: true,
  notCapable: true,
  learner: true,
  badTransferee: true,
  authNotEnabled: true,
  sessionExpired: true,
  electionNoLeader: true,
  electionNotLeader: true,
  leaderKeyMissing: true,
  noSpace: true,
  corrupt: true,
  tooManyRequests: true,
  noLeader: true,
  leaderChanged: true,
  stopped: true,
  timeout: true,
  timeoutLeaderFailure: true,
  timeoutConnectionLost: true,
  timeoutWaitApplied: true,
  unhealthy: true,
  canceled: true,
  deadlineExceeded: true,
  responseTooLarge: true,
  staleRoute: true,
  crossShard: true,
  quarantined: true,
  internal: true,
}

const OUTCOMES: Readonly<Record<Outcome, true>> = { notApplied: true, applied: true, unknown: true }

const REFUSALS: Readonly<Record<PeerRefusal, true>> = {
  otherCluster: true,
  unknownMember: true,
  otherDirectory: true,
  olderDirectory: true,
  copiedDirectory: true,
}

export const isErrorCode = (name: string): name is ErrorCode => Object.hasOwn(CODES, name)
export const isOutcome = (name: string): name is Outcome => Object.hasOwn(OUTCOMES, name)
export const isPeerRefusal = (name: string): name is PeerRefusal => Object.hasOwn(REFUSALS, name)
