import { EMPTY, ok, refuse, type AuthState, type PermissionType, type Result } from '@kvorum/model'
import { encodeMetaCommand, ROOT, type AuthCommand } from '@kvorum/placement'
import { pb, type Init, type RpcName } from '@kvorum/protocol'
import { responseHeader, type Edge } from '../edge/edge.js'
import { requestOptions } from '../edge/requestOptions.js'
import type { Call, RequestOf, Unary } from './handler.js'

type Header = ReturnType<typeof responseHeader>
type AuthRpc<Method extends string> = Extract<RpcName, `etcdserverpb.Auth/${Method}`>

const headerNow = (edge: Edge): Header => responseHeader(edge, edge.node.status().header)

/** Users and roles with every change in them that was acknowledged before. */
async function freshState(edge: Edge, call: Call): Promise<Result<AuthState>> {
  const fresh = await edge.node.request({ kind: 'barrier' }, requestOptions(edge, call))
  if (!fresh.ok) return fresh
  const state = edge.node.auth()
  return state === null ? refuse('noLeader') : ok(state)
}

async function change(edge: Edge, command: AuthCommand, call: Call): Promise<Result<{ header: Header }>> {
  const request = { kind: 'meta' as const, command: encodeMetaCommand({ kind: 'auth', command }) }
  const changed = await edge.node.request(request, requestOptions(edge, call))
  return changed.ok ? ok({ header: headerNow(edge) }) : changed
}

/** The handler of an RPC that is one change. */
export const changing =
  <Method extends string>(
    _name: AuthRpc<Method>,
    commandOf: (message: RequestOf<AuthRpc<Method>>) => Result<AuthCommand>,
  ) =>
  async (
    edge: Edge,
    message: RequestOf<AuthRpc<Method>>,
    call: Call,
  ): Promise<Result<{ header: Header }>> => {
    const command = commandOf(message)
    return command.ok ? change(edge, command.value, call) : command
  }

const TYPES: Readonly<Record<number, PermissionType>> = {
  [pb.PermissionType.READ]: 'read',
  [pb.PermissionType.WRITE]: 'write',
  [pb.PermissionType.READWRITE]: 'readwrite',
}
const NUMBERS: Readonly<Record<PermissionType, number>> = {
  read: pb.PermissionType.READ,
  write: pb.PermissionType.WRITE,
  readwrite: pb.PermissionType.READWRITE,
}

export function grantOf({
  name,
  perm,
}: RequestOf<'etcdserverpb.Auth/RoleGrantPermission'>): Result<AuthCommand> {
  const type = perm === null ? undefined : TYPES[perm.permType]
  if (perm === null || type === undefined) return refuse('permissionNotGiven')
  return ok({ kind: 'roleGrant', role: name, permission: { type, key: perm.key, rangeEnd: perm.range_end } })
}

export const authStatus: Unary<'etcdserverpb.Auth/AuthStatus'> = async (edge, _request, call) => {
  const state = await freshState(edge, call)
  if (!state.ok) return state
  const { enabled, revision } = state.value
  return ok({ header: headerNow(edge), enabled, authRevision: revision })
}

/**
 * An unknown user, one without a password and a wrong password take as long and get the same answer; who was wrong
 * too often is told that it is too much, and the right password does not help either.
 */
export const authenticate: Unary<'etcdserverpb.Auth/Authenticate'> = async (
  edge,
  { name, password },
  call,
) => {
  const fresh = await freshState(edge, call)
  if (!fresh.ok) return fresh
  const state = fresh.value
  if (!state.enabled) return refuse('authNotEnabled')
  const { logins, passwords } = edge.auth
  const { host } = call.meta
  const mayTry = (): boolean => logins.waitMs(name, host) === 0
  if (!mayTry()) return refuse('tooManyRequests')
  const user = state.users.get(name)
  const right = await passwords.verify(password, user?.password ?? EMPTY, mayTry)
  if (!right.ok) return right
  if (!right.value || user === undefined) {
    logins.failed(name, host)
    return refuse('authFailed')
  }
  logins.succeeded(name, host)
  const token = await edge.auth.tokens.issue(edge.node, user, state)
  return token.ok ? ok({ header: headerNow(edge), token: token.value }) : token
}

/** What a client says to have hashed itself is ignored, as in etcd. */
export const userAdd: Unary<'etcdserverpb.Auth/UserAdd'> = async (
  edge,
  { name, password, options },
  call,
) => {
  if (name === '') return refuse('userNameEmpty')
  if (options?.no_password === true) return change(edge, { kind: 'userAdd', name, password: EMPTY }, call)
  const hashed = await edge.auth.passwords.hash(password)
  return hashed.ok ? change(edge, { kind: 'userAdd', name, password: hashed.value }, call) : hashed
}

export const userChangePassword: Unary<'etcdserverpb.Auth/UserChangePassword'> = async (
  edge,
  { name, password },
  call,
) => {
  const hashed = await edge.auth.passwords.hash(password)
  return hashed.ok ? change(edge, { kind: 'userChangePassword', name, password: hashed.value }, call) : hashed
}

export const userGet: Unary<'etcdserverpb.Auth/UserGet'> = async (edge, { name }, call) => {
  const state = await freshState(edge, call)
  if (!state.ok) return state
  const user = state.value.users.get(name)
  return user === undefined ? refuse('userNotFound') : ok({ header: headerNow(edge), roles: user.roles })
}

export const userList: Unary<'etcdserverpb.Auth/UserList'> = async (edge, _request, call) => {
  const state = await freshState(edge, call)
  return state.ok ? ok({ header: headerNow(edge), users: [...state.value.users.keys()].sort() }) : state
}

const EVERYTHING: Init<pb.Permission> = {
  permType: pb.PermissionType.READWRITE,
  key: EMPTY,
  range_end: Uint8Array.of(0),
}

export const roleGet: Unary<'etcdserverpb.Auth/RoleGet'> = async (edge, { role }, call) => {
  const state = await freshState(edge, call)
  if (!state.ok) return state
  const known = state.value.roles.get(role)
  if (known === undefined) return refuse('roleNotFound')
  const permissions = known.permissions.map(({ type, key, rangeEnd }) => ({
    permType: NUMBERS[type],
    key,
    range_end: rangeEnd,
  }))
  return ok({ header: headerNow(edge), perm: role === ROOT ? [EVERYTHING] : permissions })
}

export const roleList: Unary<'etcdserverpb.Auth/RoleList'> = async (edge, _request, call) => {
  const state = await freshState(edge, call)
  return state.ok ? ok({ header: headerNow(edge), roles: [...state.value.roles.keys()].sort() }) : state
}
