import type { Init, pb } from '@kvorum/protocol'
import type { Arguments } from '../arguments.js'
import { defineClientCommand } from '../command.js'
import { toggle } from '../flag.js'
import { toJsonText } from '../format/json.js'
import { createPrinter, printHeaderFields, printKeyValueFields, printPair } from '../format/printer.js'
import type { Printer } from '../format/printer.js'
import { keyRange, RANGE_FLAGS } from '../keyRange.js'
import { accepted, type Parsed } from '../parsed.js'
import { withConnection } from '../session.js'

export const DEL_FLAGS = {
  ...RANGE_FLAGS,
  'prev-kv': toggle('Print what was deleted.'),
} as const

export function delRequest(args: Arguments<typeof DEL_FLAGS>): Parsed<Init<pb.DeleteRangeRequest>> {
  const range = keyRange(args)
  return range.ok ? accepted({ ...range.value, prev_kv: args.flags['prev-kv'] }) : range
}

export const del = defineClientCommand<typeof DEL_FLAGS, Init<pb.DeleteRangeRequest>>({
  name: 'del',
  usage: '<key> [range-end] [flags]',
  summary: 'Deletes a key, the keys from one to another, or all with a prefix; prints how many it deleted.',
  flags: DEL_FLAGS,
  rest: { least: 1, most: 2 },
  prepare: delRequest,
  run: (io, globals, request) =>
    withConnection(io, globals, async connection => {
      const response = await connection.call('etcdserverpb.KV/DeleteRange', request)
      const out = createPrinter(io, globals)
      if (out.format === 'json') out.line(toJsonText(response))
      else if (out.format === 'fields') printDelFields(out, response)
      else printDel(out, response)
    }),
})

export function printDel(out: Printer, response: pb.DeleteRangeResponse): void {
  out.line(String(response.deleted))
  for (const kv of response.prev_kvs) printPair(out, kv)
}

export function printDelFields(out: Printer, response: pb.DeleteRangeResponse): void {
  printHeaderFields(out, response.header)
  out.field('Deleted', response.deleted)
  for (const kv of response.prev_kvs) printKeyValueFields(out, 'Prev', kv)
}
