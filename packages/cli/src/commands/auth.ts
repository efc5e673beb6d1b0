import type { Command } from '../command.js'
import { accepted } from '../parsed.js'
import { defineVerb, NO_FLAGS } from './verb.js'
import type { Connection } from '../connection.js'

const NOTHING = { usage: '', flags: NO_FLAGS, rest: { least: 0, most: 0 }, prepare: () => accepted(null) }

/** As etcd's command: a root user without the role gets it, so that one command is enough. */
async function enable(connection: Connection) {
  try {
    return await connection.call('etcdserverpb.Auth/AuthEnable', {})
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes('root user does not have root role')) throw error
    const { roles } = await connection.call('etcdserverpb.Auth/RoleList', {})
    if (!roles.includes('root')) await connection.call('etcdserverpb.Auth/RoleAdd', { name: 'root' })
    await connection.call('etcdserverpb.Auth/UserGrantRole', { user: 'root', role: 'root' })
    return connection.call('etcdserverpb.Auth/AuthEnable', {})
  }
}

export const authCommands: readonly Command[] = [
  defineVerb({
    ...NOTHING,
    name: 'auth enable',
    summary: 'Asks every request for its user from now on. The user root must exist.',
    ask: connection => enable(connection),
    simple: out => out.line('Authentication Enabled'),
  }),
  defineVerb({
    ...NOTHING,
    name: 'auth disable',
    summary: 'Lets everybody do everything again.',
    ask: connection => connection.call('etcdserverpb.Auth/AuthDisable', {}),
    simple: out => out.line('Authentication Disabled'),
  }),
  defineVerb({
    ...NOTHING,
    name: 'auth status',
    summary: 'Prints whether requests are asked for their user.',
    ask: connection => connection.call('etcdserverpb.Auth/AuthStatus', {}),
    simple: (out, { enabled, authRevision }) => {
      out.line(`Authentication Status: ${enabled}`)
      out.line(`AuthRevision: ${authRevision}`)
    },
    fields: (out, { enabled, authRevision }) => {
      out.field('Enabled', enabled)
      out.field('AuthRevision', authRevision)
    },
  }),
]
