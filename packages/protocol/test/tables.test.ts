import t from 'tap'
import { refuse, type ErrorCode } from '@kvorum/model'
import {
  ERRORS,
  errorFor,
  gatewayError,
  gatewayStreamError,
  grpcErrorText,
  RPCS,
  rpcNamed,
  schema,
  STATUS,
  wireError,
} from '@kvorum/protocol'

/** gRPC code, text without its prefix: typed once more, because clients match the whole of it. */
const ETCD: Partial<Record<ErrorCode, readonly [number, number, string]>> = {
  emptyKey: [3, 400, 'key is not provided'],
  keyNotFound: [3, 400, 'key not found'],
  valueProvided: [3, 400, 'value is provided'],
  leaseProvided: [3, 400, 'lease is provided'],
  tooManyOps: [3, 400, 'too many operations in txn request'],
  duplicateKey: [3, 400, 'duplicate key given in txn request'],
  invalidSortOption: [3, 400, 'invalid sort option'],
  invalidClientApiVersion: [3, 400, 'invalid client api version'],
  requestTooLarge: [3, 400, 'request is too large'],
  memberUrlsInvalid: [3, 400, 'given member URLs are invalid'],
  compacted: [11, 400, 'mvcc: required revision has been compacted'],
  futureRevision: [11, 400, 'mvcc: required revision is a future revision'],
  leaseTtlTooLarge: [11, 400, 'too large lease TTL'],
  leaseNotFound: [5, 404, 'requested lease not found'],
  memberNotFound: [5, 404, 'member not found'],
  leaseExists: [9, 400, 'lease already exists'],
  memberExists: [9, 400, 'member ID already exist'],
  peerUrlExists: [9, 400, 'Peer URLs already exists'],
  notEnoughStarted: [9, 400, 're-configuration failed due to not enough started members'],
  notLearner: [9, 400, 'can only promote a learner member'],
  learnerNotReady: [9, 400, 'can only promote a learner member which is in sync with leader'],
  tooManyLearners: [9, 400, 'too many learner members in cluster'],
  clusterIdMismatch: [9, 400, 'cluster ID mismatch'],
  notLeader: [9, 400, 'not leader'],
  notCapable: [9, 400, 'not capable'],
  learner: [9, 400, 'rpc not supported for learner'],
  badTransferee: [9, 400, 'bad leader transferee'],
  authNotEnabled: [9, 400, 'authentication is not enabled'],
  authFailed: [3, 400, 'authentication failed, invalid user ID or password'],
  authTokenInvalid: [16, 401, 'invalid auth token'],
  authRevisionOld: [3, 400, 'revision of auth store is old'],
  authManagementInvalid: [3, 400, 'invalid auth management'],
  permissionDenied: [7, 403, 'permission denied'],
  permissionNotGiven: [3, 400, 'permission not given'],
  permissionNotGranted: [9, 400, 'permission is not granted to the role'],
  rootUserMissing: [9, 400, 'root user does not exist'],
  rootRoleMissing: [9, 400, 'root user does not have root role'],
  userNameEmpty: [3, 400, 'user name is empty'],
  userExists: [9, 400, 'user name already exists'],
  userNotFound: [9, 400, 'user name not found'],
  roleNameEmpty: [3, 400, 'role name is empty'],
  roleExists: [9, 400, 'role name already exists'],
  roleNotFound: [9, 400, 'role name not found'],
  roleNotGranted: [9, 400, 'role is not granted to the user'],
  downgradeVersionFormat: [3, 400, 'wrong downgrade target version format'],
  downgradeTarget: [3, 400, 'invalid downgrade target version'],
  downgradeNone: [9, 400, 'no inflight downgrade job'],
  clusterVersionMissing: [9, 400, 'cluster version not found during downgrade'],
  noSpace: [8, 429, 'mvcc: database space exceeded'],
  tooManyRequests: [8, 429, 'too many requests'],
  corrupt: [15, 500, 'corrupt cluster'],
  noLeader: [14, 503, 'no leader'],
  leaderChanged: [14, 503, 'leader changed'],
  stopped: [14, 503, 'server stopped'],
  timeout: [14, 503, 'request timed out'],
  timeoutLeaderFailure: [14, 503, 'request timed out, possibly due to previous leader failure'],
  timeoutConnectionLost: [14, 503, 'request timed out, possibly due to connection lost'],
  timeoutWaitApplied: [14, 503, 'request timed out, waiting for the applied index took too long'],
  unhealthy: [14, 503, 'unhealthy cluster'],
  canceled: [1, 408, 'request canceled'],
  deadlineExceeded: [4, 504, 'context deadline exceeded'],
}

t.test("etcd's errors: code, status and text to the letter", async t => {
  for (const [code, [grpc, http, text]] of Object.entries(ETCD)) {
    const { error } = refuse(code as ErrorCode, { detail: 'not shown' })
    t.match(errorFor(error), { grpc, http, message: `etcdserver: ${text}` }, code)
  }
})

/** Texts of etcd's lock and election libraries, as a whole. */
const RECIPES: Partial<Record<ErrorCode, string>> = {
  sessionExpired: 'mutex: session is expired',
  electionNoLeader: 'election: no leader',
  electionNotLeader: 'election: not leader',
  leaderKeyMissing: '"leader" field must be provided',
}

t.test('errors of locks and elections', async t => {
  for (const [code, message] of Object.entries(RECIPES))
    t.match(errorFor(refuse(code as ErrorCode).error), { grpc: 2, http: 500, message }, code)
})

t.test('our own errors say more, and never pose as etcd', async t => {
  const own = Object.keys(ERRORS).filter(code => !(code in ETCD) && !(code in RECIPES)) as ErrorCode[]
  t.strictSame(own.sort(), [
    'authOutdated',
    'crossShard',
    'drainNowhere',
    'internal',
    'leaderFollows',
    'malformed',
    'nodeDraining',
    'nodeFull',
    'placeInvalid',
    'quarantined',
    'responseTooLarge',
    'sequenceAcknowledged',
    'sessionExists',
    'sessionNotFound',
    'shardBusy',
    'shardChanged',
    'shardNotFound',
    'shardNotPlaced',
    'splitKeyInvalid',
    'staleRoute',
    'tooManyLeases',
    'tooManyShards',
    'unimplemented',
  ])
  for (const code of own) {
    t.match(errorFor(refuse(code).error).message, /^kvorum: /, code)
    t.match(errorFor(refuse(code, { detail: 'why' }).error).message, /: why$/, code)
  }
  t.match(errorFor(refuse('malformed').error), { grpc: 3, http: 400 })
  t.match(errorFor(refuse('unimplemented').error), { grpc: 12, http: 501 })
})

t.test('statuses', async t => {
  const numbers = Object.values(STATUS).map(status => status.grpc)
  t.strictSame(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])
  for (const status of Object.values(STATUS)) {
    const error = { grpc: status.grpc, grpcName: status.name, http: status.http, message: 'm' }
    const { http_status: text } = gatewayStreamError(error).error as { http_status: string }
    t.not(text, '', `${status.http} has a text`)
  }
})

t.test('bodies', async t => {
  const error = errorFor(refuse('emptyKey').error)
  const message = 'etcdserver: key is not provided'
  t.strictSame(gatewayError(error), { error: message, message, code: 3 })
  t.strictSame(gatewayStreamError(error), {
    error: { grpc_code: 3, http_code: 400, message, http_status: 'Bad Request', code: 3 },
  })
  t.equal(
    grpcErrorText(wireError('permissionDenied', 'etcdserver: permission denied')),
    'rpc error: code = PermissionDenied desc = etcdserver: permission denied',
  )
})

t.test('every RPC of the schema is in the table, with its types and streams', async t => {
  const reflection = ['grpc.reflection.v1', 'grpc.reflection.v1alpha']
  const packages = ['etcdserverpb', 'v3lockpb', 'v3electionpb', 'grpc.health.v1', 'kvorum.v1', ...reflection]
  const methods = packages.flatMap(name =>
    schema.lookup(name)!.toJSON().nested === undefined ? [] : servicesOf(name),
  )
  t.strictSame(RPCS.map(rpc => rpc.name).sort(), methods.sort())
  t.match(rpcNamed('etcdserverpb.Watch/Watch'), {
    path: '/etcdserverpb.Watch/Watch',
    service: 'etcdserverpb.Watch',
    method: 'Watch',
    request: 'etcdserverpb.WatchRequest',
    response: 'etcdserverpb.WatchResponse',
    requestStream: true,
    responseStream: true,
  })
  const streams = RPCS.filter(rpc => rpc.requestStream || rpc.responseStream)
  t.strictSame(streams.map(rpc => `${rpc.method} ${rpc.requestStream ? 'stream' : 'one'}`).sort(), [
    'LeaseKeepAlive stream',
    'Observe one',
    'RangeStream one',
    'ServerReflectionInfo stream',
    'ServerReflectionInfo stream',
    'Snapshot one',
    'Watch one',
    'Watch stream',
  ])
})

function servicesOf(namespace: string): string[] {
  const nested = schema.lookup(namespace)!.toJSON().nested as Record<string, { methods?: object }>
  return Object.entries(nested).flatMap(([service, { methods }]) =>
    Object.keys(methods ?? {}).map(method => `${namespace}.${service}/${method}`),
  )
}

t.test('paths of the gateway', async t => {
  const paths = RPCS.flatMap(rpc => rpc.gateway)
  t.equal(new Set(paths).size, paths.length, 'no path twice')
  const listed = {
    kv: 'range put deleterange txn compaction lease/revoke lease/timetolive lease/leases',
    lease: 'grant revoke keepalive timetolive leases',
    'cluster/member': 'add remove update list promote',
    maintenance: 'alarm status defragment hash hashkv snapshot transfer-leadership downgrade',
    auth: 'enable disable status authenticate',
    'auth/user': 'add get list delete changepw grant revoke',
    'auth/role': 'add get list delete grant revoke',
    lock: 'lock unlock',
    election: 'campaign proclaim leader observe resign',
  }
  const expected = Object.entries(listed).flatMap(([folder, names]) =>
    names.split(' ').map(name => `/v3/${folder}/${name}`),
  )
  t.strictSame(paths.filter(path => path.startsWith('/v3/')).sort(), [...expected, '/v3/watch'].sort())
  t.strictSame(
    RPCS.filter(rpc => rpc.gateway.length === 0).map(rpc => rpc.name),
    [
      'etcdserverpb.KV/RangeStream',
      'grpc.health.v1.Health/Check',
      'grpc.health.v1.Health/Watch',
      'grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      'grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo',
    ],
    'only these have none',
  )
})
