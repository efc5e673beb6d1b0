import {
  EMPTY,
  LIMITS,
  type AuthRole,
  type AuthState,
  type AuthUser,
  type Permission,
  type PermissionType,
} from '@kvorum/model'
import { codec, type pb } from '@kvorum/protocol'
import { BboltError } from '@kvorum/storage'
import { encodeCount } from './etcdBuckets.js'
import { bucketOf, type SourceFile } from './sourceFile.js'

/**
 * Users and roles in etcd's buckets. Hashes of passwords go both ways as they are: etcd's are bcrypt's and are
 * verified here too; ours mean nothing to etcd, where such a user cannot log in until the password is set anew.
 */
const USER = codec('authpb.User')
const ROLE = codec('authpb.Role')
/** etcd's numbers. */
const TYPES: readonly PermissionType[] = ['read', 'write', 'readwrite']

export type BucketEntry = readonly [key: Uint8Array, value: Uint8Array]

const byName = <Named extends { readonly name: string }>(named: Iterable<Named>): [Buffer, Named][] =>
  [...named]
    .map((each): [Buffer, Named] => [Buffer.from(each.name), each])
    .sort(([a], [b]) => Buffer.compare(a, b))

export const authEntries = ({ enabled, revision, fence }: AuthState): BucketEntry[] => [
  // As in etcd, only once it has been switched.
  ...(fence > 0 ? [[Buffer.from('authEnabled'), Buffer.of(enabled ? 1 : 0)] as const] : []),
  [Buffer.from('authRevision'), encodeCount(revision)],
]

export const userEntries = ({ users }: AuthState): BucketEntry[] =>
  byName(users.values()).map(([name, { password, roles }]) => {
    const options = { no_password: password.length === 0 }
    return [name, USER.encode({ name, password, roles, options })]
  })

export const roleEntries = ({ roles }: AuthState): BucketEntry[] =>
  byName(roles.values()).map(([name, { permissions }]) => {
    const keyPermission = permissions.map(({ type, key, rangeEnd }) => ({
      permType: TYPES.indexOf(type) as 0 | 1 | 2,
      key,
      range_end: rangeEnd,
    }))
    return [name, ROLE.encode({ name, keyPermission })]
  })

/** Tokens are not in the file: everybody logs in again. */
export async function readAuth(source: SourceFile): Promise<AuthState> {
  const auth = await bucketOf(source, 'auth')
  const stored = auth.get('authRevision')
  const revision = stored?.length === 8 ? Math.max(1, Number(stored.readBigUInt64BE())) : 1
  if (!Number.isSafeInteger(revision)) throw new BboltError('the revision of the users is out of range')
  const enabled = auth.get('authEnabled')?.[0] === 1
  const roles = new Map<string, AuthRole>()
  for (const value of (await bucketOf(source, 'authRoles')).values()) {
    const role = roleOf(ROLE.decode(value))
    roles.set(role.name, role)
  }
  const users = new Map<string, AuthUser>()
  for (const value of (await bucketOf(source, 'authUsers')).values()) {
    const user = userOf(USER.decode(value), revision)
    users.set(user.name, user)
  }
  if (users.size > LIMITS.authUsersMax || roles.size > LIMITS.authRolesMax)
    throw new BboltError('there are more users or roles than can be taken')
  if (enabled && !users.has('root')) throw new BboltError('authentication is on and there is no user root')
  const fence = auth.has('authEnabled') ? 1 : 0
  return { enabled, revision, fence, users, roles, tokens: new Map() }
}

function nameOf(bytes: Uint8Array): string {
  const name = Buffer.from(bytes).toString('utf8')
  if (name === '' || bytes.length > LIMITS.authNameBytesMax || !Buffer.from(name).equals(bytes))
    throw new BboltError('a user or role has a name that cannot be taken')
  return name
}

const userOf = (user: pb.User, credentialRevision: number): AuthUser => ({
  name: nameOf(user.name),
  password: user.options?.no_password === true ? EMPTY : Buffer.from(user.password),
  roles: [...new Set(user.roles)].sort((a, b) => (a < b ? -1 : 1)),
  credentialRevision,
})

function roleOf(role: pb.Role): AuthRole {
  const permissions = role.keyPermission.map(({ permType, key, range_end }): Permission => {
    const type = TYPES[permType]
    if (type === undefined) throw new BboltError('a role has a permission of an unknown kind')
    return { type, key: Buffer.from(key), rangeEnd: Buffer.from(range_end) }
  })
  permissions.sort((a, b) => Buffer.compare(a.key, b.key) || Buffer.compare(a.rangeEnd, b.rangeEnd))
  return { name: nameOf(role.name), permissions }
}
