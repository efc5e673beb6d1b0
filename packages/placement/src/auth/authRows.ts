import {
  ByteReader,
  MalformedError,
  toKeyString,
  type AuthRole,
  type AuthState,
  type AuthUser,
  type IssuedToken,
  type StoreRow,
  type StoreWrite,
} from '@kvorum/model'
import {
  AUTH_FORMAT,
  encodeRole,
  encodeToken,
  encodeUser,
  readRole,
  readToken,
  readUser,
  type AuthHead,
} from './authState.js'

/**
 * Users, roles and tokens are rows of their own beside the meta group's: a change among ten thousand users writes the
 * row of one of them. A map that was not replaced has not changed, and neither has an entry that is the same record.
 *
 *     `M` kind (1) name, or a token's hash     format (1), what is known of it
 */
interface Table<Value> {
  readonly kind: number
  readonly of: (state: AuthState) => ReadonlyMap<string, Value>
  /** How a name, or a hash, is told as bytes. */
  readonly text: 'utf8' | 'hex'
  readonly encode: (value: Value) => Uint8Array
}

const PREFIX = 0x4d
const USERS: Table<AuthUser> = { kind: 0x55, of: ({ users }) => users, text: 'utf8', encode: encodeUser }
const ROLES: Table<AuthRole> = { kind: 0x52, of: ({ roles }) => roles, text: 'utf8', encode: encodeRole }
const TOKENS: Table<IssuedToken> = {
  kind: 0x54,
  of: ({ tokens }) => tokens,
  text: 'hex',
  encode: encodeToken,
}

const keyOf = ({ kind, text }: Pick<Table<unknown>, 'kind' | 'text'>, name: string): Uint8Array =>
  Buffer.concat([Buffer.of(PREFIX, kind), Buffer.from(name, text)])

/** What turns the rows of `before` into those of `after`. */
export const authWrites = (before: AuthState, after: AuthState): StoreWrite[] => [
  ...tableWrites(USERS, before, after),
  ...tableWrites(ROLES, before, after),
  ...tableWrites(TOKENS, before, after),
]

function tableWrites<Value>(table: Table<Value>, before: AuthState, after: AuthState): StoreWrite[] {
  const [was, is] = [table.of(before), table.of(after)]
  if (was === is) return []
  const writes: StoreWrite[] = []
  for (const [name, value] of is)
    if (was.get(name) !== value) writes.push({ key: keyOf(table, name), value: table.encode(value) })
  for (const name of was.keys()) if (!is.has(name)) writes.push({ key: keyOf(table, name), value: null })
  return writes
}

/** Together with its rows. Malformed where they are not all that it speaks of, or more. */
export function withAuthRows(head: AuthHead, rows: readonly StoreRow[]): AuthState {
  const { enabled, revision, fence } = head
  const users = new Map<string, AuthUser>()
  const roles = new Map<string, AuthRole>()
  const tokens: [string, IssuedToken][] = []
  for (const { key, value } of rows) {
    const name = Buffer.from(key.subarray(2))
    const input = new ByteReader(value)
    const format = input.u8()
    if (key[0] !== PREFIX || format !== AUTH_FORMAT)
      throw new MalformedError(`row ${toKeyString(key)} in format ${format} is not known`)
    if (key[1] === USERS.kind) users.set(name.toString(), readUser(input, name.toString()))
    else if (key[1] === ROLES.kind) roles.set(name.toString(), readRole(input, name.toString()))
    else if (key[1] === TOKENS.kind) tokens.push([name.toString('hex'), readToken(input)])
    else throw new MalformedError(`rows of kind ${key[1]} are not known`)
    input.end()
  }
  if (users.size !== head.users || roles.size !== head.roles || tokens.length !== head.tokens)
    throw new MalformedError('users, roles or tokens are missing, or too many')
  // The oldest go first when there are too many: their order is part of the state.
  tokens.sort(([, a], [, b]) => a.index - b.index)
  return { enabled, revision, fence, users, roles, tokens: new Map(tokens) }
}
