import { EMPTY, utf8 } from '@kvorum/model'
import type { Init, pb } from '@kvorum/protocol'
import type { Arguments } from '../arguments.js'
import { defineClientCommand } from '../command.js'
import { lease, toggle } from '../flag.js'
import { toJsonText } from '../format/json.js'
import { createPrinter, printHeaderFields, printKeyValueFields, printPair } from '../format/printer.js'
import type { Printer } from '../format/printer.js'
import { accepted, rejected, type Parsed } from '../parsed.js'
import { withConnection } from '../session.js'

export const PUT_FLAGS = {
  lease: lease('Attach the key to this lease (hexadecimal); it goes when the lease does.'),
  'prev-kv': toggle('Print what the key held before.'),
  'ignore-value': toggle('Keep the value; the key must exist.'),
  'ignore-lease': toggle('Keep the lease; the key must exist.'),
} as const

/** `value` null: to be read from standard input. */
export interface PutArguments {
  readonly request: Init<pb.PutRequest>
  readonly value: Uint8Array | null
}

export function putRequest(args: Arguments<typeof PUT_FLAGS>): Parsed<PutArguments> {
  const [key = '', value] = args.rest
  const { flags } = args
  if (flags['ignore-value'] && value !== undefined)
    return rejected('a value cannot stand beside --ignore-value')
  if (flags['ignore-lease'] && flags.lease !== 0n)
    return rejected('--lease and --ignore-lease exclude each other')
  const fromInput = value === undefined && !flags['ignore-value']
  return accepted({
    request: {
      key: utf8(key),
      lease: flags.lease,
      prev_kv: flags['prev-kv'],
      ignore_value: flags['ignore-value'],
      ignore_lease: flags['ignore-lease'],
    },
    value: fromInput ? null : value === undefined ? EMPTY : utf8(value),
  })
}

export const put = defineClientCommand<typeof PUT_FLAGS, PutArguments>({
  name: 'put',
  usage: '<key> [value] [flags]',
  summary: 'Writes a key.',
  details: 'Without <value> it is read from standard input. Put -- before a value that begins with a dash.',
  flags: PUT_FLAGS,
  rest: { least: 1, most: 2 },
  prepare: putRequest,
  run: async (io, globals, { request, value }) => {
    const bytes = value ?? (await io.readInput())
    return withConnection(io, globals, async connection => {
      const response = await connection.call('etcdserverpb.KV/Put', { ...request, value: bytes })
      const out = createPrinter(io, globals)
      if (out.format === 'json') out.line(toJsonText(response))
      else if (out.format === 'fields') printPutFields(out, response)
      else printPut(out, response)
    })
  },
})

export function printPut(out: Printer, response: pb.PutResponse): void {
  out.line('OK')
  if (response.prev_kv !== null) printPair(out, response.prev_kv)
}

export function printPutFields(out: Printer, response: pb.PutResponse): void {
  printHeaderFields(out, response.header)
  if (response.prev_kv !== null) printKeyValueFields(out, 'Prev', response.prev_kv)
}
