import { pb } from '@kvorum/protocol'
import type { Command } from '../command.js'
import { printRole, printRoleFields, rangeText } from '../format/role.js'
import { keyRange, RANGE_FLAGS } from '../keyRange.js'
import { accepted, rejected } from '../parsed.js'
import { defineVerb, NO_FLAGS } from './verb.js'

const ONE = { least: 1, most: 1 }
const role = ({ rest: [first = ''] }: { readonly rest: readonly string[] }) => accepted(first)

const TYPES: Readonly<Record<string, number>> = {
  read: pb.PermissionType.READ,
  write: pb.PermissionType.WRITE,
  readwrite: pb.PermissionType.READWRITE,
}
const grant = defineVerb({
  name: 'role grant-permission',
  usage: '<role> read|write|readwrite <key> [range-end] [flags]',
  summary: 'Lets a role read or write keys.',
  flags: RANGE_FLAGS,
  rest: { least: 3, most: 4 },
  prepare: args => {
    const [name = '', type = '', ...keys] = args.rest
    const permType = TYPES[type.toLowerCase()]
    if (permType === undefined)
      return rejected(`"${type}" is not a type of permission: read, write, readwrite`)
    const range = keyRange({ ...args, rest: keys })
    return range.ok ? accepted({ name, perm: { permType, ...range.value } }) : range
  },
  ask: (connection, request) => connection.call('etcdserverpb.Auth/RoleGrantPermission', request),
  simple: (out, _response, { name }) => out.line(`Role ${name} updated`),
})

const revoke = defineVerb({
  name: 'role revoke-permission',
  usage: '<role> <key> [range-end] [flags]',
  summary: 'Takes a permission from a role: the one with exactly these keys.',
  flags: RANGE_FLAGS,
  rest: { least: 2, most: 3 },
  prepare: args => {
    const [name = '', ...keys] = args.rest
    const range = keyRange({ ...args, rest: keys })
    return range.ok ? accepted({ role: name, ...range.value }) : range
  },
  ask: (connection, request) => connection.call('etcdserverpb.Auth/RoleRevokePermission', request),
  simple: (out, _response, request) => {
    const what = request.range_end.length === 0 ? 'key' : 'range'
    out.line(`Permission of ${what} ${rangeText(request)} is revoked from role ${request.role}`)
  },
})

export const roleCommands: readonly Command[] = [
  defineVerb({
    name: 'role add',
    usage: '<role>',
    summary: 'Makes a role.',
    flags: NO_FLAGS,
    rest: ONE,
    prepare: role,
    ask: (connection, name) => connection.call('etcdserverpb.Auth/RoleAdd', { name }),
    simple: (out, _response, name) => out.line(`Role ${name} created`),
  }),
  defineVerb({
    name: 'role delete',
    usage: '<role>',
    summary: 'Removes a role, also from the users who have it.',
    flags: NO_FLAGS,
    rest: ONE,
    prepare: role,
    ask: (connection, name) => connection.call('etcdserverpb.Auth/RoleDelete', { role: name }),
    simple: (out, _response, name) => out.line(`Role ${name} deleted`),
  }),
  defineVerb({
    name: 'role get',
    usage: '<role>',
    summary: 'Prints what a role may read and write.',
    flags: NO_FLAGS,
    rest: ONE,
    prepare: role,
    ask: (connection, name) => connection.call('etcdserverpb.Auth/RoleGet', { role: name }),
    simple: (out, response, name) => printRole(out, name, response),
    fields: printRoleFields,
  }),
  defineVerb({
    name: 'role list',
    usage: '',
    summary: 'Prints the names of all roles.',
    flags: NO_FLAGS,
    rest: { least: 0, most: 0 },
    prepare: () => accepted(null),
    ask: connection => connection.call('etcdserverpb.Auth/RoleList', {}),
    simple: (out, { roles }) => roles.forEach(each => out.line(each)),
    fields: (out, { roles }) => out.line(`"Roles" :${roles.map(each => ` "${each}"`).join('')}`),
  }),
  grant,
  revoke,
]
