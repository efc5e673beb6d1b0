import type { pb } from '@kvorum/protocol'
import { defineClientCommand, DONE, MISUSED } from '../command.js'
import { toggle } from '../flag.js'
import { explicit, toJsonText } from '../format/json.js'
import { createPrinter, printHeaderFields, printPair, type Printer } from '../format/printer.js'
import { accepted } from '../parsed.js'
import { withConnection } from '../session.js'
import { readScript } from '../txn/script.js'
import { printDel, printDelFields } from './del.js'
import { printRangeFields } from './get.js'
import { printPut, printPutFields } from './put.js'

const TXN_FLAGS = { interactive: toggle('Say what is expected before each part (also -i).') } as const

const DETAILS = `It is read from standard input in three parts, each ended by an empty line: comparisons, what to do
if all of them hold, what to do otherwise. For example:

  mod("flag") > "0"
  value("owner") = "me"

  put flag "on again"
  get owner --prefix

  del flag

  (an empty line)

Comparisons are of ver, create, mod, val or lease, by =, !=, < or >.`

export const txn = defineClientCommand<typeof TXN_FLAGS, boolean>({
  name: 'txn',
  usage: '[flags] < script',
  summary: 'Runs a transaction: all of it at one revision, or none.',
  details: DETAILS,
  flags: TXN_FLAGS,
  rest: { least: 0, most: 0 },
  prepare: args => accepted(args.flags.interactive),
  run: async (io, globals, interactive) => {
    const script = await readScript(io.readLines(), title => interactive && io.write(`${title}\n`))
    if (!script.ok) {
      io.say(`Error: kvorum txn: ${script.reason}.`)
      return MISUSED
    }
    return withConnection(io, globals, async connection => {
      const response = await connection.call('etcdserverpb.KV/Txn', script.value)
      const out = createPrinter(io, globals)
      if (out.format === 'json') out.line(txnJson(response))
      else if (out.format === 'fields') printFields(out, response)
      else printSimple(out, response)
      return DONE
    })
  },
})

function printSimple(out: Printer, response: pb.TxnResponse): void {
  out.line(response.succeeded ? 'SUCCESS' : 'FAILURE')
  for (const { response_put, response_range, response_delete_range } of response.responses) {
    out.line('')
    if (response_put !== null) printPut(out, response_put)
    if (response_delete_range !== null) printDel(out, response_delete_range)
    for (const kv of response_range?.kvs ?? []) printPair(out, kv)
  }
}

function printFields(out: Printer, response: pb.TxnResponse): void {
  printHeaderFields(out, response.header)
  out.field('Succeeded', response.succeeded)
  for (const { response_put, response_range, response_delete_range } of response.responses) {
    if (response_put !== null) printPutFields(out, response_put)
    if (response_delete_range !== null) printDelFields(out, response_delete_range)
    if (response_range !== null) printRangeFields(out, response_range)
  }
}

/** Each answer under the name that etcd's command gives it. */
function txnJson({ header, succeeded, responses }: pb.TxnResponse): string {
  const parts = [`"header":${toJsonText(header ?? {})}`]
  if (succeeded) parts.push('"succeeded":true')
  const items = responses.map(one => {
    const [name, response] =
      one.response_put !== null
        ? (['ResponsePut', one.response_put] as const)
        : one.response_delete_range !== null
          ? (['ResponseDeleteRange', one.response_delete_range] as const)
          : (['ResponseRange', one.response_range ?? {}] as const)
    return `{"Response":${explicit({ [name]: response })}}`
  })
  if (items.length > 0) parts.push(`"responses":[${items.join(',')}]`)
  return `{${parts.join(',')}}`
}
