import { ok, refuse } from '@kvorum/model'
import { codec, rpcNamed, RPCS, type Codec, type Rpc, type RpcName } from '@kvorum/protocol'
import type { Result } from '@kvorum/model'
import type { Edge } from '../edge/edge.js'
import type { CallLabels } from '../metrics/calls.js'
import { alarm } from './alarm.js'
import {
  authenticate,
  authStatus,
  changing,
  grantOf,
  roleGet,
  roleList,
  userAdd,
  userChangePassword,
  userGet,
  userList,
} from './auth.js'
import { groups, memberList } from './cluster.js'
import { campaign, leader, proclaim, resign } from './election.js'
import { downgrade } from './downgrade.js'
import { forward } from './forward.js'
import type { Call, Handler, StreamIn, StreamOut } from './handler.js'
import { check, watchHealth } from './health.js'
import { completeGrant, leaseKeepAlive } from './lease.js'
import { lock, unlock } from './lock.js'
import { defragment, status } from './maintenance.js'
import { observe } from './observe.js'
import { snapshot } from './snapshot.js'
import { rangeStream } from './rangeStream.js'
import { reflection } from './reflection.js'
import { memberAdd, memberPromote, memberRemove, memberUpdate, moveLeader } from './members.js'
import { shardDrain, shardList, shardMove, shardPlan, shardSplit, shardTransfer } from './shards.js'
import { hash, hashKv } from './hashes.js'
import { watch } from './watch.js'

const KV = 'etcdserverpb.KV'
const LEASE = 'etcdserverpb.Lease'
const CLUSTER = 'etcdserverpb.Cluster'
const MAINTENANCE = 'etcdserverpb.Maintenance'
const AUTH = 'etcdserverpb.Auth'

/** Who answers each RPC. A new one in the schema does not compile without a row here. */
const HANDLERS: { readonly [Name in RpcName]: Handler<Name> } = {
  [`${KV}/Range`]: { kind: 'unary', handle: forward(`${KV}/Range`) },
  [`${KV}/RangeStream`]: { kind: 'stream', open: rangeStream },
  [`${KV}/Put`]: { kind: 'unary', handle: forward(`${KV}/Put`) },
  [`${KV}/DeleteRange`]: { kind: 'unary', handle: forward(`${KV}/DeleteRange`) },
  [`${KV}/Txn`]: { kind: 'unary', handle: forward(`${KV}/Txn`) },
  [`${KV}/Compact`]: { kind: 'unary', handle: forward(`${KV}/Compact`) },
  'etcdserverpb.Watch/Watch': { kind: 'stream', open: watch },
  [`${LEASE}/LeaseGrant`]: { kind: 'unary', handle: forward(`${LEASE}/LeaseGrant`, completeGrant) },
  [`${LEASE}/LeaseRevoke`]: { kind: 'unary', handle: forward(`${LEASE}/LeaseRevoke`) },
  [`${LEASE}/LeaseKeepAlive`]: { kind: 'stream', open: leaseKeepAlive },
  [`${LEASE}/LeaseTimeToLive`]: { kind: 'unary', handle: forward(`${LEASE}/LeaseTimeToLive`) },
  [`${LEASE}/LeaseLeases`]: { kind: 'unary', handle: forward(`${LEASE}/LeaseLeases`) },
  [`${CLUSTER}/MemberAdd`]: { kind: 'unary', handle: memberAdd },
  [`${CLUSTER}/MemberRemove`]: { kind: 'unary', handle: memberRemove },
  [`${CLUSTER}/MemberUpdate`]: { kind: 'unary', handle: memberUpdate },
  [`${CLUSTER}/MemberList`]: { kind: 'unary', handle: memberList },
  [`${CLUSTER}/MemberPromote`]: { kind: 'unary', handle: memberPromote },
  [`${MAINTENANCE}/Alarm`]: { kind: 'unary', handle: alarm },
  [`${MAINTENANCE}/Status`]: { kind: 'unary', handle: status },
  [`${MAINTENANCE}/Defragment`]: { kind: 'unary', handle: defragment },
  [`${MAINTENANCE}/Hash`]: { kind: 'unary', handle: hash },
  [`${MAINTENANCE}/HashKV`]: { kind: 'unary', handle: hashKv },
  [`${MAINTENANCE}/Snapshot`]: { kind: 'stream', open: snapshot },
  [`${MAINTENANCE}/MoveLeader`]: { kind: 'unary', handle: moveLeader },
  [`${MAINTENANCE}/Downgrade`]: { kind: 'unary', handle: downgrade },
  [`${AUTH}/AuthEnable`]: {
    kind: 'unary',
    handle: changing(`${AUTH}/AuthEnable`, () => ok({ kind: 'enable' })),
  },
  [`${AUTH}/AuthDisable`]: {
    kind: 'unary',
    handle: changing(`${AUTH}/AuthDisable`, () => ok({ kind: 'disable' })),
  },
  [`${AUTH}/AuthStatus`]: { kind: 'unary', handle: authStatus },
  [`${AUTH}/Authenticate`]: { kind: 'unary', handle: authenticate },
  [`${AUTH}/UserAdd`]: { kind: 'unary', handle: userAdd },
  [`${AUTH}/UserGet`]: { kind: 'unary', handle: userGet },
  [`${AUTH}/UserList`]: { kind: 'unary', handle: userList },
  [`${AUTH}/UserDelete`]: {
    kind: 'unary',
    handle: changing(`${AUTH}/UserDelete`, ({ name }) => ok({ kind: 'userDelete', name })),
  },
  [`${AUTH}/UserChangePassword`]: { kind: 'unary', handle: userChangePassword },
  [`${AUTH}/UserGrantRole`]: {
    kind: 'unary',
    handle: changing(`${AUTH}/UserGrantRole`, ({ user, role }) =>
      ok({ kind: 'userGrantRole', name: user, role }),
    ),
  },
  [`${AUTH}/UserRevokeRole`]: {
    kind: 'unary',
    handle: changing(`${AUTH}/UserRevokeRole`, ({ name, role }) =>
      ok({ kind: 'userRevokeRole', name, role }),
    ),
  },
  [`${AUTH}/RoleAdd`]: {
    kind: 'unary',
    handle: changing(`${AUTH}/RoleAdd`, ({ name }) => ok({ kind: 'roleAdd', role: name })),
  },
  [`${AUTH}/RoleGet`]: { kind: 'unary', handle: roleGet },
  [`${AUTH}/RoleList`]: { kind: 'unary', handle: roleList },
  [`${AUTH}/RoleDelete`]: {
    kind: 'unary',
    handle: changing(`${AUTH}/RoleDelete`, ({ role }) => ok({ kind: 'roleDelete', role })),
  },
  [`${AUTH}/RoleGrantPermission`]: {
    kind: 'unary',
    handle: changing(`${AUTH}/RoleGrantPermission`, grantOf),
  },
  [`${AUTH}/RoleRevokePermission`]: {
    kind: 'unary',
    handle: changing(`${AUTH}/RoleRevokePermission`, ({ role, key, range_end }) =>
      ok({ kind: 'roleRevoke', role, key, rangeEnd: range_end }),
    ),
  },
  'v3lockpb.Lock/Lock': { kind: 'unary', handle: lock, waits: true },
  'v3lockpb.Lock/Unlock': { kind: 'unary', handle: unlock },
  'v3electionpb.Election/Campaign': { kind: 'unary', handle: campaign, waits: true },
  'v3electionpb.Election/Proclaim': { kind: 'unary', handle: proclaim },
  'v3electionpb.Election/Leader': { kind: 'unary', handle: leader },
  'v3electionpb.Election/Observe': { kind: 'stream', open: observe },
  'v3electionpb.Election/Resign': { kind: 'unary', handle: resign },
  'grpc.health.v1.Health/Check': { kind: 'unary', handle: check },
  'grpc.health.v1.Health/Watch': { kind: 'stream', open: watchHealth },
  'grpc.reflection.v1.ServerReflection/ServerReflectionInfo': { kind: 'stream', open: reflection },
  'grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo': { kind: 'stream', open: reflection },
  'kvorum.v1.Admin/Groups': { kind: 'unary', handle: groups },
  'kvorum.v1.Sessions/Open': { kind: 'unary', handle: forward('kvorum.v1.Sessions/Open') },
  'kvorum.v1.Shard/List': { kind: 'unary', handle: shardList },
  'kvorum.v1.Shard/Split': { kind: 'unary', handle: shardSplit },
  'kvorum.v1.Shard/Move': { kind: 'unary', handle: shardMove },
  'kvorum.v1.Shard/Transfer': { kind: 'unary', handle: shardTransfer },
  'kvorum.v1.Shard/Plan': { kind: 'unary', handle: shardPlan },
  'kvorum.v1.Shard/Drain': { kind: 'unary', handle: shardDrain },
}

interface AnyBase {
  readonly rpc: Rpc
  readonly name: RpcName
  readonly labels: CallLabels
  readonly request: Codec<unknown>
  readonly response: Codec<unknown>
}
/** A handler with its types forgotten; its codecs keep the promise that they fit. */
export interface AnyUnary extends AnyBase {
  readonly kind: 'unary'
  readonly waits?: true
  readonly handle: (edge: Edge, request: unknown, call: Call) => Promise<Result<unknown>>
}
export interface AnyStream extends AnyBase {
  readonly kind: 'stream'
  readonly open: (edge: Edge, out: StreamOut<unknown>) => StreamIn<unknown>
}
export type AnyHandler = AnyUnary | AnyStream

export const REGISTRY: readonly AnyHandler[] = RPCS.map(rpc => register(rpc.name))

function register<Name extends RpcName>(name: Name): AnyHandler {
  const rpc = rpcNamed(name)
  const handler = HANDLERS[name] as Handler<RpcName>
  const base: AnyBase = {
    rpc,
    name,
    labels: { service: rpc.service, method: rpc.method, type: callType(rpc) },
    request: codec(rpc.request) as Codec<unknown>,
    response: codec(rpc.response) as Codec<unknown>,
  }
  if (handler.kind === 'unary') return { ...base, ...handler } as AnyUnary
  if (handler.kind === 'stream') return { ...base, ...handler } as unknown as AnyStream
  const refusal = refuse('unimplemented', { detail: handler.why })
  if (base.labels.type === 'unary') return { ...base, kind: 'unary', handle: () => Promise.resolve(refusal) }
  const open = (_edge: Edge, out: StreamOut<unknown>): StreamIn<unknown> => ({
    receive: () => out.end(refusal.error),
    halfClosed: () => out.end(refusal.error),
    closed: () => {},
  })
  return { ...base, kind: 'stream', open }
}

function callType(rpc: Rpc): CallLabels['type'] {
  if (rpc.requestStream) return rpc.responseStream ? 'bidi_stream' : 'client_stream'
  return rpc.responseStream ? 'server_stream' : 'unary'
}
