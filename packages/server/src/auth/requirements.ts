import { leaseId, NO_LEASE, pointRange, prefixRange, requestRange, utf8 } from '@kvorum/model'
import type { KeyRange } from '@kvorum/model'
import { pb, toClientRequest, type RequestRpc, type RpcName } from '@kvorum/protocol'
import { requirementOf, type Requirement } from '@kvorum/placement'
import type { RequestOf } from '../rpc/handler.js'

/** What an RPC needs of its caller, by its message. */
export type RequirementRow<Name extends RpcName> = (message: RequestOf<Name>) => Requirement

const KV = 'etcdserverpb.KV'
const LEASE = 'etcdserverpb.Lease'
const CLUSTER = 'etcdserverpb.Cluster'
const MAINTENANCE = 'etcdserverpb.Maintenance'
const AUTH = 'etcdserverpb.Auth'

const nothing = (): Requirement => ({ kind: 'nothing' })
const user = (): Requirement => ({ kind: 'user' })
const root = (): Requirement => ({ kind: 'root' })

/** Everything that the operation in the message touches. What cannot be read is the handler's to refuse. */
const operation =
  <Name extends RequestRpc>(name: Name): RequirementRow<Name> =>
  message => {
    const prepared = toClientRequest(name, message)
    return prepared.ok && prepared.value.op !== null ? requirementOf(prepared.value.op) : user()
  }

const keys = (reads: readonly KeyRange[], writes: readonly KeyRange[], leases = false): Requirement => ({
  kind: 'keys',
  reads,
  writes,
  leases,
})

/** Locks and elections live in keys below their name. */
const below = (name: Uint8Array): KeyRange => prefixRange(Buffer.concat([name, utf8('/')]))
const candidate = (name: Uint8Array): Requirement => keys([below(name)], [below(name)], true)
const leadership = (leader: pb.LeaderKey | null): Requirement => {
  const own = pointRange(leader?.key ?? utf8(''))
  return keys([own], [own], leaseId(leader?.lease ?? 0n) !== NO_LEASE)
}

/** The one table. An RPC that is new in the schema does not compile without a row. */
export const REQUIREMENTS: { readonly [Name in RpcName]: RequirementRow<Name> } = {
  [`${KV}/Range`]: operation(`${KV}/Range`),
  [`${KV}/RangeStream`]: ({ key, range_end }) => keys([requestRange(key, range_end)], []),
  [`${KV}/Put`]: operation(`${KV}/Put`),
  [`${KV}/DeleteRange`]: operation(`${KV}/DeleteRange`),
  [`${KV}/Txn`]: operation(`${KV}/Txn`),
  [`${KV}/Compact`]: root,
  // Each watch is decided when it is made (guardedWatch.ts).
  'etcdserverpb.Watch/Watch': nothing,
  [`${LEASE}/LeaseGrant`]: user,
  [`${LEASE}/LeaseRevoke`]: () => keys([], [], true),
  [`${LEASE}/LeaseKeepAlive`]: user,
  // Its keys, if they are asked for, are looked at in the answer (guardedNode.ts).
  [`${LEASE}/LeaseTimeToLive`]: user,
  [`${LEASE}/LeaseLeases`]: user,
  [`${CLUSTER}/MemberAdd`]: root,
  [`${CLUSTER}/MemberRemove`]: root,
  [`${CLUSTER}/MemberUpdate`]: root,
  [`${CLUSTER}/MemberList`]: user,
  [`${CLUSTER}/MemberPromote`]: root,
  [`${MAINTENANCE}/Alarm`]: ({ action }) => (action === pb.AlarmRequestAlarmAction.GET ? user() : root()),
  [`${MAINTENANCE}/Status`]: user,
  [`${MAINTENANCE}/Defragment`]: root,
  [`${MAINTENANCE}/Hash`]: root,
  [`${MAINTENANCE}/HashKV`]: root,
  [`${MAINTENANCE}/Snapshot`]: root,
  [`${MAINTENANCE}/MoveLeader`]: root,
  [`${MAINTENANCE}/Downgrade`]: root,
  [`${AUTH}/AuthEnable`]: root,
  [`${AUTH}/AuthDisable`]: root,
  [`${AUTH}/AuthStatus`]: nothing,
  [`${AUTH}/Authenticate`]: nothing,
  [`${AUTH}/UserAdd`]: root,
  [`${AUTH}/UserGet`]: ({ name }) => ({ kind: 'self', user: name }),
  [`${AUTH}/UserList`]: root,
  [`${AUTH}/UserDelete`]: root,
  [`${AUTH}/UserChangePassword`]: root,
  [`${AUTH}/UserGrantRole`]: root,
  [`${AUTH}/UserRevokeRole`]: root,
  [`${AUTH}/RoleAdd`]: root,
  [`${AUTH}/RoleGet`]: ({ role }) => ({ kind: 'role', role }),
  [`${AUTH}/RoleList`]: root,
  [`${AUTH}/RoleDelete`]: root,
  [`${AUTH}/RoleGrantPermission`]: root,
  [`${AUTH}/RoleRevokePermission`]: root,
  'v3lockpb.Lock/Lock': ({ name }) => candidate(name),
  'v3lockpb.Lock/Unlock': ({ key }) => keys([], [pointRange(key)]),
  'v3electionpb.Election/Campaign': ({ name }) => candidate(name),
  'v3electionpb.Election/Proclaim': ({ leader }) => leadership(leader),
  'v3electionpb.Election/Leader': ({ name }) => keys([below(name)], []),
  'v3electionpb.Election/Observe': ({ name }) => keys([below(name)], []),
  'v3electionpb.Election/Resign': ({ leader }) => leadership(leader),
  'grpc.health.v1.Health/Check': nothing,
  'grpc.health.v1.Health/Watch': nothing,
  'grpc.reflection.v1.ServerReflection/ServerReflectionInfo': nothing,
  'grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo': nothing,
  'kvorum.v1.Admin/Groups': user,
  'kvorum.v1.Sessions/Open': user,
  // Where shards begin and end are keys.
  'kvorum.v1.Shard/List': root,
  'kvorum.v1.Shard/Split': root,
  'kvorum.v1.Shard/Move': root,
  'kvorum.v1.Shard/Transfer': root,
  'kvorum.v1.Shard/Plan': root,
  'kvorum.v1.Shard/Drain': root,
}

export const requirementFor = (name: RpcName, message: unknown): Requirement =>
  (REQUIREMENTS[name] as (message: unknown) => Requirement)(message)
