import { codec, type Init, type pb, type RpcName } from '@kvorum/protocol'

type RequestOf<Name extends RpcName> = pb.Messages[pb.Rpcs[Name]['request']]
type ResponseOf<Name extends RpcName> = pb.Messages[pb.Rpcs[Name]['response']]

/** One remote procedure as the client calls it. */
export interface Method<Request, Response> {
  readonly path: string
  readonly encode: (request: Init<Request>) => Buffer
  readonly decode: (bytes: Uint8Array) => Response
}

function method<Name extends RpcName>(
  name: Name,
  request: pb.Rpcs[Name]['request'],
  response: pb.Rpcs[Name]['response'],
): Method<RequestOf<Name>, ResponseOf<Name>> {
  const requests = codec(request)
  const responses = codec(response)
  return {
    path: `/${name}`,
    encode: message => {
      const bytes = requests.encode(message as never)
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    },
    decode: bytes => responses.decode(bytes) as ResponseOf<Name>,
  }
}

export const METHODS = {
  range: method('etcdserverpb.KV/Range', 'etcdserverpb.RangeRequest', 'etcdserverpb.RangeResponse'),
  put: method('etcdserverpb.KV/Put', 'etcdserverpb.PutRequest', 'etcdserverpb.PutResponse'),
  deleteRange: method(
    'etcdserverpb.KV/DeleteRange',
    'etcdserverpb.DeleteRangeRequest',
    'etcdserverpb.DeleteRangeResponse',
  ),
  txn: method('etcdserverpb.KV/Txn', 'etcdserverpb.TxnRequest', 'etcdserverpb.TxnResponse'),
  compact: method(
    'etcdserverpb.KV/Compact',
    'etcdserverpb.CompactionRequest',
    'etcdserverpb.CompactionResponse',
  ),
  watch: method('etcdserverpb.Watch/Watch', 'etcdserverpb.WatchRequest', 'etcdserverpb.WatchResponse'),
  leaseGrant: method(
    'etcdserverpb.Lease/LeaseGrant',
    'etcdserverpb.LeaseGrantRequest',
    'etcdserverpb.LeaseGrantResponse',
  ),
  leaseRevoke: method(
    'etcdserverpb.Lease/LeaseRevoke',
    'etcdserverpb.LeaseRevokeRequest',
    'etcdserverpb.LeaseRevokeResponse',
  ),
  leaseKeepAlive: method(
    'etcdserverpb.Lease/LeaseKeepAlive',
    'etcdserverpb.LeaseKeepAliveRequest',
    'etcdserverpb.LeaseKeepAliveResponse',
  ),
  leaseTimeToLive: method(
    'etcdserverpb.Lease/LeaseTimeToLive',
    'etcdserverpb.LeaseTimeToLiveRequest',
    'etcdserverpb.LeaseTimeToLiveResponse',
  ),
  leases: method(
    'etcdserverpb.Lease/LeaseLeases',
    'etcdserverpb.LeaseLeasesRequest',
    'etcdserverpb.LeaseLeasesResponse',
  ),
  memberList: method(
    'etcdserverpb.Cluster/MemberList',
    'etcdserverpb.MemberListRequest',
    'etcdserverpb.MemberListResponse',
  ),
  memberAdd: method(
    'etcdserverpb.Cluster/MemberAdd',
    'etcdserverpb.MemberAddRequest',
    'etcdserverpb.MemberAddResponse',
  ),
  memberRemove: method(
    'etcdserverpb.Cluster/MemberRemove',
    'etcdserverpb.MemberRemoveRequest',
    'etcdserverpb.MemberRemoveResponse',
  ),
  memberUpdate: method(
    'etcdserverpb.Cluster/MemberUpdate',
    'etcdserverpb.MemberUpdateRequest',
    'etcdserverpb.MemberUpdateResponse',
  ),
  memberPromote: method(
    'etcdserverpb.Cluster/MemberPromote',
    'etcdserverpb.MemberPromoteRequest',
    'etcdserverpb.MemberPromoteResponse',
  ),
  moveLeader: method(
    'etcdserverpb.Maintenance/MoveLeader',
    'etcdserverpb.MoveLeaderRequest',
    'etcdserverpb.MoveLeaderResponse',
  ),
  status: method(
    'etcdserverpb.Maintenance/Status',
    'etcdserverpb.StatusRequest',
    'etcdserverpb.StatusResponse',
  ),
  alarm: method('etcdserverpb.Maintenance/Alarm', 'etcdserverpb.AlarmRequest', 'etcdserverpb.AlarmResponse'),
  defragment: method(
    'etcdserverpb.Maintenance/Defragment',
    'etcdserverpb.DefragmentRequest',
    'etcdserverpb.DefragmentResponse',
  ),
  hashKv: method(
    'etcdserverpb.Maintenance/HashKV',
    'etcdserverpb.HashKVRequest',
    'etcdserverpb.HashKVResponse',
  ),
  snapshot: method(
    'etcdserverpb.Maintenance/Snapshot',
    'etcdserverpb.SnapshotRequest',
    'etcdserverpb.SnapshotResponse',
  ),
  authenticate: method(
    'etcdserverpb.Auth/Authenticate',
    'etcdserverpb.AuthenticateRequest',
    'etcdserverpb.AuthenticateResponse',
  ),
  authEnable: method(
    'etcdserverpb.Auth/AuthEnable',
    'etcdserverpb.AuthEnableRequest',
    'etcdserverpb.AuthEnableResponse',
  ),
  authDisable: method(
    'etcdserverpb.Auth/AuthDisable',
    'etcdserverpb.AuthDisableRequest',
    'etcdserverpb.AuthDisableResponse',
  ),
  authStatus: method(
    'etcdserverpb.Auth/AuthStatus',
    'etcdserverpb.AuthStatusRequest',
    'etcdserverpb.AuthStatusResponse',
  ),
  userAdd: method(
    'etcdserverpb.Auth/UserAdd',
    'etcdserverpb.AuthUserAddRequest',
    'etcdserverpb.AuthUserAddResponse',
  ),
  userGet: method(
    'etcdserverpb.Auth/UserGet',
    'etcdserverpb.AuthUserGetRequest',
    'etcdserverpb.AuthUserGetResponse',
  ),
  userList: method(
    'etcdserverpb.Auth/UserList',
    'etcdserverpb.AuthUserListRequest',
    'etcdserverpb.AuthUserListResponse',
  ),
  userDelete: method(
    'etcdserverpb.Auth/UserDelete',
    'etcdserverpb.AuthUserDeleteRequest',
    'etcdserverpb.AuthUserDeleteResponse',
  ),
  userChangePassword: method(
    'etcdserverpb.Auth/UserChangePassword',
    'etcdserverpb.AuthUserChangePasswordRequest',
    'etcdserverpb.AuthUserChangePasswordResponse',
  ),
  userGrantRole: method(
    'etcdserverpb.Auth/UserGrantRole',
    'etcdserverpb.AuthUserGrantRoleRequest',
    'etcdserverpb.AuthUserGrantRoleResponse',
  ),
  userRevokeRole: method(
    'etcdserverpb.Auth/UserRevokeRole',
    'etcdserverpb.AuthUserRevokeRoleRequest',
    'etcdserverpb.AuthUserRevokeRoleResponse',
  ),
  roleAdd: method(
    'etcdserverpb.Auth/RoleAdd',
    'etcdserverpb.AuthRoleAddRequest',
    'etcdserverpb.AuthRoleAddResponse',
  ),
  roleGet: method(
    'etcdserverpb.Auth/RoleGet',
    'etcdserverpb.AuthRoleGetRequest',
    'etcdserverpb.AuthRoleGetResponse',
  ),
  roleList: method(
    'etcdserverpb.Auth/RoleList',
    'etcdserverpb.AuthRoleListRequest',
    'etcdserverpb.AuthRoleListResponse',
  ),
  roleDelete: method(
    'etcdserverpb.Auth/RoleDelete',
    'etcdserverpb.AuthRoleDeleteRequest',
    'etcdserverpb.AuthRoleDeleteResponse',
  ),
  roleGrantPermission: method(
    'etcdserverpb.Auth/RoleGrantPermission',
    'etcdserverpb.AuthRoleGrantPermissionRequest',
    'etcdserverpb.AuthRoleGrantPermissionResponse',
  ),
  roleRevokePermission: method(
    'etcdserverpb.Auth/RoleRevokePermission',
    'etcdserverpb.AuthRoleRevokePermissionRequest',
    'etcdserverpb.AuthRoleRevokePermissionResponse',
  ),
  shardList: method('kvorum.v1.Shard/List', 'kvorum.v1.ListShardsRequest', 'kvorum.v1.ListShardsResponse'),
  shardSplit: method('kvorum.v1.Shard/Split', 'kvorum.v1.SplitShardRequest', 'kvorum.v1.SplitShardResponse'),
  shardMove: method('kvorum.v1.Shard/Move', 'kvorum.v1.MoveReplicaRequest', 'kvorum.v1.MoveReplicaResponse'),
  shardTransfer: method(
    'kvorum.v1.Shard/Transfer',
    'kvorum.v1.TransferShardRequest',
    'kvorum.v1.TransferShardResponse',
  ),
  shardPlan: method('kvorum.v1.Shard/Plan', 'kvorum.v1.PlanShardsRequest', 'kvorum.v1.PlanShardsResponse'),
  shardDrain: method('kvorum.v1.Shard/Drain', 'kvorum.v1.DrainNodeRequest', 'kvorum.v1.DrainNodeResponse'),
} as const
