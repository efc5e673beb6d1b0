// Generated from proto/ by generate.js; a test compares. Records as decoded: every field is there, with
// its default if it was not sent. A message, or a member of a oneof, that was not sent is null.

/** etcdserverpb.RangeRequest.SortOrder; open: other numbers can arrive. */
export const RangeRequestSortOrder = { NONE: 0, ASCEND: 1, DESCEND: 2 } as const

/** etcdserverpb.RangeRequest.SortTarget; open: other numbers can arrive. */
export const RangeRequestSortTarget = { KEY: 0, VERSION: 1, CREATE: 2, MOD: 3, VALUE: 4 } as const

/** etcdserverpb.Compare.CompareResult; open: other numbers can arrive. */
export const CompareCompareResult = { EQUAL: 0, GREATER: 1, LESS: 2, NOT_EQUAL: 3 } as const

/** etcdserverpb.Compare.CompareTarget; open: other numbers can arrive. */
export const CompareCompareTarget = { VERSION: 0, CREATE: 1, MOD: 2, VALUE: 3, LEASE: 4 } as const

/** etcdserverpb.AlarmType; open: other numbers can arrive. */
export const AlarmType = { NONE: 0, NOSPACE: 1, CORRUPT: 2 } as const

/** etcdserverpb.AlarmRequest.AlarmAction; open: other numbers can arrive. */
export const AlarmRequestAlarmAction = { GET: 0, ACTIVATE: 1, DEACTIVATE: 2 } as const

/** etcdserverpb.DowngradeRequest.DowngradeAction; open: other numbers can arrive. */
export const DowngradeRequestDowngradeAction = { VALIDATE: 0, ENABLE: 1, CANCEL: 2 } as const

/** etcdserverpb.WatchCreateRequest.FilterType; open: other numbers can arrive. */
export const WatchCreateRequestFilterType = { NOPUT: 0, NODELETE: 1 } as const

/** authpb.Permission.Type; open: other numbers can arrive. */
export const PermissionType = { READ: 0, WRITE: 1, READWRITE: 2 } as const

/** mvccpb.Event.EventType; open: other numbers can arrive. */
export const EventEventType = { PUT: 0, DELETE: 1 } as const

/** grpc.health.v1.HealthCheckResponse.ServingStatus; open: other numbers can arrive. */
export const HealthCheckResponseServingStatus = {
  UNKNOWN: 0,
  SERVING: 1,
  NOT_SERVING: 2,
  SERVICE_UNKNOWN: 3,
} as const

/** kvorum.v1.ShardState; open: other numbers can arrive. */
export const ShardState = { STEADY: 0, SPLITTING: 1, MOVING: 2 } as const

/** kvorum.v1.ShardStepKind; open: other numbers can arrive. */
export const ShardStepKind = { MOVE: 0, TRANSFER: 1, SPLIT: 2 } as const

/** kvorum.v1.ShardStepReason; open: other numbers can arrive. */
export const ShardStepReason = {
  UNKNOWN_REASON: 0,
  NODE_DEAD: 1,
  NODE_GONE: 2,
  NODE_DRAINING: 3,
  TOO_FEW_REPLICAS: 4,
  TOO_MANY_REPLICAS: 5,
  REPLICAS_UNEVEN: 6,
  BYTES_UNEVEN: 7,
  LEADERS_UNEVEN: 8,
  BYTES_MANY: 9,
  REQUESTS_MANY: 10,
} as const

export type AuthEnableRequest = Readonly<Record<never, never>>

export type AuthDisableRequest = Readonly<Record<never, never>>

export type AuthStatusRequest = Readonly<Record<never, never>>

export interface AuthenticateRequest {
  readonly name: string
  readonly password: string
}

export interface AuthUserAddRequest {
  readonly name: string
  readonly password: string
  readonly options: UserAddOptions | null
  readonly hashedPassword: string
}

export interface AuthUserGetRequest {
  readonly name: string
}

export interface AuthUserDeleteRequest {
  readonly name: string
}

export interface AuthUserChangePasswordRequest {
  readonly name: string
  readonly password: string
  readonly hashedPassword: string
}

export interface AuthUserGrantRoleRequest {
  readonly user: string
  readonly role: string
}

export interface AuthUserRevokeRoleRequest {
  readonly name: string
  readonly role: string
}

export interface AuthRoleAddRequest {
  readonly name: string
}

export interface AuthRoleGetRequest {
  readonly role: string
}

export type AuthUserListRequest = Readonly<Record<never, never>>

export type AuthRoleListRequest = Readonly<Record<never, never>>

export interface AuthRoleDeleteRequest {
  readonly role: string
}

export interface AuthRoleGrantPermissionRequest {
  readonly name: string
  readonly perm: Permission | null
}

export interface AuthRoleRevokePermissionRequest {
  readonly role: string
  readonly key: Uint8Array
  readonly range_end: Uint8Array
}

export interface AuthEnableResponse {
  readonly header: ResponseHeader | null
}

export interface AuthDisableResponse {
  readonly header: ResponseHeader | null
}

export interface AuthStatusResponse {
  readonly header: ResponseHeader | null
  readonly enabled: boolean
  readonly authRevision: number
}

export interface AuthenticateResponse {
  readonly header: ResponseHeader | null
  readonly token: string
}

export interface AuthUserAddResponse {
  readonly header: ResponseHeader | null
}

export interface AuthUserGetResponse {
  readonly header: ResponseHeader | null
  readonly roles: readonly string[]
}

export interface AuthUserDeleteResponse {
  readonly header: ResponseHeader | null
}

export interface AuthUserChangePasswordResponse {
  readonly header: ResponseHeader | null
}

export interface AuthUserGrantRoleResponse {
  readonly header: ResponseHeader | null
}

export interface AuthUserRevokeRoleResponse {
  readonly header: ResponseHeader | null
}

export interface AuthRoleAddResponse {
  readonly header: ResponseHeader | null
}

export interface AuthRoleGetResponse {
  readonly header: ResponseHeader | null
  readonly perm: readonly Permission[]
}

export interface AuthRoleListResponse {
  readonly header: ResponseHeader | null
  readonly roles: readonly string[]
}

export interface AuthUserListResponse {
  readonly header: ResponseHeader | null
  readonly users: readonly string[]
}

export interface AuthRoleDeleteResponse {
  readonly header: ResponseHeader | null
}

export interface AuthRoleGrantPermissionResponse {
  readonly header: ResponseHeader | null
}

export interface AuthRoleRevokePermissionResponse {
  readonly header: ResponseHeader | null
}

export interface Member {
  readonly ID: bigint
  readonly name: string
  readonly peerURLs: readonly string[]
  readonly clientURLs: readonly string[]
  readonly isLearner: boolean
}

export interface MemberAddRequest {
  readonly peerURLs: readonly string[]
  readonly isLearner: boolean
}

export interface MemberAddResponse {
  readonly header: ResponseHeader | null
  readonly member: Member | null
  readonly members: readonly Member[]
}

export interface MemberRemoveRequest {
  readonly ID: bigint
}

export interface MemberRemoveResponse {
  readonly header: ResponseHeader | null
  readonly members: readonly Member[]
}

export interface MemberUpdateRequest {
  readonly ID: bigint
  readonly peerURLs: readonly string[]
}

export interface MemberUpdateResponse {
  readonly header: ResponseHeader | null
  readonly members: readonly Member[]
}

export interface MemberListRequest {
  readonly linearizable: boolean
}

export interface MemberListResponse {
  readonly header: ResponseHeader | null
  readonly members: readonly Member[]
}

export interface MemberPromoteRequest {
  readonly ID: bigint
}

export interface MemberPromoteResponse {
  readonly header: ResponseHeader | null
  readonly members: readonly Member[]
}

export interface ResponseHeader {
  readonly cluster_id: bigint
  readonly member_id: bigint
  readonly revision: number
  readonly raft_term: number
}

export interface RangeRequest {
  readonly key: Uint8Array
  readonly range_end: Uint8Array
  readonly limit: number
  readonly revision: number
  readonly sort_order: number
  readonly sort_target: number
  readonly serializable: boolean
  readonly keys_only: boolean
  readonly count_only: boolean
  readonly min_mod_revision: number
  readonly max_mod_revision: number
  readonly min_create_revision: number
  readonly max_create_revision: number
}

export interface RangeResponse {
  readonly header: ResponseHeader | null
  readonly kvs: readonly KeyValue[]
  readonly more: boolean
  readonly count: number
}

export interface RangeStreamResponse {
  readonly range_response: RangeResponse | null
}

export interface PutRequest {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly lease: bigint
  readonly prev_kv: boolean
  readonly ignore_value: boolean
  readonly ignore_lease: boolean
}

export interface PutResponse {
  readonly header: ResponseHeader | null
  readonly prev_kv: KeyValue | null
}

export interface DeleteRangeRequest {
  readonly key: Uint8Array
  readonly range_end: Uint8Array
  readonly prev_kv: boolean
}

export interface DeleteRangeResponse {
  readonly header: ResponseHeader | null
  readonly deleted: number
  readonly prev_kvs: readonly KeyValue[]
}

export interface RequestOp {
  readonly request_range: RangeRequest | null
  readonly request_put: PutRequest | null
  readonly request_delete_range: DeleteRangeRequest | null
  readonly request_txn: TxnRequest | null
}

export interface ResponseOp {
  readonly response_range: RangeResponse | null
  readonly response_put: PutResponse | null
  readonly response_delete_range: DeleteRangeResponse | null
  readonly response_txn: TxnResponse | null
}

export interface Compare {
  readonly result: number
  readonly target: number
  readonly key: Uint8Array
  readonly range_end: Uint8Array
  readonly version: number | null
  readonly create_revision: number | null
  readonly mod_revision: number | null
  readonly value: Uint8Array | null
  readonly lease: bigint | null
}

export interface TxnRequest {
  readonly compare: readonly Compare[]
  readonly success: readonly RequestOp[]
  readonly failure: readonly RequestOp[]
}

export interface TxnResponse {
  readonly header: ResponseHeader | null
  readonly succeeded: boolean
  readonly responses: readonly ResponseOp[]
}

export interface CompactionRequest {
  readonly revision: number
  readonly physical: boolean
}

export interface CompactionResponse {
  readonly header: ResponseHeader | null
}

export interface LeaseGrantRequest {
  readonly TTL: number
  readonly ID: bigint
}

export interface LeaseGrantResponse {
  readonly header: ResponseHeader | null
  readonly ID: bigint
  readonly TTL: number
  readonly error: string
}

export interface LeaseRevokeRequest {
  readonly ID: bigint
}

export interface LeaseRevokeResponse {
  readonly header: ResponseHeader | null
}

export interface LeaseCheckpoint {
  readonly ID: bigint
  readonly remaining_TTL: number
}

export interface LeaseCheckpointRequest {
  readonly checkpoints: readonly LeaseCheckpoint[]
}

export interface LeaseCheckpointResponse {
  readonly header: ResponseHeader | null
}

export interface LeaseKeepAliveRequest {
  readonly ID: bigint
}

export interface LeaseKeepAliveResponse {
  readonly header: ResponseHeader | null
  readonly ID: bigint
  readonly TTL: number
}

export interface LeaseTimeToLiveRequest {
  readonly ID: bigint
  readonly keys: boolean
}

export interface LeaseTimeToLiveResponse {
  readonly header: ResponseHeader | null
  readonly ID: bigint
  readonly TTL: number
  readonly grantedTTL: number
  readonly keys: readonly Uint8Array[]
}

export type LeaseLeasesRequest = Readonly<Record<never, never>>

export interface LeaseStatus {
  readonly ID: bigint
}

export interface LeaseLeasesResponse {
  readonly header: ResponseHeader | null
  readonly leases: readonly LeaseStatus[]
}

export type HashRequest = Readonly<Record<never, never>>

export interface HashKVRequest {
  readonly revision: number
}

export interface HashKVResponse {
  readonly header: ResponseHeader | null
  readonly hash: number
  readonly compact_revision: number
  readonly hash_revision: number
}

export interface HashResponse {
  readonly header: ResponseHeader | null
  readonly hash: number
}

export type SnapshotRequest = Readonly<Record<never, never>>

export interface SnapshotResponse {
  readonly header: ResponseHeader | null
  readonly remaining_bytes: number
  readonly blob: Uint8Array
  readonly version: string
}

export type DefragmentRequest = Readonly<Record<never, never>>

export interface DefragmentResponse {
  readonly header: ResponseHeader | null
}

export interface MoveLeaderRequest {
  readonly targetID: bigint
}

export interface MoveLeaderResponse {
  readonly header: ResponseHeader | null
}

export interface AlarmRequest {
  readonly action: number
  readonly memberID: bigint
  readonly alarm: number
}

export interface AlarmMember {
  readonly memberID: bigint
  readonly alarm: number
}

export interface AlarmResponse {
  readonly header: ResponseHeader | null
  readonly alarms: readonly AlarmMember[]
}

export interface DowngradeRequest {
  readonly action: number
  readonly version: string
}

export interface DowngradeResponse {
  readonly header: ResponseHeader | null
  readonly version: string
}

export interface DowngradeVersionTestRequest {
  readonly ver: string
}

export type StatusRequest = Readonly<Record<never, never>>

export interface StatusResponse {
  readonly header: ResponseHeader | null
  readonly version: string
  readonly dbSize: number
  readonly leader: bigint
  readonly raftIndex: number
  readonly raftTerm: number
  readonly raftAppliedIndex: number
  readonly errors: readonly string[]
  readonly dbSizeInUse: number
  readonly isLearner: boolean
  readonly storageVersion: string
  readonly dbSizeQuota: number
  readonly downgradeInfo: DowngradeInfo | null
}

export interface DowngradeInfo {
  readonly enabled: boolean
  readonly targetVersion: string
}

export interface WatchRequest {
  readonly create_request: WatchCreateRequest | null
  readonly cancel_request: WatchCancelRequest | null
  readonly progress_request: WatchProgressRequest | null
}

export interface WatchCreateRequest {
  readonly key: Uint8Array
  readonly range_end: Uint8Array
  readonly start_revision: number
  readonly progress_notify: boolean
  readonly filters: readonly number[]
  readonly prev_kv: boolean
  readonly watch_id: bigint
  readonly fragment: boolean
}

export interface WatchCancelRequest {
  readonly watch_id: bigint
}

export type WatchProgressRequest = Readonly<Record<never, never>>

export interface WatchResponse {
  readonly header: ResponseHeader | null
  readonly watch_id: bigint
  readonly created: boolean
  readonly canceled: boolean
  readonly compact_revision: number
  readonly cancel_reason: string
  readonly fragment: boolean
  readonly events: readonly Event[]
}

export interface UserAddOptions {
  readonly no_password: boolean
}

export interface User {
  readonly name: Uint8Array
  readonly password: Uint8Array
  readonly roles: readonly string[]
  readonly options: UserAddOptions | null
}

export interface Permission {
  readonly permType: number
  readonly key: Uint8Array
  readonly range_end: Uint8Array
}

export interface Role {
  readonly name: Uint8Array
  readonly keyPermission: readonly Permission[]
}

export interface Lease {
  readonly ID: bigint
  readonly TTL: number
  readonly RemainingTTL: number
}

export interface KeyValue {
  readonly key: Uint8Array
  readonly create_revision: number
  readonly mod_revision: number
  readonly version: number
  readonly value: Uint8Array
  readonly lease: bigint
}

export interface Event {
  readonly type: number
  readonly kv: KeyValue | null
  readonly prev_kv: KeyValue | null
}

export interface CampaignRequest {
  readonly name: Uint8Array
  readonly lease: bigint
  readonly value: Uint8Array
}

export interface CampaignResponse {
  readonly header: ResponseHeader | null
  readonly leader: LeaderKey | null
}

export interface LeaderKey {
  readonly name: Uint8Array
  readonly key: Uint8Array
  readonly rev: number
  readonly lease: bigint
}

export interface LeaderRequest {
  readonly name: Uint8Array
}

export interface LeaderResponse {
  readonly header: ResponseHeader | null
  readonly kv: KeyValue | null
}

export interface ResignRequest {
  readonly leader: LeaderKey | null
}

export interface ResignResponse {
  readonly header: ResponseHeader | null
}

export interface ProclaimRequest {
  readonly leader: LeaderKey | null
  readonly value: Uint8Array
}

export interface ProclaimResponse {
  readonly header: ResponseHeader | null
}

export interface LockRequest {
  readonly name: Uint8Array
  readonly lease: bigint
}

export interface LockResponse {
  readonly header: ResponseHeader | null
  readonly key: Uint8Array
}

export interface UnlockRequest {
  readonly key: Uint8Array
}

export interface UnlockResponse {
  readonly header: ResponseHeader | null
}

export interface HealthCheckRequest {
  readonly service: string
}

export interface HealthCheckResponse {
  readonly status: number
}

export interface ServerReflectionRequest {
  readonly host: string
  readonly file_by_filename: string | null
  readonly file_containing_symbol: string | null
  readonly file_containing_extension: ExtensionRequest | null
  readonly all_extension_numbers_of_type: string | null
  readonly list_services: string | null
}

export interface ExtensionRequest {
  readonly containing_type: string
  readonly extension_number: number
}

export interface ServerReflectionResponse {
  readonly valid_host: string
  readonly original_request: ServerReflectionRequest | null
  readonly file_descriptor_response: FileDescriptorResponse | null
  readonly all_extension_numbers_response: ExtensionNumberResponse | null
  readonly list_services_response: ListServiceResponse | null
  readonly error_response: ErrorResponse | null
}

export interface FileDescriptorResponse {
  readonly file_descriptor_proto: readonly Uint8Array[]
}

export interface ExtensionNumberResponse {
  readonly base_type_name: string
  readonly extension_number: readonly number[]
}

export interface ListServiceResponse {
  readonly service: readonly ServiceResponse[]
}

export interface ServiceResponse {
  readonly name: string
}

export interface ErrorResponse {
  readonly error_code: number
  readonly error_message: string
}

export type GroupsRequest = Readonly<Record<never, never>>

export interface GroupsResponse {
  readonly header: ResponseHeader | null
  readonly groups: readonly GroupStatus[]
}

export interface GroupStatus {
  readonly group: number
  readonly term: number
  readonly leader_id: bigint
  readonly committed: number
  readonly applied: number
  readonly last_index: number
  readonly purged: number
  readonly revision: number
  readonly compact_revision: number
  readonly is_leader: boolean
  readonly is_learner: boolean
  readonly quarantined: boolean
  readonly logical_bytes: number
}

export interface OpenSessionRequest {
  readonly lease: bigint
}

export interface OpenSessionResponse {
  readonly header: ResponseHeader | null
  readonly session: bigint
}

export interface ListShardsRequest {
  readonly serializable: boolean
}

export interface ListShardsResponse {
  readonly header: ResponseHeader | null
  readonly map_version: number
  readonly replicas: number
  readonly shards: readonly ShardDescription[]
  readonly nodes: readonly ShardNode[]
}

export interface ShardDescription {
  readonly shard: number
  readonly start: Uint8Array
  readonly end: Uint8Array
  readonly epoch: number
  readonly leader_id: bigint
  readonly replica_ids: readonly bigint[]
  readonly logical_bytes: number
  readonly state: number
  readonly split_at: Uint8Array
  readonly split_right: number
}

export interface ShardNode {
  readonly node_id: bigint
  readonly name: string
  readonly is_learner: boolean
  readonly connected: boolean
  readonly draining: boolean
  readonly shards: number
  readonly leads: number
}

export interface SplitShardRequest {
  readonly at: Uint8Array
  readonly shard: number
}

export interface SplitShardResponse {
  readonly header: ResponseHeader | null
  readonly right: number
}

export interface MoveReplicaRequest {
  readonly shard: number
  readonly from_id: bigint
  readonly to_id: bigint
}

export interface MoveReplicaResponse {
  readonly header: ResponseHeader | null
}

export interface TransferShardRequest {
  readonly shard: number
  readonly to_id: bigint
}

export interface TransferShardResponse {
  readonly header: ResponseHeader | null
}

export type PlanShardsRequest = Readonly<Record<never, never>>

export interface PlanShardsResponse {
  readonly header: ResponseHeader | null
  readonly replicas: number
  readonly automatic: boolean
  readonly steps: readonly ShardStep[]
}

export interface ShardStep {
  readonly kind: number
  readonly shard: number
  readonly from_id: bigint
  readonly to_id: bigint
  readonly reason: number
  readonly split_at: Uint8Array
}

export interface DrainNodeRequest {
  readonly node_id: bigint
  readonly undo: boolean
}

export interface DrainNodeResponse {
  readonly header: ResponseHeader | null
}

export interface Messages {
  'etcdserverpb.AuthEnableRequest': AuthEnableRequest
  'etcdserverpb.AuthDisableRequest': AuthDisableRequest
  'etcdserverpb.AuthStatusRequest': AuthStatusRequest
  'etcdserverpb.AuthenticateRequest': AuthenticateRequest
  'etcdserverpb.AuthUserAddRequest': AuthUserAddRequest
  'etcdserverpb.AuthUserGetRequest': AuthUserGetRequest
  'etcdserverpb.AuthUserDeleteRequest': AuthUserDeleteRequest
  'etcdserverpb.AuthUserChangePasswordRequest': AuthUserChangePasswordRequest
  'etcdserverpb.AuthUserGrantRoleRequest': AuthUserGrantRoleRequest
  'etcdserverpb.AuthUserRevokeRoleRequest': AuthUserRevokeRoleRequest
  'etcdserverpb.AuthRoleAddRequest': AuthRoleAddRequest
  'etcdserverpb.AuthRoleGetRequest': AuthRoleGetRequest
  'etcdserverpb.AuthUserListRequest': AuthUserListRequest
  'etcdserverpb.AuthRoleListRequest': AuthRoleListRequest
  'etcdserverpb.AuthRoleDeleteRequest': AuthRoleDeleteRequest
  'etcdserverpb.AuthRoleGrantPermissionRequest': AuthRoleGrantPermissionRequest
  'etcdserverpb.AuthRoleRevokePermissionRequest': AuthRoleRevokePermissionRequest
  'etcdserverpb.AuthEnableResponse': AuthEnableResponse
  'etcdserverpb.AuthDisableResponse': AuthDisableResponse
  'etcdserverpb.AuthStatusResponse': AuthStatusResponse
  'etcdserverpb.AuthenticateResponse': AuthenticateResponse
  'etcdserverpb.AuthUserAddResponse': AuthUserAddResponse
  'etcdserverpb.AuthUserGetResponse': AuthUserGetResponse
  'etcdserverpb.AuthUserDeleteResponse': AuthUserDeleteResponse
  'etcdserverpb.AuthUserChangePasswordResponse': AuthUserChangePasswordResponse
  'etcdserverpb.AuthUserGrantRoleResponse': AuthUserGrantRoleResponse
  'etcdserverpb.AuthUserRevokeRoleResponse': AuthUserRevokeRoleResponse
  'etcdserverpb.AuthRoleAddResponse': AuthRoleAddResponse
  'etcdserverpb.AuthRoleGetResponse': AuthRoleGetResponse
  'etcdserverpb.AuthRoleListResponse': AuthRoleListResponse
  'etcdserverpb.AuthUserListResponse': AuthUserListResponse
  'etcdserverpb.AuthRoleDeleteResponse': AuthRoleDeleteResponse
  'etcdserverpb.AuthRoleGrantPermissionResponse': AuthRoleGrantPermissionResponse
  'etcdserverpb.AuthRoleRevokePermissionResponse': AuthRoleRevokePermissionResponse
  'etcdserverpb.Member': Member
  'etcdserverpb.MemberAddRequest': MemberAddRequest
  'etcdserverpb.MemberAddResponse': MemberAddResponse
  'etcdserverpb.MemberRemoveRequest': MemberRemoveRequest
  'etcdserverpb.MemberRemoveResponse': MemberRemoveResponse
  'etcdserverpb.MemberUpdateRequest': MemberUpdateRequest
  'etcdserverpb.MemberUpdateResponse': MemberUpdateResponse
  'etcdserverpb.MemberListRequest': MemberListRequest
  'etcdserverpb.MemberListResponse': MemberListResponse
  'etcdserverpb.MemberPromoteRequest': MemberPromoteRequest
  'etcdserverpb.MemberPromoteResponse': MemberPromoteResponse
  'etcdserverpb.ResponseHeader': ResponseHeader
  'etcdserverpb.RangeRequest': RangeRequest
  'etcdserverpb.RangeResponse': RangeResponse
  'etcdserverpb.RangeStreamResponse': RangeStreamResponse
  'etcdserverpb.PutRequest': PutRequest
  'etcdserverpb.PutResponse': PutResponse
  'etcdserverpb.DeleteRangeRequest': DeleteRangeRequest
  'etcdserverpb.DeleteRangeResponse': DeleteRangeResponse
  'etcdserverpb.RequestOp': RequestOp
  'etcdserverpb.ResponseOp': ResponseOp
  'etcdserverpb.Compare': Compare
  'etcdserverpb.TxnRequest': TxnRequest
  'etcdserverpb.TxnResponse': TxnResponse
  'etcdserverpb.CompactionRequest': CompactionRequest
  'etcdserverpb.CompactionResponse': CompactionResponse
  'etcdserverpb.LeaseGrantRequest': LeaseGrantRequest
  'etcdserverpb.LeaseGrantResponse': LeaseGrantResponse
  'etcdserverpb.LeaseRevokeRequest': LeaseRevokeRequest
  'etcdserverpb.LeaseRevokeResponse': LeaseRevokeResponse
  'etcdserverpb.LeaseCheckpoint': LeaseCheckpoint
  'etcdserverpb.LeaseCheckpointRequest': LeaseCheckpointRequest
  'etcdserverpb.LeaseCheckpointResponse': LeaseCheckpointResponse
  'etcdserverpb.LeaseKeepAliveRequest': LeaseKeepAliveRequest
  'etcdserverpb.LeaseKeepAliveResponse': LeaseKeepAliveResponse
  'etcdserverpb.LeaseTimeToLiveRequest': LeaseTimeToLiveRequest
  'etcdserverpb.LeaseTimeToLiveResponse': LeaseTimeToLiveResponse
  'etcdserverpb.LeaseLeasesRequest': LeaseLeasesRequest
  'etcdserverpb.LeaseStatus': LeaseStatus
  'etcdserverpb.LeaseLeasesResponse': LeaseLeasesResponse
  'etcdserverpb.HashRequest': HashRequest
  'etcdserverpb.HashKVRequest': HashKVRequest
  'etcdserverpb.HashKVResponse': HashKVResponse
  'etcdserverpb.HashResponse': HashResponse
  'etcdserverpb.SnapshotRequest': SnapshotRequest
  'etcdserverpb.SnapshotResponse': SnapshotResponse
  'etcdserverpb.DefragmentRequest': DefragmentRequest
  'etcdserverpb.DefragmentResponse': DefragmentResponse
  'etcdserverpb.MoveLeaderRequest': MoveLeaderRequest
  'etcdserverpb.MoveLeaderResponse': MoveLeaderResponse
  'etcdserverpb.AlarmRequest': AlarmRequest
  'etcdserverpb.AlarmMember': AlarmMember
  'etcdserverpb.AlarmResponse': AlarmResponse
  'etcdserverpb.DowngradeRequest': DowngradeRequest
  'etcdserverpb.DowngradeResponse': DowngradeResponse
  'etcdserverpb.DowngradeVersionTestRequest': DowngradeVersionTestRequest
  'etcdserverpb.StatusRequest': StatusRequest
  'etcdserverpb.StatusResponse': StatusResponse
  'etcdserverpb.DowngradeInfo': DowngradeInfo
  'etcdserverpb.WatchRequest': WatchRequest
  'etcdserverpb.WatchCreateRequest': WatchCreateRequest
  'etcdserverpb.WatchCancelRequest': WatchCancelRequest
  'etcdserverpb.WatchProgressRequest': WatchProgressRequest
  'etcdserverpb.WatchResponse': WatchResponse
  'authpb.UserAddOptions': UserAddOptions
  'authpb.User': User
  'authpb.Permission': Permission
  'authpb.Role': Role
  'leasepb.Lease': Lease
  'mvccpb.KeyValue': KeyValue
  'mvccpb.Event': Event
  'v3electionpb.CampaignRequest': CampaignRequest
  'v3electionpb.CampaignResponse': CampaignResponse
  'v3electionpb.LeaderKey': LeaderKey
  'v3electionpb.LeaderRequest': LeaderRequest
  'v3electionpb.LeaderResponse': LeaderResponse
  'v3electionpb.ResignRequest': ResignRequest
  'v3electionpb.ResignResponse': ResignResponse
  'v3electionpb.ProclaimRequest': ProclaimRequest
  'v3electionpb.ProclaimResponse': ProclaimResponse
  'v3lockpb.LockRequest': LockRequest
  'v3lockpb.LockResponse': LockResponse
  'v3lockpb.UnlockRequest': UnlockRequest
  'v3lockpb.UnlockResponse': UnlockResponse
  'grpc.health.v1.HealthCheckRequest': HealthCheckRequest
  'grpc.health.v1.HealthCheckResponse': HealthCheckResponse
  'grpc.reflection.v1.ServerReflectionRequest': ServerReflectionRequest
  'grpc.reflection.v1.ExtensionRequest': ExtensionRequest
  'grpc.reflection.v1.ServerReflectionResponse': ServerReflectionResponse
  'grpc.reflection.v1.FileDescriptorResponse': FileDescriptorResponse
  'grpc.reflection.v1.ExtensionNumberResponse': ExtensionNumberResponse
  'grpc.reflection.v1.ListServiceResponse': ListServiceResponse
  'grpc.reflection.v1.ServiceResponse': ServiceResponse
  'grpc.reflection.v1.ErrorResponse': ErrorResponse
  'grpc.reflection.v1alpha.ServerReflectionRequest': ServerReflectionRequest
  'grpc.reflection.v1alpha.ExtensionRequest': ExtensionRequest
  'grpc.reflection.v1alpha.ServerReflectionResponse': ServerReflectionResponse
  'grpc.reflection.v1alpha.FileDescriptorResponse': FileDescriptorResponse
  'grpc.reflection.v1alpha.ExtensionNumberResponse': ExtensionNumberResponse
  'grpc.reflection.v1alpha.ListServiceResponse': ListServiceResponse
  'grpc.reflection.v1alpha.ServiceResponse': ServiceResponse
  'grpc.reflection.v1alpha.ErrorResponse': ErrorResponse
  'kvorum.v1.GroupsRequest': GroupsRequest
  'kvorum.v1.GroupsResponse': GroupsResponse
  'kvorum.v1.GroupStatus': GroupStatus
  'kvorum.v1.OpenSessionRequest': OpenSessionRequest
  'kvorum.v1.OpenSessionResponse': OpenSessionResponse
  'kvorum.v1.ListShardsRequest': ListShardsRequest
  'kvorum.v1.ListShardsResponse': ListShardsResponse
  'kvorum.v1.ShardDescription': ShardDescription
  'kvorum.v1.ShardNode': ShardNode
  'kvorum.v1.SplitShardRequest': SplitShardRequest
  'kvorum.v1.SplitShardResponse': SplitShardResponse
  'kvorum.v1.MoveReplicaRequest': MoveReplicaRequest
  'kvorum.v1.MoveReplicaResponse': MoveReplicaResponse
  'kvorum.v1.TransferShardRequest': TransferShardRequest
  'kvorum.v1.TransferShardResponse': TransferShardResponse
  'kvorum.v1.PlanShardsRequest': PlanShardsRequest
  'kvorum.v1.PlanShardsResponse': PlanShardsResponse
  'kvorum.v1.ShardStep': ShardStep
  'kvorum.v1.DrainNodeRequest': DrainNodeRequest
  'kvorum.v1.DrainNodeResponse': DrainNodeResponse
}

export interface Rpcs {
  'etcdserverpb.Auth/AuthEnable': {
    request: 'etcdserverpb.AuthEnableRequest'
    response: 'etcdserverpb.AuthEnableResponse'
  }
  'etcdserverpb.Auth/AuthDisable': {
    request: 'etcdserverpb.AuthDisableRequest'
    response: 'etcdserverpb.AuthDisableResponse'
  }
  'etcdserverpb.Auth/AuthStatus': {
    request: 'etcdserverpb.AuthStatusRequest'
    response: 'etcdserverpb.AuthStatusResponse'
  }
  'etcdserverpb.Auth/Authenticate': {
    request: 'etcdserverpb.AuthenticateRequest'
    response: 'etcdserverpb.AuthenticateResponse'
  }
  'etcdserverpb.Auth/UserAdd': {
    request: 'etcdserverpb.AuthUserAddRequest'
    response: 'etcdserverpb.AuthUserAddResponse'
  }
  'etcdserverpb.Auth/UserGet': {
    request: 'etcdserverpb.AuthUserGetRequest'
    response: 'etcdserverpb.AuthUserGetResponse'
  }
  'etcdserverpb.Auth/UserList': {
    request: 'etcdserverpb.AuthUserListRequest'
    response: 'etcdserverpb.AuthUserListResponse'
  }
  'etcdserverpb.Auth/UserDelete': {
    request: 'etcdserverpb.AuthUserDeleteRequest'
    response: 'etcdserverpb.AuthUserDeleteResponse'
  }
  'etcdserverpb.Auth/UserChangePassword': {
    request: 'etcdserverpb.AuthUserChangePasswordRequest'
    response: 'etcdserverpb.AuthUserChangePasswordResponse'
  }
  'etcdserverpb.Auth/UserGrantRole': {
    request: 'etcdserverpb.AuthUserGrantRoleRequest'
    response: 'etcdserverpb.AuthUserGrantRoleResponse'
  }
  'etcdserverpb.Auth/UserRevokeRole': {
    request: 'etcdserverpb.AuthUserRevokeRoleRequest'
    response: 'etcdserverpb.AuthUserRevokeRoleResponse'
  }
  'etcdserverpb.Auth/RoleAdd': {
    request: 'etcdserverpb.AuthRoleAddRequest'
    response: 'etcdserverpb.AuthRoleAddResponse'
  }
  'etcdserverpb.Auth/RoleGet': {
    request: 'etcdserverpb.AuthRoleGetRequest'
    response: 'etcdserverpb.AuthRoleGetResponse'
  }
  'etcdserverpb.Auth/RoleList': {
    request: 'etcdserverpb.AuthRoleListRequest'
    response: 'etcdserverpb.AuthRoleListResponse'
  }
  'etcdserverpb.Auth/RoleDelete': {
    request: 'etcdserverpb.AuthRoleDeleteRequest'
    response: 'etcdserverpb.AuthRoleDeleteResponse'
  }
  'etcdserverpb.Auth/RoleGrantPermission': {
    request: 'etcdserverpb.AuthRoleGrantPermissionRequest'
    response: 'etcdserverpb.AuthRoleGrantPermissionResponse'
  }
  'etcdserverpb.Auth/RoleRevokePermission': {
    request: 'etcdserverpb.AuthRoleRevokePermissionRequest'
    response: 'etcdserverpb.AuthRoleRevokePermissionResponse'
  }
  'etcdserverpb.Cluster/MemberAdd': {
    request: 'etcdserverpb.MemberAddRequest'
    response: 'etcdserverpb.MemberAddResponse'
  }
  'etcdserverpb.Cluster/MemberRemove': {
    request: 'etcdserverpb.MemberRemoveRequest'
    response: 'etcdserverpb.MemberRemoveResponse'
  }
  'etcdserverpb.Cluster/MemberUpdate': {
    request: 'etcdserverpb.MemberUpdateRequest'
    response: 'etcdserverpb.MemberUpdateResponse'
  }
  'etcdserverpb.Cluster/MemberList': {
    request: 'etcdserverpb.MemberListRequest'
    response: 'etcdserverpb.MemberListResponse'
  }
  'etcdserverpb.Cluster/MemberPromote': {
    request: 'etcdserverpb.MemberPromoteRequest'
    response: 'etcdserverpb.MemberPromoteResponse'
  }
  'etcdserverpb.KV/Range': { request: 'etcdserverpb.RangeRequest'; response: 'etcdserverpb.RangeResponse' }
  'etcdserverpb.KV/RangeStream': {
    request: 'etcdserverpb.RangeRequest'
    response: 'etcdserverpb.RangeStreamResponse'
  }
  'etcdserverpb.KV/Put': { request: 'etcdserverpb.PutRequest'; response: 'etcdserverpb.PutResponse' }
  'etcdserverpb.KV/DeleteRange': {
    request: 'etcdserverpb.DeleteRangeRequest'
    response: 'etcdserverpb.DeleteRangeResponse'
  }
  'etcdserverpb.KV/Txn': { request: 'etcdserverpb.TxnRequest'; response: 'etcdserverpb.TxnResponse' }
  'etcdserverpb.KV/Compact': {
    request: 'etcdserverpb.CompactionRequest'
    response: 'etcdserverpb.CompactionResponse'
  }
  'etcdserverpb.Lease/LeaseGrant': {
    request: 'etcdserverpb.LeaseGrantRequest'
    response: 'etcdserverpb.LeaseGrantResponse'
  }
  'etcdserverpb.Lease/LeaseRevoke': {
    request: 'etcdserverpb.LeaseRevokeRequest'
    response: 'etcdserverpb.LeaseRevokeResponse'
  }
  'etcdserverpb.Lease/LeaseKeepAlive': {
    request: 'etcdserverpb.LeaseKeepAliveRequest'
    response: 'etcdserverpb.LeaseKeepAliveResponse'
  }
  'etcdserverpb.Lease/LeaseTimeToLive': {
    request: 'etcdserverpb.LeaseTimeToLiveRequest'
    response: 'etcdserverpb.LeaseTimeToLiveResponse'
  }
  'etcdserverpb.Lease/LeaseLeases': {
    request: 'etcdserverpb.LeaseLeasesRequest'
    response: 'etcdserverpb.LeaseLeasesResponse'
  }
  'etcdserverpb.Maintenance/Alarm': {
    request: 'etcdserverpb.AlarmRequest'
    response: 'etcdserverpb.AlarmResponse'
  }
  'etcdserverpb.Maintenance/Status': {
    request: 'etcdserverpb.StatusRequest'
    response: 'etcdserverpb.StatusResponse'
  }
  'etcdserverpb.Maintenance/Defragment': {
    request: 'etcdserverpb.DefragmentRequest'
    response: 'etcdserverpb.DefragmentResponse'
  }
  'etcdserverpb.Maintenance/Hash': {
    request: 'etcdserverpb.HashRequest'
    response: 'etcdserverpb.HashResponse'
  }
  'etcdserverpb.Maintenance/HashKV': {
    request: 'etcdserverpb.HashKVRequest'
    response: 'etcdserverpb.HashKVResponse'
  }
  'etcdserverpb.Maintenance/Snapshot': {
    request: 'etcdserverpb.SnapshotRequest'
    response: 'etcdserverpb.SnapshotResponse'
  }
  'etcdserverpb.Maintenance/MoveLeader': {
    request: 'etcdserverpb.MoveLeaderRequest'
    response: 'etcdserverpb.MoveLeaderResponse'
  }
  'etcdserverpb.Maintenance/Downgrade': {
    request: 'etcdserverpb.DowngradeRequest'
    response: 'etcdserverpb.DowngradeResponse'
  }
  'etcdserverpb.Watch/Watch': { request: 'etcdserverpb.WatchRequest'; response: 'etcdserverpb.WatchResponse' }
  'v3electionpb.Election/Campaign': {
    request: 'v3electionpb.CampaignRequest'
    response: 'v3electionpb.CampaignResponse'
  }
  'v3electionpb.Election/Proclaim': {
    request: 'v3electionpb.ProclaimRequest'
    response: 'v3electionpb.ProclaimResponse'
  }
  'v3electionpb.Election/Leader': {
    request: 'v3electionpb.LeaderRequest'
    response: 'v3electionpb.LeaderResponse'
  }
  'v3electionpb.Election/Observe': {
    request: 'v3electionpb.LeaderRequest'
    response: 'v3electionpb.LeaderResponse'
  }
  'v3electionpb.Election/Resign': {
    request: 'v3electionpb.ResignRequest'
    response: 'v3electionpb.ResignResponse'
  }
  'v3lockpb.Lock/Lock': { request: 'v3lockpb.LockRequest'; response: 'v3lockpb.LockResponse' }
  'v3lockpb.Lock/Unlock': { request: 'v3lockpb.UnlockRequest'; response: 'v3lockpb.UnlockResponse' }
  'grpc.health.v1.Health/Check': {
    request: 'grpc.health.v1.HealthCheckRequest'
    response: 'grpc.health.v1.HealthCheckResponse'
  }
  'grpc.health.v1.Health/Watch': {
    request: 'grpc.health.v1.HealthCheckRequest'
    response: 'grpc.health.v1.HealthCheckResponse'
  }
  'grpc.reflection.v1.ServerReflection/ServerReflectionInfo': {
    request: 'grpc.reflection.v1.ServerReflectionRequest'
    response: 'grpc.reflection.v1.ServerReflectionResponse'
  }
  'grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo': {
    request: 'grpc.reflection.v1alpha.ServerReflectionRequest'
    response: 'grpc.reflection.v1alpha.ServerReflectionResponse'
  }
  'kvorum.v1.Admin/Groups': { request: 'kvorum.v1.GroupsRequest'; response: 'kvorum.v1.GroupsResponse' }
  'kvorum.v1.Sessions/Open': {
    request: 'kvorum.v1.OpenSessionRequest'
    response: 'kvorum.v1.OpenSessionResponse'
  }
  'kvorum.v1.Shard/List': { request: 'kvorum.v1.ListShardsRequest'; response: 'kvorum.v1.ListShardsResponse' }
  'kvorum.v1.Shard/Split': {
    request: 'kvorum.v1.SplitShardRequest'
    response: 'kvorum.v1.SplitShardResponse'
  }
  'kvorum.v1.Shard/Move': {
    request: 'kvorum.v1.MoveReplicaRequest'
    response: 'kvorum.v1.MoveReplicaResponse'
  }
  'kvorum.v1.Shard/Transfer': {
    request: 'kvorum.v1.TransferShardRequest'
    response: 'kvorum.v1.TransferShardResponse'
  }
  'kvorum.v1.Shard/Plan': { request: 'kvorum.v1.PlanShardsRequest'; response: 'kvorum.v1.PlanShardsResponse' }
  'kvorum.v1.Shard/Drain': { request: 'kvorum.v1.DrainNodeRequest'; response: 'kvorum.v1.DrainNodeResponse' }
}

/** 64-bit fields that are identities and so bigints; all others are counts and so numbers. */
export const ID_FIELDS: ReadonlySet<string> = new Set([
  'etcdserverpb.Member.ID',
  'etcdserverpb.MemberRemoveRequest.ID',
  'etcdserverpb.MemberUpdateRequest.ID',
  'etcdserverpb.MemberPromoteRequest.ID',
  'etcdserverpb.ResponseHeader.cluster_id',
  'etcdserverpb.ResponseHeader.member_id',
  'etcdserverpb.PutRequest.lease',
  'etcdserverpb.Compare.lease',
  'etcdserverpb.LeaseGrantRequest.ID',
  'etcdserverpb.LeaseGrantResponse.ID',
  'etcdserverpb.LeaseRevokeRequest.ID',
  'etcdserverpb.LeaseCheckpoint.ID',
  'etcdserverpb.LeaseKeepAliveRequest.ID',
  'etcdserverpb.LeaseKeepAliveResponse.ID',
  'etcdserverpb.LeaseTimeToLiveRequest.ID',
  'etcdserverpb.LeaseTimeToLiveResponse.ID',
  'etcdserverpb.LeaseStatus.ID',
  'etcdserverpb.MoveLeaderRequest.targetID',
  'etcdserverpb.AlarmRequest.memberID',
  'etcdserverpb.AlarmMember.memberID',
  'etcdserverpb.StatusResponse.leader',
  'etcdserverpb.WatchCreateRequest.watch_id',
  'etcdserverpb.WatchCancelRequest.watch_id',
  'etcdserverpb.WatchResponse.watch_id',
  'leasepb.Lease.ID',
  'mvccpb.KeyValue.lease',
  'v3electionpb.CampaignRequest.lease',
  'v3electionpb.LeaderKey.lease',
  'v3lockpb.LockRequest.lease',
  'kvorum.v1.GroupStatus.leader_id',
  'kvorum.v1.OpenSessionRequest.lease',
  'kvorum.v1.OpenSessionResponse.session',
  'kvorum.v1.ShardDescription.leader_id',
  'kvorum.v1.ShardDescription.replica_ids',
  'kvorum.v1.ShardNode.node_id',
  'kvorum.v1.MoveReplicaRequest.from_id',
  'kvorum.v1.MoveReplicaRequest.to_id',
  'kvorum.v1.TransferShardRequest.to_id',
  'kvorum.v1.ShardStep.from_id',
  'kvorum.v1.ShardStep.to_id',
  'kvorum.v1.DrainNodeRequest.node_id',
])
