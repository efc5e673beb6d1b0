import { parseArguments, type Arguments } from './arguments.js'
import { GLOBALS, type GlobalValues } from './globals.js'
import { withPassword } from './password.js'
import { accepted, rejected, type Parsed } from './parsed.js'
import type { FlagTable } from './flag.js'
import type { Io } from './io.js'

/** Statuses of the process. */
export const DONE = 0
export const FAILED = 1
export const MISUSED = 2

export interface Command {
  /** As typed: `get`, `lease grant`. */
  readonly name: string
  /** What follows the name in the first line of help. */
  readonly usage: string
  readonly summary: string
  readonly flags: FlagTable
  /** The status of the process. Rejects where a request fails. */
  execute(io: Io, argv: readonly string[]): Promise<number>
}

export interface CommandSpec<Table extends FlagTable, Prepared> {
  readonly name: string
  readonly usage: string
  readonly summary: string
  /** More lines for `--help`. */
  readonly details?: string
  readonly flags: Table
  readonly rest: { readonly least: number; readonly most: number }
  /** Checks what was written, without touching anything. */
  prepare(args: Arguments<Table>): Parsed<Prepared>
  run(io: Io, prepared: Prepared): Promise<number>
}

export function defineCommand<Table extends FlagTable, Prepared>(
  spec: CommandSpec<Table, Prepared>,
): Command {
  return {
    ...spec,
    execute: async (io, argv) => {
      const args = parseArguments(spec.flags, argv)
      if (args.ok && args.value.help) {
        io.write(commandHelp(spec))
        return DONE
      }
      const prepared = args.ok ? checkAndPrepare(spec, args.value) : args
      if (prepared.ok) return spec.run(io, prepared.value)
      io.say(`Error: kvorum ${spec.name}: ${prepared.reason}.`)
      return MISUSED
    },
  }
}

function checkAndPrepare<Table extends FlagTable, Prepared>(
  spec: CommandSpec<Table, Prepared>,
  args: Arguments<Table>,
): Parsed<Prepared> {
  const { least, most } = spec.rest
  const usage = `the form is: kvorum ${spec.name}${spec.usage === '' ? '' : ` ${spec.usage}`}`
  if (args.rest.length < least) return rejected(`an argument is missing; ${usage}`)
  if (args.rest.length > most) return rejected(`"${args.rest[most]}" is one argument too many; ${usage}`)
  return spec.prepare(args)
}

/** A command that asks a cluster: it also takes the global flags. */
export function defineClientCommand<Table extends FlagTable, Prepared>(
  spec: Omit<CommandSpec<Table, Prepared>, 'run'> & {
    /** Whether it can print a table. */
    readonly tables?: boolean
    run(io: Io, globals: GlobalValues, prepared: Prepared): Promise<number>
  },
): Command {
  return defineCommand({
    ...spec,
    flags: { ...GLOBALS, ...spec.flags },
    prepare: args => {
      if (args.flags['write-out'] === 'table' && spec.tables !== true)
        return rejected('table is not supported as output format here; -w takes simple, json or fields')
      const prepared = spec.prepare(args as unknown as Arguments<Table>)
      return prepared.ok
        ? accepted({ prepared: prepared.value, globals: args.flags as GlobalValues })
        : prepared
    },
    run: async (io, { prepared, globals }) => spec.run(io, await withPassword(io, globals), prepared),
  })
}

const COLUMN = 34

export function commandHelp(spec: {
  readonly name: string
  readonly usage: string
  readonly summary: string
  readonly details?: string
  readonly flags: FlagTable
}): string {
  const rows = Object.entries(spec.flags).map(([name, flag]) => {
    const left = `  --${name}${flag.argument === '' ? '' : ` <${flag.argument}>`}`
    const shown =
      flag.fallback === '' || typeof flag.fallback !== 'string' ? '' : ` (default ${flag.fallback})`
    return `${left.length < COLUMN ? left.padEnd(COLUMN) : `${left}\n${' '.repeat(COLUMN)}`}${flag.help}${shown}`
  })
  const details = spec.details === undefined ? [] : [spec.details, '']
  return [
    `Usage: kvorum ${spec.name} ${spec.usage}`.trimEnd(),
    '',
    spec.summary,
    '',
    ...details,
    ...rows,
    '',
  ].join('\n')
}
