import { createHash } from 'node:crypto'
import type { AuthState } from '@kvorum/model'
import { applyAuthCommand, EMPTY_AUTH, type AuthCommand } from '@kvorum/placement'
import { Passwords } from '#src/auth/passwords.js'
import type { Caller } from './caller.js'
import type { Running } from './harness.js'

/** Everybody's password. */
export const PASSWORD = 'pw'
const EXPIRED = 'EEEEEEEEEEEEEEEE'

export function after(state: AuthState, ...commands: AuthCommand[]): AuthState {
  return commands.reduce((now, command) => {
    const outcome = applyAuthCommand(now, command, 7)
    if (!outcome.ok) throw new Error(`${command.kind}: ${outcome.error.code}`)
    return outcome.value.state
  }, state)
}

const range = (type: 'read' | 'readwrite', prefix: string, end: string) => ({
  type,
  key: Buffer.from(prefix),
  rangeEnd: Buffer.from(end),
})

/** `reader` reads r/, `writer` reads and writes w/, `root` does everything, and authentication is on. */
export async function withUsers({ node }: Running): Promise<void> {
  const hashed = await new Passwords().hash(PASSWORD)
  if (!hashed.ok) throw new Error(hashed.error.code)
  const password = hashed.value
  node.meta.auth = after(
    EMPTY_AUTH,
    { kind: 'userAdd', name: 'root', password },
    { kind: 'userGrantRole', name: 'root', role: 'root' },
    { kind: 'roleAdd', role: 'r' },
    { kind: 'roleGrant', role: 'r', permission: range('read', 'r/', 'r0') },
    { kind: 'userAdd', name: 'reader', password },
    { kind: 'userGrantRole', name: 'reader', role: 'r' },
    { kind: 'roleAdd', role: 'w' },
    { kind: 'roleGrant', role: 'w', permission: range('readwrite', 'w/', 'w0') },
    { kind: 'userAdd', name: 'writer', password },
    { kind: 'userGrantRole', name: 'writer', role: 'w' },
    { kind: 'enable' },
  )
}

export interface SignedIn {
  readonly tokens: { readonly reader: string; readonly writer: string; readonly root: string }
  /** Of root, and too old. */
  readonly expired: string
}

export async function signIn(caller: Caller, { node }: Running): Promise<SignedIn> {
  const token = async (name: string): Promise<string> =>
    (await caller.call('etcdserverpb.Auth/Authenticate', { name, password: PASSWORD })).token
  const tokens = { reader: await token('reader'), writer: await token('writer'), root: await token('root') }
  node.meta.auth = {
    ...node.meta.auth,
    tokens: new Map(node.meta.auth.tokens).set(createHash('sha256').update(EXPIRED).digest('hex'), {
      user: 'root',
      index: 1,
      expires: Date.now() - 1,
    }),
  }
  return { tokens, expired: `${EXPIRED}.1` }
}
