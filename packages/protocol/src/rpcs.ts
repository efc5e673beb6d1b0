import { assert } from '@kvorum/model'
import type { Rpcs } from './messages.js'
import { schema, type MessageName } from './schema.js'

/** `<package>.<Service>/<Method>`. */
export type RpcName = keyof Rpcs

/** One remote procedure; both transports register what this table says. */
export interface Rpc {
  readonly name: RpcName
  readonly service: string
  readonly method: string
  /** The path of HTTP/2 requests. */
  readonly path: `/${string}`
  readonly request: MessageName
  readonly response: MessageName
  readonly requestStream: boolean
  readonly responseStream: boolean
  /** Paths of the JSON gateway, all POST, the usual one first. Empty: only gRPC has it. */
  readonly gateway: readonly string[]
}

const KV = 'etcdserverpb.KV'
const LEASE = 'etcdserverpb.Lease'
const CLUSTER = 'etcdserverpb.Cluster'
const MAINTENANCE = 'etcdserverpb.Maintenance'
const AUTH = 'etcdserverpb.Auth'

/** A type that has an entry for each RPC: one without a decision about its gateway path does not compile. */
const GATEWAY: Readonly<Record<RpcName, readonly string[]>> = {
  [`${KV}/Range`]: ['/v3/kv/range'],
  [`${KV}/RangeStream`]: [],
  [`${KV}/Put`]: ['/v3/kv/put'],
  [`${KV}/DeleteRange`]: ['/v3/kv/deleterange'],
  [`${KV}/Txn`]: ['/v3/kv/txn'],
  [`${KV}/Compact`]: ['/v3/kv/compaction'],
  'etcdserverpb.Watch/Watch': ['/v3/watch'],
  [`${LEASE}/LeaseGrant`]: ['/v3/lease/grant'],
  [`${LEASE}/LeaseRevoke`]: ['/v3/lease/revoke', '/v3/kv/lease/revoke'],
  [`${LEASE}/LeaseKeepAlive`]: ['/v3/lease/keepalive'],
  [`${LEASE}/LeaseTimeToLive`]: ['/v3/lease/timetolive', '/v3/kv/lease/timetolive'],
  [`${LEASE}/LeaseLeases`]: ['/v3/lease/leases', '/v3/kv/lease/leases'],
  [`${CLUSTER}/MemberAdd`]: ['/v3/cluster/member/add'],
  [`${CLUSTER}/MemberRemove`]: ['/v3/cluster/member/remove'],
  [`${CLUSTER}/MemberUpdate`]: ['/v3/cluster/member/update'],
  [`${CLUSTER}/MemberList`]: ['/v3/cluster/member/list'],
  [`${CLUSTER}/MemberPromote`]: ['/v3/cluster/member/promote'],
  [`${MAINTENANCE}/Alarm`]: ['/v3/maintenance/alarm'],
  [`${MAINTENANCE}/Status`]: ['/v3/maintenance/status'],
  [`${MAINTENANCE}/Defragment`]: ['/v3/maintenance/defragment'],
  [`${MAINTENANCE}/Hash`]: ['/v3/maintenance/hash'],
  [`${MAINTENANCE}/HashKV`]: ['/v3/maintenance/hashkv'],
  [`${MAINTENANCE}/Snapshot`]: ['/v3/maintenance/snapshot'],
  [`${MAINTENANCE}/MoveLeader`]: ['/v3/maintenance/transfer-leadership'],
  [`${MAINTENANCE}/Downgrade`]: ['/v3/maintenance/downgrade'],
  [`${AUTH}/AuthEnable`]: ['/v3/auth/enable'],
  [`${AUTH}/AuthDisable`]: ['/v3/auth/disable'],
  [`${AUTH}/AuthStatus`]: ['/v3/auth/status'],
  [`${AUTH}/Authenticate`]: ['/v3/auth/authenticate'],
  [`${AUTH}/UserAdd`]: ['/v3/auth/user/add'],
  [`${AUTH}/UserGet`]: ['/v3/auth/user/get'],
  [`${AUTH}/UserList`]: ['/v3/auth/user/list'],
  [`${AUTH}/UserDelete`]: ['/v3/auth/user/delete'],
  [`${AUTH}/UserChangePassword`]: ['/v3/auth/user/changepw'],
  [`${AUTH}/UserGrantRole`]: ['/v3/auth/user/grant'],
  [`${AUTH}/UserRevokeRole`]: ['/v3/auth/user/revoke'],
  [`${AUTH}/RoleAdd`]: ['/v3/auth/role/add'],
  [`${AUTH}/RoleGet`]: ['/v3/auth/role/get'],
  [`${AUTH}/RoleList`]: ['/v3/auth/role/list'],
  [`${AUTH}/RoleDelete`]: ['/v3/auth/role/delete'],
  [`${AUTH}/RoleGrantPermission`]: ['/v3/auth/role/grant'],
  [`${AUTH}/RoleRevokePermission`]: ['/v3/auth/role/revoke'],
  'v3lockpb.Lock/Lock': ['/v3/lock/lock'],
  'v3lockpb.Lock/Unlock': ['/v3/lock/unlock'],
  'v3electionpb.Election/Campaign': ['/v3/election/campaign'],
  'v3electionpb.Election/Proclaim': ['/v3/election/proclaim'],
  'v3electionpb.Election/Leader': ['/v3/election/leader'],
  'v3electionpb.Election/Observe': ['/v3/election/observe'],
  'v3electionpb.Election/Resign': ['/v3/election/resign'],
  'grpc.health.v1.Health/Check': [],
  'grpc.health.v1.Health/Watch': [],
  'grpc.reflection.v1.ServerReflection/ServerReflectionInfo': [],
  'grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo': [],
  'kvorum.v1.Admin/Groups': ['/kvorum/v1/admin/groups'],
  'kvorum.v1.Sessions/Open': ['/kvorum/v1/session/open'],
  'kvorum.v1.Shard/List': ['/kvorum/v1/shard/list'],
  'kvorum.v1.Shard/Split': ['/kvorum/v1/shard/split'],
  'kvorum.v1.Shard/Move': ['/kvorum/v1/shard/move'],
  'kvorum.v1.Shard/Transfer': ['/kvorum/v1/shard/transfer'],
  'kvorum.v1.Shard/Plan': ['/kvorum/v1/shard/plan'],
  'kvorum.v1.Shard/Drain': ['/kvorum/v1/shard/drain'],
}

export const RPCS: readonly Rpc[] = (Object.keys(GATEWAY) as RpcName[]).map(rpcOf)

const byName = new Map(RPCS.map(rpc => [rpc.name, rpc]))

export function rpcNamed(name: RpcName): Rpc {
  const rpc = byName.get(name)
  assert(rpc !== undefined, () => `there is no RPC ${name}`)
  return rpc
}

function rpcOf(name: RpcName): Rpc {
  const [service, method] = name.split('/') as [string, string]
  const reflected = schema.lookupService(service).methods[method]
  assert(reflected !== undefined, () => `the schema has no ${name}`)
  return {
    name,
    service,
    method,
    path: `/${name}`,
    request: reflected.resolvedRequestType!.fullName.slice(1) as MessageName,
    response: reflected.resolvedResponseType!.fullName.slice(1) as MessageName,
    requestStream: reflected.requestStream === true,
    responseStream: reflected.responseStream === true,
    gateway: GATEWAY[name],
  }
}
