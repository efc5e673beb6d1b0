import {
  ByteReader,
  ByteWriter,
  compareBytes,
  MalformedError,
  type AuthRole,
  type AuthState,
  type AuthUser,
  type IssuedToken,
  type Permission,
  type PermissionType,
} from '@kvorum/model'

/** The user and the role that may do everything; authentication cannot be on without them. */
export const ROOT = 'root'

/** As every cluster begins: authentication is off, and the revision is etcd's first. */
export const EMPTY_AUTH: AuthState = {
  enabled: false,
  revision: 1,
  fence: 0,
  users: new Map(),
  roles: new Map(),
  tokens: new Map(),
}

/** Whether anything was ever done to it. */
const isUntouched = ({ enabled, revision, fence, users, roles, tokens }: AuthState): boolean =>
  !enabled && revision === 1 && fence === 0 && users.size + roles.size + tokens.size === 0

export const AUTH_FORMAT = 1
/** Numbers on disk, and etcd's. */
const TYPES: readonly PermissionType[] = ['read', 'write', 'readwrite']
const HASH_BYTES = 32

/** Null where there is nothing to remember. */
export function encodeAuthState(state: AuthState): Uint8Array | null {
  if (isUntouched(state)) return null
  const out = new ByteWriter()
  out.u8(AUTH_FORMAT).bool(state.enabled).varint(state.revision).varint(state.fence)
  out.varint(state.users.size)
  for (const user of state.users.values()) {
    out.text(user.name).bytes(user.password).varint(user.credentialRevision).varint(user.roles.length)
    for (const role of user.roles) out.text(role)
  }
  out.varint(state.roles.size)
  for (const role of state.roles.values()) {
    out.text(role.name).varint(role.permissions.length)
    for (const permission of role.permissions) writePermission(out, permission)
  }
  out.varint(state.tokens.size)
  for (const [hash, { user, index, expires }] of state.tokens) {
    writeTokenHash(out, hash)
    out.text(user).varint(index).varint(expires)
  }
  return out.finish()
}

export function decodeAuthState(bytes: Uint8Array): AuthState {
  const input = new ByteReader(bytes)
  const format = input.u8()
  if (format !== AUTH_FORMAT) throw new MalformedError(`users and roles in format ${format} are not known`)
  const [enabled, revision, fence] = [input.bool(), input.varint(), input.varint()]
  const users = readMap(input, () => readUser(input))
  const roles = readMap(input, () => readRole(input))
  const tokens = readMap(input, () => readToken(input))
  input.end()
  return { enabled, revision, fence, users, roles, tokens }
}

function readUser(input: ByteReader): [string, AuthUser] {
  const name = input.text()
  const password = Buffer.from(input.bytes())
  const credentialRevision = input.varint()
  const roles = readMany(input, () => input.text())
  return [name, { name, password, credentialRevision, roles }]
}

function readRole(input: ByteReader): [string, AuthRole] {
  const name = input.text()
  return [name, { name, permissions: readMany(input, () => readPermission(input)) }]
}

function readToken(input: ByteReader): [string, IssuedToken] {
  const hash = readTokenHash(input)
  return [hash, { user: input.text(), index: input.varint(), expires: input.varint() }]
}

export function writePermission(out: ByteWriter, { type, key, rangeEnd }: Permission): void {
  out.u8(TYPES.indexOf(type)).bytes(key).bytes(rangeEnd)
}

export function readPermission(input: ByteReader): Permission {
  const number = input.u8()
  const type = TYPES[number]
  if (type === undefined) throw new MalformedError(`permission type ${number} is not known`)
  return { type, key: Buffer.from(input.bytes()), rangeEnd: Buffer.from(input.bytes()) }
}

export function writeTokenHash(out: ByteWriter, hash: string): void {
  out.bytes(Buffer.from(hash, 'hex'))
}

export function readTokenHash(input: ByteReader): string {
  const bytes = input.bytes()
  if (bytes.length !== HASH_BYTES) throw new MalformedError(`${bytes.length} bytes are not a token's hash`)
  return Buffer.from(bytes).toString('hex')
}

/** The order of a role's permissions. */
export const comparePermissions = (a: Permission, b: Permission): number =>
  compareBytes(a.key, b.key) || compareBytes(a.rangeEnd, b.rangeEnd)

export function readMany<Item>(input: ByteReader, read: () => Item): Item[] {
  const count = input.varint()
  if (count > input.remaining)
    throw new MalformedError(`${count} items cannot be in ${input.remaining} bytes`)
  return Array.from({ length: count }, read)
}

function readMap<Value>(input: ByteReader, read: () => [string, Value]): Map<string, Value> {
  const entries = readMany(input, read)
  const map = new Map(entries)
  if (map.size !== entries.length) throw new MalformedError('a name comes twice')
  return map
}
