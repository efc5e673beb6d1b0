import type { pb } from '@kvorum/protocol'
import { defineClientCommand, type Command } from '../command.js'
import type { FlagTable } from '../flag.js'
import { toJsonText } from '../format/json.js'
import { createPrinter, printHeaderFields, type Printer } from '../format/printer.js'
import { tableText } from '../format/table.js'
import type { GlobalValues } from '../globals.js'
import type { Connection } from '../connection.js'
import type { Io } from '../io.js'
import type { Parsed } from '../parsed.js'
import { withConnection } from '../session.js'
import type { Arguments } from '../arguments.js'

export const NO_FLAGS = {} as const

type Answer = { readonly header: pb.ResponseHeader | null }

interface Verb<Table extends FlagTable, Prepared, Response extends Answer> {
  readonly name: string
  readonly usage: string
  readonly summary: string
  readonly details?: string
  readonly flags: Table
  readonly rest: { readonly least: number; readonly most: number }
  prepare(args: Arguments<Table>): Parsed<Prepared>
  ask(connection: Connection, prepared: Prepared, io: Io): Promise<Response>
  simple(out: Printer, response: Response, prepared: Prepared): void
  /** Beside the header. */
  fields?(out: Printer, response: Response): void
  table?(response: Response): { readonly head: readonly string[]; readonly rows: readonly string[][] }
}

/** A command that asks once and prints the answer as it was asked to. */
export const defineVerb = <Table extends FlagTable, Prepared, Response extends Answer>(
  verb: Verb<Table, Prepared, Response>,
): Command =>
  defineClientCommand<Table, Prepared>({
    name: verb.name,
    usage: verb.usage,
    summary: verb.summary,
    ...(verb.details === undefined ? {} : { details: verb.details }),
    flags: verb.flags,
    rest: verb.rest,
    tables: verb.table !== undefined,
    prepare: args => verb.prepare(args),
    run: (io: Io, globals: GlobalValues, prepared: Prepared) =>
      withConnection(io, globals, async connection => {
        const response = await verb.ask(connection, prepared, io)
        const out = createPrinter(io, globals)
        if (out.format === 'json') out.line(toJsonText(response))
        else if (out.format === 'fields') {
          printHeaderFields(out, response.header)
          verb.fields?.(out, response)
        } else if (out.format === 'table' && verb.table !== undefined) {
          const { head, rows } = verb.table(response)
          out.line(tableText(head, rows))
        } else verb.simple(out, response, prepared)
      }),
  })
