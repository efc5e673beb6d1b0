import type { Command } from '../command.js'
import { text, toggle } from '../flag.js'
import type { Io } from '../io.js'
import { accepted, rejected, type Parsed } from '../parsed.js'
import { defineVerb, NO_FLAGS } from './authAnswer.js'

const ONE = { least: 1, most: 1 }
const TWO = { least: 2, most: 2 }
const PASSWORD_FLAGS = {
  'new-user-password': text('password', 'The password.'),
  interactive: toggle('--interactive=false: read the password from the standard input.', true),
} as const
const ADD_FLAGS = {
  ...PASSWORD_FLAGS,
  'no-password': toggle('No password opens this user; it is named by a certificate or a signed token.'),
} as const

/** A password that is written, or null where the standard input has it. */
function passwordOf(
  written: string | null,
  flags: { readonly 'new-user-password': string; readonly interactive: boolean },
): Parsed<string | null> {
  if (flags['new-user-password'] !== '') return accepted(flags['new-user-password'])
  if (written !== null) return accepted(written)
  if (!flags.interactive) return accepted(null)
  return rejected('a password is needed: name:password, --new-user-password, or --interactive=false')
}

const readPassword = async (io: Io): Promise<string> =>
  Buffer.from(await io.readInput())
    .toString('utf8')
    .replace(/\r?\n$/, '')

const name = ({ rest: [first = ''] }: { readonly rest: readonly string[] }) => accepted(first)
const nameAndRole = ({ rest: [user = '', role = ''] }: { readonly rest: readonly string[] }) =>
  accepted({ user, role })

const add = defineVerb({
  name: 'user add',
  usage: '<name or name:password> [flags]',
  summary: 'Makes a user.',
  flags: ADD_FLAGS,
  rest: ONE,
  prepare: ({ rest: [first = ''], flags }) => {
    const colon = first.indexOf(':')
    const user = colon < 0 ? first : first.slice(0, colon)
    if (user === '') return rejected('an empty user name is not allowed')
    if (flags['no-password']) return accepted({ user: first, password: '', open: false })
    const password = passwordOf(colon < 0 ? null : first.slice(colon + 1), flags)
    return password.ok ? accepted({ user, password: password.value, open: true }) : password
  },
  ask: async (connection, { user, password, open }, io) =>
    connection.call('etcdserverpb.Auth/UserAdd', {
      name: user,
      password: password ?? (await readPassword(io)),
      options: { no_password: !open },
    }),
  simple: (out, _response, { user }) => out.line(`User ${user} created`),
})

const passwd = defineVerb({
  name: 'user passwd',
  usage: '<name> [flags]',
  summary: 'Changes the password of a user, and ends what was opened with the old one.',
  flags: PASSWORD_FLAGS,
  rest: ONE,
  prepare: ({ rest: [user = ''], flags }) => {
    const password = passwordOf(null, flags)
    return password.ok ? accepted({ user, password: password.value }) : password
  },
  ask: async (connection, { user, password }, io) =>
    connection.call('etcdserverpb.Auth/UserChangePassword', {
      name: user,
      password: password ?? (await readPassword(io)),
    }),
  simple: out => out.line('Password updated'),
})

export const userCommands: readonly Command[] = [
  add,
  defineVerb({
    name: 'user delete',
    usage: '<name>',
    summary: 'Removes a user.',
    flags: NO_FLAGS,
    rest: ONE,
    prepare: name,
    ask: (connection, user) => connection.call('etcdserverpb.Auth/UserDelete', { name: user }),
    simple: (out, _response, user) => out.line(`User ${user} deleted`),
  }),
  defineVerb({
    name: 'user get',
    usage: '<name>',
    summary: 'Prints the roles of a user.',
    flags: NO_FLAGS,
    rest: ONE,
    prepare: name,
    ask: (connection, user) => connection.call('etcdserverpb.Auth/UserGet', { name: user }),
    simple: (out, { roles }, user) => {
      out.line(`User: ${user}`)
      out.line(`Roles:${roles.map(role => ` ${role}`).join('')}`)
    },
    fields: (out, { roles }) => out.line(`"Roles" :${roles.map(role => ` "${role}"`).join('')}`),
  }),
  defineVerb({
    name: 'user list',
    usage: '',
    summary: 'Prints the names of all users.',
    flags: NO_FLAGS,
    rest: { least: 0, most: 0 },
    prepare: () => accepted(null),
    ask: connection => connection.call('etcdserverpb.Auth/UserList', {}),
    simple: (out, { users }) => users.forEach(user => out.line(user)),
    fields: (out, { users }) => out.line(`"Users" :${users.map(user => ` "${user}"`).join('')}`),
  }),
  passwd,
  defineVerb({
    name: 'user grant-role',
    usage: '<name> <role>',
    summary: 'Gives a role to a user.',
    flags: NO_FLAGS,
    rest: TWO,
    prepare: nameAndRole,
    ask: (connection, request) => connection.call('etcdserverpb.Auth/UserGrantRole', request),
    simple: (out, _response, { user, role }) => out.line(`Role ${role} is granted to user ${user}`),
  }),
  defineVerb({
    name: 'user revoke-role',
    usage: '<name> <role>',
    summary: 'Takes a role from a user.',
    flags: NO_FLAGS,
    rest: TWO,
    prepare: nameAndRole,
    ask: (connection, { user, role }) =>
      connection.call('etcdserverpb.Auth/UserRevokeRole', { name: user, role }),
    simple: (out, _response, { user, role }) => out.line(`Role ${role} is revoked from user ${user}`),
  }),
]
