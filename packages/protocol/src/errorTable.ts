import type { ErrorCode, KvError } from '@kvorum/model'
import type { JsonRecord } from './json.js'

/** gRPC's status codes by number; HTTP as the JSON gateway maps them. */
export const STATUS = {
  canceled: { grpc: 1, name: 'CANCELLED', http: 408 },
  unknown: { grpc: 2, name: 'UNKNOWN', http: 500 },
  invalidArgument: { grpc: 3, name: 'INVALID_ARGUMENT', http: 400 },
  deadlineExceeded: { grpc: 4, name: 'DEADLINE_EXCEEDED', http: 504 },
  notFound: { grpc: 5, name: 'NOT_FOUND', http: 404 },
  alreadyExists: { grpc: 6, name: 'ALREADY_EXISTS', http: 409 },
  permissionDenied: { grpc: 7, name: 'PERMISSION_DENIED', http: 403 },
  resourceExhausted: { grpc: 8, name: 'RESOURCE_EXHAUSTED', http: 429 },
  failedPrecondition: { grpc: 9, name: 'FAILED_PRECONDITION', http: 400 },
  aborted: { grpc: 10, name: 'ABORTED', http: 409 },
  outOfRange: { grpc: 11, name: 'OUT_OF_RANGE', http: 400 },
  unimplemented: { grpc: 12, name: 'UNIMPLEMENTED', http: 501 },
  internal: { grpc: 13, name: 'INTERNAL', http: 500 },
  unavailable: { grpc: 14, name: 'UNAVAILABLE', http: 503 },
  dataLoss: { grpc: 15, name: 'DATA_LOSS', http: 500 },
  unauthenticated: { grpc: 16, name: 'UNAUTHENTICATED', http: 401 },
} as const

export type StatusName = keyof typeof STATUS

const etcd = (status: StatusName, text: string) => ({ status, text: `etcdserver: ${text}`, detailed: false })
/** Refusals etcd does not know; their texts may carry the detail. */
const own = (status: StatusName, text: string) => ({ status, text: `kvorum: ${text}`, detailed: true })

/** Texts of etcd's lock and election libraries, which know no prefix and no status. */
const recipe = (text: string) => ({ status: 'unknown' as const, text, detailed: false })

/** Clients match etcd's texts as a whole: they are part of the interface. */
export const ERRORS: Readonly<
  Record<ErrorCode, { readonly status: StatusName; readonly text: string; readonly detailed: boolean }>
> = {
  emptyKey: etcd('invalidArgument', 'key is not provided'),
  keyNotFound: etcd('invalidArgument', 'key not found'),
  valueProvided: etcd('invalidArgument', 'value is provided'),
  leaseProvided: etcd('invalidArgument', 'lease is provided'),
  tooManyOps: etcd('invalidArgument', 'too many operations in txn request'),
  duplicateKey: etcd('invalidArgument', 'duplicate key given in txn request'),
  invalidSortOption: etcd('invalidArgument', 'invalid sort option'),
  invalidClientApiVersion: etcd('invalidArgument', 'invalid client api version'),
  requestTooLarge: etcd('invalidArgument', 'request is too large'),
  malformed: own('invalidArgument', 'malformed request'),
  unimplemented: own('unimplemented', 'not supported'),

  compacted: etcd('outOfRange', 'mvcc: required revision has been compacted'),
  futureRevision: etcd('outOfRange', 'mvcc: required revision is a future revision'),

  leaseNotFound: etcd('notFound', 'requested lease not found'),
  leaseExists: etcd('failedPrecondition', 'lease already exists'),
  leaseTtlTooLarge: etcd('outOfRange', 'too large lease TTL'),
  tooManyLeases: own('resourceExhausted', 'the cluster has as many leases as --max-leases allows'),

  sessionNotFound: own(
    'failedPrecondition',
    'the session has ended or never was; whether an earlier sending of this write was carried out is unknown',
  ),
  sessionExists: own('failedPrecondition', 'the lease has a session already'),
  sequenceAcknowledged: own(
    'failedPrecondition',
    'the client has acknowledged the answer of this sequence, and it is no longer kept',
  ),

  memberNotFound: etcd('notFound', 'member not found'),
  memberExists: etcd('failedPrecondition', 'member ID already exist'),
  peerUrlExists: etcd('failedPrecondition', 'Peer URLs already exists'),
  memberUrlsInvalid: etcd('invalidArgument', 'given member URLs are invalid'),
  notEnoughStarted: etcd('failedPrecondition', 're-configuration failed due to not enough started members'),
  notLearner: etcd('failedPrecondition', 'can only promote a learner member'),
  learnerNotReady: etcd(
    'failedPrecondition',
    'can only promote a learner member which is in sync with leader',
  ),
  tooManyLearners: etcd('failedPrecondition', 'too many learner members in cluster'),
  clusterIdMismatch: etcd('failedPrecondition', 'cluster ID mismatch'),
  notLeader: etcd('failedPrecondition', 'not leader'),
  notCapable: etcd('failedPrecondition', 'not capable'),
  learner: etcd('failedPrecondition', 'rpc not supported for learner'),
  badTransferee: etcd('failedPrecondition', 'bad leader transferee'),

  authNotEnabled: etcd('failedPrecondition', 'authentication is not enabled'),
  authFailed: etcd('invalidArgument', 'authentication failed, invalid user ID or password'),
  authTokenInvalid: etcd('unauthenticated', 'invalid auth token'),
  authRevisionOld: etcd('invalidArgument', 'revision of auth store is old'),
  authManagementInvalid: etcd('invalidArgument', 'invalid auth management'),
  permissionDenied: etcd('permissionDenied', 'permission denied'),
  permissionNotGiven: etcd('invalidArgument', 'permission not given'),
  permissionNotGranted: etcd('failedPrecondition', 'permission is not granted to the role'),
  rootUserMissing: etcd('failedPrecondition', 'root user does not exist'),
  rootRoleMissing: etcd('failedPrecondition', 'root user does not have root role'),
  userNameEmpty: etcd('invalidArgument', 'user name is empty'),
  userExists: etcd('failedPrecondition', 'user name already exists'),
  userNotFound: etcd('failedPrecondition', 'user name not found'),
  roleNameEmpty: etcd('invalidArgument', 'role name is empty'),
  roleExists: etcd('failedPrecondition', 'role name already exists'),
  roleNotFound: etcd('failedPrecondition', 'role name not found'),
  roleNotGranted: etcd('failedPrecondition', 'role is not granted to the user'),
  downgradeVersionFormat: etcd('invalidArgument', 'wrong downgrade target version format'),
  downgradeTarget: etcd('invalidArgument', 'invalid downgrade target version'),
  downgradeNone: etcd('failedPrecondition', 'no inflight downgrade job'),
  clusterVersionMissing: etcd('failedPrecondition', 'cluster version not found during downgrade'),

  sessionExpired: recipe('mutex: session is expired'),
  electionNoLeader: recipe('election: no leader'),
  electionNotLeader: recipe('election: not leader'),
  leaderKeyMissing: recipe('"leader" field must be provided'),

  noSpace: etcd('resourceExhausted', 'mvcc: database space exceeded'),
  corrupt: etcd('dataLoss', 'corrupt cluster'),
  tooManyRequests: etcd('resourceExhausted', 'too many requests'),
  noLeader: etcd('unavailable', 'no leader'),
  leaderChanged: etcd('unavailable', 'leader changed'),
  stopped: etcd('unavailable', 'server stopped'),
  timeout: etcd('unavailable', 'request timed out'),
  timeoutLeaderFailure: etcd('unavailable', 'request timed out, possibly due to previous leader failure'),
  timeoutConnectionLost: etcd('unavailable', 'request timed out, possibly due to connection lost'),
  timeoutWaitApplied: etcd('unavailable', 'request timed out, waiting for the applied index took too long'),
  unhealthy: etcd('unavailable', 'unhealthy cluster'),
  canceled: etcd('canceled', 'request canceled'),
  deadlineExceeded: etcd('deadlineExceeded', 'context deadline exceeded'),
  responseTooLarge: own('resourceExhausted', 'answer is too large, ask for it in pages'),

  shardNotFound: own('notFound', 'no such shard'),
  shardBusy: own('failedPrecondition', 'an operation on this shard is under way'),
  splitKeyInvalid: own('invalidArgument', 'the key must lie inside the shard, behind its first key'),
  tooManyShards: own('resourceExhausted', 'the cluster has as many shards as it may'),
  shardChanged: own('failedPrecondition', 'the shard has been changed meanwhile: look at it again'),
  leaderFollows: own(
    'failedPrecondition',
    'the leader of the only shard is the leader of the cluster: move that one',
  ),
  shardNotPlaced: own(
    'failedPrecondition',
    'every member has a replica of every shard: there is nowhere to move one to',
  ),
  placeInvalid: own('invalidArgument', 'the shard cannot have its replicas there'),
  nodeFull: own('failedPrecondition', 'the member holds as many shards as it may'),
  nodeDraining: own('failedPrecondition', 'the member is being drained'),
  drainNowhere: own(
    'failedPrecondition',
    'the replicas of the member have nowhere to go: add a member first',
  ),
  staleRoute: own('unavailable', 'the shard has moved, try again'),
  authOutdated: own('unavailable', 'users and roles are changing, try again'),
  crossShard: own('unimplemented', 'transaction over several shards'),
  quarantined: own('unavailable', 'this replica is damaged and being rebuilt, ask another member'),
  internal: own('internal', 'internal error'),
}

/** An error as it leaves on the wire. */
export interface WireError {
  readonly grpc: number
  readonly grpcName: string
  readonly http: number
  readonly message: string
}

export function errorFor(error: KvError): WireError {
  const { status, text, detailed } = ERRORS[error.code]
  const message = detailed && error.detail !== undefined ? `${text}: ${error.detail}` : text
  return wireError(status, message)
}

/** For errors that arise at an edge and have no code, such as a path nobody serves. */
export const wireError = (status: StatusName, message: string): WireError => ({
  grpc: STATUS[status].grpc,
  grpcName: STATUS[status].name,
  http: STATUS[status].http,
  message,
})

/** Body of a failed unary call on the gateway: the shapes of old and new etcd at once. */
export const gatewayError = (error: WireError): JsonRecord => ({
  error: error.message,
  message: error.message,
  code: error.grpc,
})

/** Last message of a failed stream on the gateway: again both shapes. */
export const gatewayStreamError = (error: WireError): JsonRecord => ({
  error: {
    grpc_code: error.grpc,
    http_code: error.http,
    message: error.message,
    http_status: HTTP_TEXTS[error.http] ?? '',
    code: error.grpc,
  },
})

/** How etcd writes an error into text, as in the cancel reason of a watch. */
export const grpcErrorText = (error: WireError): string =>
  `rpc error: code = ${GO_NAMES[error.grpc] ?? 'Unknown'} desc = ${error.message}`

const HTTP_TEXTS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  408: 'Request Timeout',
  409: 'Conflict',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}

/** By number, as Go's gRPC spells them. */
const GO_NAMES = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
] as const
