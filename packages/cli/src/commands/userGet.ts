import type { pb } from '@kvorum/protocol'
import { defineClientCommand } from '../command.js'
import { toggle } from '../flag.js'
import { toJsonText } from '../format/json.js'
import { createPrinter, printHeaderFields, type Printer } from '../format/printer.js'
import { printRole, printRoleFields } from '../format/role.js'
import { accepted } from '../parsed.js'
import { withConnection } from '../session.js'

const FLAGS = { detail: toggle('Print what each of the roles may read and write.') } as const

export const userGet = defineClientCommand<typeof FLAGS, { user: string; detail: boolean }>({
  name: 'user get',
  usage: '<name> [--detail]',
  summary: 'Prints the roles of a user.',
  flags: FLAGS,
  rest: { least: 1, most: 1 },
  prepare: ({ rest: [user = ''], flags: { detail } }) => accepted({ user, detail }),
  run: (io, globals, { user, detail }) =>
    withConnection(io, globals, async connection => {
      const response = await connection.call('etcdserverpb.Auth/UserGet', { name: user })
      const out = createPrinter(io, globals)
      if (!detail) return printUser(out, user, response)
      out.line(`User: ${user}`)
      for (const role of response.roles) {
        out.line('')
        printDetail(out, role, await connection.call('etcdserverpb.Auth/RoleGet', { role }))
      }
    }),
})

function printUser(out: Printer, user: string, response: pb.AuthUserGetResponse): void {
  if (out.format === 'json') out.line(toJsonText(response))
  else if (out.format === 'fields') {
    printHeaderFields(out, response.header)
    out.line(`"Roles" :${response.roles.map(role => ` "${role}"`).join('')}`)
  } else {
    out.line(`User: ${user}`)
    out.line(`Roles:${response.roles.map(role => ` ${role}`).join('')}`)
  }
}

function printDetail(out: Printer, name: string, role: pb.AuthRoleGetResponse): void {
  if (out.format === 'json') out.line(toJsonText(role))
  else if (out.format === 'fields') {
    printHeaderFields(out, role.header)
    printRoleFields(out, role)
  } else printRole(out, name, role)
}
