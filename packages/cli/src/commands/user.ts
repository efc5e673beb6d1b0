import type { Command } from '../command.js'
import { toggle } from '../flag.js'
import { accepted, rejected } from '../parsed.js'
import { newPassword, PASSWORD_FLAGS, passwordSource } from '../password.js'
import { userGet } from './userGet.js'
import { defineVerb, NO_FLAGS } from './verb.js'

const ONE = { least: 1, most: 1 }
const TWO = { least: 2, most: 2 }
const ADD_FLAGS = {
  ...PASSWORD_FLAGS,
  'no-password': toggle('No password opens this user; it is named by a certificate or a signed token.'),
} as const

const NO_PASSWORD = { kind: 'written', password: '' } as const

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
    if (flags['no-password']) return accepted({ user: first, source: NO_PASSWORD, open: false })
    const source = passwordSource(colon < 0 ? null : first.slice(colon + 1), flags)
    return accepted({ user, source, open: true })
  },
  ask: async (connection, { user, source, open }, io) =>
    connection.call('etcdserverpb.Auth/UserAdd', {
      name: user,
      password: await newPassword(io, source, user),
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
  prepare: ({ rest: [user = ''], flags }) => accepted({ user, source: passwordSource(null, flags) }),
  ask: async (connection, { user, source }, io) =>
    connection.call('etcdserverpb.Auth/UserChangePassword', {
      name: user,
      password: await newPassword(io, source, user),
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
  userGet,
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
