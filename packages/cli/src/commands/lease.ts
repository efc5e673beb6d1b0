import type { LeaseId } from '@kvorum/model'
import { defineClientCommand, FAILED, type Command } from '../command.js'
import { formatLeaseId, parseLeaseId, toggle } from '../flag.js'
import { explicit, toJsonText } from '../format/json.js'
import { createPrinter, printHeaderFields, type Printer } from '../format/printer.js'
import { quote } from '../format/quote.js'
import { accepted, rejected, type Parsed } from '../parsed.js'
import { withConnection } from '../session.js'
import type { pb } from '@kvorum/protocol'

const NO_FLAGS = {} as const

function leaseArgument({ rest }: { readonly rest: readonly string[] }): Parsed<LeaseId> {
  const id = parseLeaseId(rest[0]!)
  return id.ok ? id : rejected(`"${rest[0]}" ${id.reason}`)
}

/** With `-w json` etcd's command puts the header's fields beside the others. */
const flatJson = (header: pb.ResponseHeader | null, fields: Readonly<Record<string, unknown>>): string =>
  explicit({ ...header, ...fields })

const grant = defineClientCommand<typeof NO_FLAGS, number>({
  name: 'lease grant',
  usage: '<ttl-seconds>',
  summary: 'Creates a lease and prints its id.',
  flags: NO_FLAGS,
  rest: { least: 1, most: 1 },
  prepare: ({ rest: [ttl = ''] }) => {
    const seconds = /^[0-9]+$/.test(ttl) ? Number(ttl) : NaN
    return Number.isSafeInteger(seconds) ? accepted(seconds) : rejected(`"${ttl}" is not a number of seconds`)
  },
  run: (io, globals, ttl) =>
    withConnection(io, globals, async connection => {
      const response = await connection.call('etcdserverpb.Lease/LeaseGrant', { TTL: ttl })
      const out = createPrinter(io, globals)
      const { ID, TTL } = response
      if (out.format === 'json') out.line(flatJson(response.header, { ID, TTL, Error: response.error }))
      else if (out.format === 'fields') printLeaseFields(out, response)
      else out.line(`lease ${formatLeaseId(ID)} granted with TTL(${TTL}s)`)
    }),
})

const revoke = defineClientCommand<typeof NO_FLAGS, LeaseId>({
  name: 'lease revoke',
  usage: '<lease>',
  summary: 'Ends a lease and deletes the keys attached to it.',
  flags: NO_FLAGS,
  rest: { least: 1, most: 1 },
  prepare: leaseArgument,
  run: (io, globals, id) =>
    withConnection(io, globals, async connection => {
      const response = await connection.call('etcdserverpb.Lease/LeaseRevoke', { ID: id })
      const out = createPrinter(io, globals)
      if (out.format === 'json') out.line(toJsonText(response))
      else if (out.format === 'fields') printHeaderFields(out, response.header)
      else out.line(`lease ${formatLeaseId(id)} revoked`)
    }),
})

const TTL_FLAGS = { keys: toggle('Print the keys attached to it, too.') } as const
interface TimeToLive {
  readonly ID: LeaseId
  readonly keys: boolean
}

const timeToLive = defineClientCommand<typeof TTL_FLAGS, TimeToLive>({
  name: 'lease timetolive',
  usage: '<lease> [flags]',
  summary: 'Prints how long a lease has left.',
  flags: TTL_FLAGS,
  rest: { least: 1, most: 1 },
  prepare: args => {
    const id = leaseArgument(args)
    return id.ok ? accepted({ ID: id.value, keys: args.flags.keys }) : id
  },
  run: (io, globals, request) =>
    withConnection(io, globals, async connection => {
      const response = await connection.call('etcdserverpb.Lease/LeaseTimeToLive', request)
      const out = createPrinter(io, globals)
      if (out.format === 'json') out.line(timeToLiveJson(response))
      else if (out.format === 'fields') printTimeToLiveFields(out, response)
      else printTimeToLive(out, request, response)
    }),
})

const timeToLiveJson = ({ header, ID, TTL, grantedTTL, keys }: pb.LeaseTimeToLiveResponse): string =>
  flatJson(header, { id: ID, ttl: TTL, 'granted-ttl': grantedTTL, keys })

function printTimeToLiveFields(out: Printer, response: pb.LeaseTimeToLiveResponse): void {
  printLeaseFields(out, response)
  out.field('GrantedTTL', response.grantedTTL)
  for (const key of response.keys) out.field('Key', key)
}

function printTimeToLive(out: Printer, request: TimeToLive, response: pb.LeaseTimeToLiveResponse): void {
  const name = `lease ${formatLeaseId(request.ID)}`
  if (response.TTL < 0) return out.line(`${name} already expired`)
  const keys = response.keys.map(key => quote(key).slice(1, -1)).join(' ')
  const attached = request.keys ? `, attached keys([${keys}])` : ''
  return out.line(`${name} granted with TTL(${response.grantedTTL}s), remaining(${response.TTL}s)${attached}`)
}

const list = defineClientCommand<typeof NO_FLAGS, null>({
  name: 'lease list',
  usage: '',
  summary: 'Prints the leases that the asked node knows.',
  flags: NO_FLAGS,
  rest: { least: 0, most: 0 },
  prepare: () => accepted(null),
  run: (io, globals) =>
    withConnection(io, globals, async connection => {
      const response = await connection.call('etcdserverpb.Lease/LeaseLeases', {})
      const out = createPrinter(io, globals)
      const ids = response.leases.map(({ ID }) => ID)
      if (out.format === 'json') {
        out.line(flatJson(response.header, { leases: ids.map(id => ({ id })) }))
      } else if (out.format === 'fields') {
        printHeaderFields(out, response.header)
        for (const id of ids) out.field('ID', id)
      } else {
        out.line(`found ${ids.length} leases`)
        for (const id of ids) out.line(formatLeaseId(id))
      }
    }),
})

const KEEP_FLAGS = { once: toggle('Renew it once and stop.') } as const
interface KeepAlive {
  readonly id: LeaseId
  readonly once: boolean
}

const keepAlive = defineClientCommand<typeof KEEP_FLAGS, KeepAlive>({
  name: 'lease keep-alive',
  usage: '<lease> [flags]',
  summary: 'Renews a lease again and again, until it is stopped.',
  flags: KEEP_FLAGS,
  rest: { least: 1, most: 1 },
  prepare: args => {
    const id = leaseArgument(args)
    return id.ok ? accepted({ id: id.value, once: args.flags.once }) : id
  },
  run: (io, globals, { id, once }) =>
    withConnection(io, globals, async connection => {
      const out = createPrinter(io, globals)
      for await (const response of connection.keepAlive(id)) {
        if (response.TTL <= 0) {
          io.say(`Error: lease ${formatLeaseId(id)} expired or revoked`)
          return FAILED
        }
        printKeepAlive(out, response)
        if (once) break
      }
      return undefined
    }),
})

function printKeepAlive(out: Printer, response: pb.LeaseKeepAliveResponse): void {
  const { header, ID, TTL } = response
  if (out.format === 'json') out.line(flatJson(header, { ID, TTL }))
  else if (out.format === 'fields') printLeaseFields(out, response)
  else out.line(`lease ${formatLeaseId(ID)} keepalived with TTL(${TTL})`)
}

interface LeaseResponse {
  readonly header: pb.ResponseHeader | null
  readonly ID: bigint
  readonly TTL: number
}

function printLeaseFields(out: Printer, { header, ID, TTL }: LeaseResponse): void {
  printHeaderFields(out, header)
  out.field('ID', ID)
  out.field('TTL', TTL)
}

export const leaseCommands: readonly Command[] = [grant, revoke, timeToLive, list, keepAlive]
