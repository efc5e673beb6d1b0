import {
  ByteReader,
  ByteWriter,
  compareBytes,
  EMPTY,
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

/**
 * The bytes of the parts as they were last encoded, each with the map it came from. A change makes a new map of its
 * part only, so that a login among ten thousand users does not encode the users again.
 */
export interface EncodedAuth {
  users: EncodedPart
  roles: EncodedPart
  tokens: EncodedPart
}

interface EncodedPart {
  readonly of: ReadonlyMap<string, unknown> | null
  readonly bytes: Uint8Array
}

const NOTHING: EncodedPart = { of: null, bytes: EMPTY }

export const createEncodedAuth = (): EncodedAuth => ({ users: NOTHING, roles: NOTHING, tokens: NOTHING })

/** Null where there is nothing to remember. `encoded` is brought up to date. */
export function encodeAuthState(
  state: AuthState,
  encoded: EncodedAuth = createEncodedAuth(),
): Uint8Array | null {
  if (isUntouched(state)) return null
  encoded.users = partOf(encoded.users, state.users, writeUser)
  encoded.roles = partOf(encoded.roles, state.roles, writeRole)
  encoded.tokens = partOf(encoded.tokens, state.tokens, writeToken)
  const out = new ByteWriter()
  out.u8(AUTH_FORMAT).bool(state.enabled).varint(state.revision).varint(state.fence)
  for (const { bytes } of [encoded.users, encoded.roles, encoded.tokens]) out.raw(bytes)
  return out.finish()
}

function partOf<Value>(
  last: EncodedPart,
  map: ReadonlyMap<string, Value>,
  write: (out: ByteWriter, name: string, value: Value) => void,
): EncodedPart {
  if (last.of === map) return last
  const out = new ByteWriter().varint(map.size)
  for (const [name, value] of map) write(out, name, value)
  return { of: map, bytes: out.finish() }
}

function writeUser(out: ByteWriter, name: string, { password, credentialRevision, roles }: AuthUser): void {
  out.text(name).bytes(password).varint(credentialRevision).varint(roles.length)
  for (const role of roles) out.text(role)
}

function writeRole(out: ByteWriter, name: string, { permissions }: AuthRole): void {
  out.text(name).varint(permissions.length)
  for (const permission of permissions) writePermission(out, permission)
}

function writeToken(out: ByteWriter, hash: string, { user, index, expires }: IssuedToken): void {
  writeTokenHash(out, hash)
  out.text(user).varint(index).varint(expires)
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
