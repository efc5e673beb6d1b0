import {
  compareBytes,
  equalBytes,
  LIMITS,
  ok,
  refuse,
  unreachable,
  type AuthRole,
  type AuthState,
  type AuthUser,
  type IssuedToken,
  type Permission,
  type Reply,
  type Result,
} from '@kvorum/model'
import type { AuthCommand } from './authCommand.js'
import { comparePermissions, ROOT } from './authState.js'

/** What a command makes of the state, and the answer to whoever sent it. */
export interface AuthOutcome {
  readonly state: AuthState
  readonly reply: Reply
}

const DONE: Reply = { kind: 'done' }
const same = (state: AuthState): Result<AuthOutcome> => ok({ state, reply: DONE })

/** Users and roles have changed: whatever was allowed before is decided again. */
const changed = (state: AuthState, change: Partial<AuthState>): Result<AuthOutcome> =>
  ok({
    state: {
      ...state,
      ...change,
      revision: state.revision + 1,
      fence: state.enabled ? state.fence + 1 : state.fence,
    },
    reply: DONE,
  })

/** `index` of the log entry becomes part of a token that is issued. */
export function applyAuthCommand(state: AuthState, command: AuthCommand, index: number): Result<AuthOutcome> {
  switch (command.kind) {
    case 'enable':
      return enable(state)
    case 'disable':
      return disable(state)
    case 'userAdd':
      return addUser(state, command.name, command.password)
    case 'userDelete':
      return deleteUser(state, command.name)
    case 'userChangePassword':
      return changePassword(state, command.name, command.password)
    case 'userGrantRole':
      return grantRole(state, command.name, command.role)
    case 'userRevokeRole':
      return revokeRole(state, command.name, command.role)
    case 'roleAdd':
      return addRole(state, command.role)
    case 'roleDelete':
      return deleteRole(state, command.role)
    case 'roleGrant':
      return grantPermission(state, command.role, command.permission)
    case 'roleRevoke':
      return revokePermission(state, command.role, command)
    case 'tokenIssue':
      return issueToken(state, command, index)
    case 'tokenRenew':
      return renewTokens(state, command)
    default:
      return unreachable(command)
  }
}

function enable(state: AuthState): Result<AuthOutcome> {
  if (state.enabled) return same(state)
  const root = state.users.get(ROOT)
  if (root === undefined) return refuse('rootUserMissing')
  if (!root.roles.includes(ROOT)) return refuse('rootRoleMissing')
  return ok({ state: { ...state, enabled: true, fence: state.fence + 1 }, reply: DONE })
}

function disable(state: AuthState): Result<AuthOutcome> {
  if (!state.enabled) return same(state)
  return changed(state, { enabled: false, tokens: new Map() })
}

function addUser(state: AuthState, name: string, password: Uint8Array): Result<AuthOutcome> {
  if (name === '') return refuse('userNameEmpty')
  if (state.users.has(name)) return refuse('userExists')
  if (state.users.size >= LIMITS.authUsersMax || isTooLong(name)) return refuse('tooManyRequests')
  return changed(state, {
    users: withUser(state, { name, password, roles: [], credentialRevision: state.revision + 1 }),
  })
}

const isTooLong = (name: string): boolean => Buffer.byteLength(name) > LIMITS.authNameBytesMax

function deleteUser(state: AuthState, name: string): Result<AuthOutcome> {
  if (state.enabled && name === ROOT) return refuse('authManagementInvalid')
  if (!state.users.has(name)) return refuse('userNotFound')
  const users = new Map(state.users)
  users.delete(name)
  return changed(state, { users, tokens: withoutTokens(state, name) })
}

function changePassword(state: AuthState, name: string, password: Uint8Array): Result<AuthOutcome> {
  const user = state.users.get(name)
  if (user === undefined) return refuse('userNotFound')
  // One that was made without a password does not get one this way, as in etcd.
  const kept = user.password.length === 0 ? user.password : password
  return changed(state, {
    users: withUser(state, { ...user, password: kept, credentialRevision: state.revision + 1 }),
    tokens: withoutTokens(state, name),
  })
}

function grantRole(state: AuthState, name: string, role: string): Result<AuthOutcome> {
  const user = state.users.get(name)
  if (user === undefined) return refuse('userNotFound')
  if (role !== ROOT && !state.roles.has(role)) return refuse('roleNotFound')
  if (user.roles.includes(role)) return same(state)
  return changed(state, { users: withUser(state, { ...user, roles: [...user.roles, role].sort() }) })
}

function revokeRole(state: AuthState, name: string, role: string): Result<AuthOutcome> {
  if (state.enabled && name === ROOT && role === ROOT) return refuse('authManagementInvalid')
  const user = state.users.get(name)
  if (user === undefined) return refuse('userNotFound')
  if (!user.roles.includes(role)) return refuse('roleNotGranted')
  return changed(state, {
    users: withUser(state, { ...user, roles: user.roles.filter(each => each !== role) }),
  })
}

function addRole(state: AuthState, role: string): Result<AuthOutcome> {
  if (role === '') return refuse('roleNameEmpty')
  if (state.roles.has(role)) return refuse('roleExists')
  if (state.roles.size >= LIMITS.authRolesMax || isTooLong(role)) return refuse('tooManyRequests')
  return changed(state, { roles: withRole(state, { name: role, permissions: [] }) })
}

function deleteRole(state: AuthState, role: string): Result<AuthOutcome> {
  if (state.enabled && role === ROOT) return refuse('authManagementInvalid')
  if (!state.roles.has(role)) return refuse('roleNotFound')
  const roles = new Map(state.roles)
  roles.delete(role)
  const users = new Map(state.users)
  for (const user of state.users.values()) {
    if (!user.roles.includes(role)) continue
    users.set(user.name, { ...user, roles: user.roles.filter(each => each !== role) })
  }
  return changed(state, { roles, users })
}

/** One permission for each range: another one for the same range takes its place. */
function grantPermission(state: AuthState, name: string, permission: Permission): Result<AuthOutcome> {
  if (!isValidRange(permission)) return refuse('authManagementInvalid')
  const role = state.roles.get(name)
  if (role === undefined) return refuse('roleNotFound')
  const others = role.permissions.filter(each => comparePermissions(each, permission) !== 0)
  if (others.length >= LIMITS.authPermissionsPerRoleMax) return refuse('tooManyRequests')
  return changed(state, {
    roles: withRole(state, { ...role, permissions: [...others, permission].sort(comparePermissions) }),
  })
}

/** A key, from a key on, or from a key to a later one. */
function isValidRange({ key, rangeEnd }: Permission): boolean {
  if (key.length === 0) return false
  if (rangeEnd.length === 0 || (rangeEnd.length === 1 && rangeEnd[0] === 0)) return true
  return compareBytes(key, rangeEnd) < 0
}

function revokePermission(
  state: AuthState,
  name: string,
  { key, rangeEnd }: Pick<Permission, 'key' | 'rangeEnd'>,
): Result<AuthOutcome> {
  const role = state.roles.get(name)
  if (role === undefined) return refuse('roleNotFound')
  const permissions = role.permissions.filter(
    each => !equalBytes(each.key, key) || !equalBytes(each.rangeEnd, rangeEnd),
  )
  if (permissions.length === role.permissions.length) return refuse('permissionNotGranted')
  return changed(state, { roles: withRole(state, { ...role, permissions }) })
}

function issueToken(
  state: AuthState,
  { user, hash, credentialRevision, now, expires }: Extract<AuthCommand, { kind: 'tokenIssue' }>,
  index: number,
): Result<AuthOutcome> {
  if (!state.enabled) return refuse('authNotEnabled')
  // The password may have been changed since it was looked at.
  if (state.users.get(user)?.credentialRevision !== credentialRevision) return refuse('authFailed')
  const tokens = withoutExpired(state, now)
  tokens.delete(hash)
  for (const oldest of tokens.keys()) {
    if (tokens.size < LIMITS.authTokensMax) break
    tokens.delete(oldest)
  }
  tokens.set(hash, { user, index, expires })
  return ok({ state: { ...state, tokens }, reply: { kind: 'tokenIssued', index } })
}

function renewTokens(
  state: AuthState,
  { hashes, now, expires }: Extract<AuthCommand, { kind: 'tokenRenew' }>,
): Result<AuthOutcome> {
  const tokens = withoutExpired(state, now)
  for (const hash of hashes) {
    const token = tokens.get(hash)
    if (token !== undefined) tokens.set(hash, { ...token, expires: Math.max(token.expires, expires) })
  }
  return ok({ state: { ...state, tokens }, reply: DONE })
}

function withoutExpired({ tokens }: AuthState, now: number): Map<string, IssuedToken> {
  return new Map([...tokens].filter(([, token]) => token.expires > now))
}

/** A token stands for the user and his password, not for his roles: those are looked up at every request. */
function withoutTokens({ tokens }: AuthState, user: string): ReadonlyMap<string, IssuedToken> {
  return new Map([...tokens].filter(([, token]) => token.user !== user))
}

const withUser = ({ users }: AuthState, user: AuthUser): ReadonlyMap<string, AuthUser> =>
  new Map(users).set(user.name, user)

const withRole = ({ roles }: AuthState, role: AuthRole): ReadonlyMap<string, AuthRole> =>
  new Map(roles).set(role.name, role)
