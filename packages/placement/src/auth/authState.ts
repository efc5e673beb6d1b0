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

export const AUTH_FORMAT = 2
/** Numbers on disk, and etcd's. */
const TYPES: readonly PermissionType[] = ['read', 'write', 'readwrite']
const HASH_BYTES = 32

/** What the row of the meta group says of users, roles and tokens: how many there are. They have rows of their own. */
export interface AuthHead extends Pick<AuthState, 'enabled' | 'revision' | 'fence'> {
  readonly users: number
  readonly roles: number
  readonly tokens: number
}

export const EMPTY_HEAD: AuthHead = { ...EMPTY_AUTH, users: 0, roles: 0, tokens: 0 }

/** Null where there is nothing to remember. */
export function encodeAuthHead(state: AuthState): Uint8Array | null {
  if (isUntouched(state)) return null
  const out = new ByteWriter()
  out.u8(AUTH_FORMAT).bool(state.enabled).varint(state.revision).varint(state.fence)
  return out.varint(state.users.size).varint(state.roles.size).varint(state.tokens.size).finish()
}

export function decodeAuthHead(bytes: Uint8Array): AuthHead {
  const input = new ByteReader(bytes)
  const format = input.u8()
  if (format !== AUTH_FORMAT) throw new MalformedError(`users and roles in format ${format} are not known`)
  const [enabled, revision, fence] = [input.bool(), input.varint(), input.varint()]
  const [users, roles, tokens] = [input.varint(), input.varint(), input.varint()]
  input.end()
  return { enabled, revision, fence, users, roles, tokens }
}

const newRow = (): ByteWriter => new ByteWriter().u8(AUTH_FORMAT)

export function encodeUser({ password, credentialRevision, roles }: AuthUser): Uint8Array {
  const out = newRow().bytes(password).varint(credentialRevision).varint(roles.length)
  for (const role of roles) out.text(role)
  return out.finish()
}

export function encodeRole({ permissions }: AuthRole): Uint8Array {
  const out = newRow().varint(permissions.length)
  for (const permission of permissions) writePermission(out, permission)
  return out.finish()
}

export const encodeToken = ({ user, index, expires }: IssuedToken): Uint8Array =>
  newRow().text(user).varint(index).varint(expires).finish()

export function readUser(input: ByteReader, name: string): AuthUser {
  const password = Buffer.from(input.bytes())
  const credentialRevision = input.varint()
  return { name, password, credentialRevision, roles: readMany(input, () => input.text()) }
}

export const readRole = (input: ByteReader, name: string): AuthRole => ({
  name,
  permissions: readMany(input, () => readPermission(input)),
})

export const readToken = (input: ByteReader): IssuedToken => ({
  user: input.text(),
  index: input.varint(),
  expires: input.varint(),
})

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
