import type { Flag, FlagTable, FlagValues } from './flag.js'
import { accepted, rejected, type Parsed } from './parsed.js'

/** What stood on a command line: flags by name, the rest in order. */
export interface Arguments<Table extends FlagTable> {
  readonly flags: FlagValues<Table>
  readonly rest: readonly string[]
  /** Names of the flags that were written, to tell a value from a default. */
  readonly given: ReadonlySet<string>
  readonly help: boolean
}

/** One-letter names. */
const SHORT: Readonly<Record<string, string>> = { w: 'write-out', h: 'help', i: 'interactive' }

export const shortName = (name: string): string => SHORT[name] ?? name

/**
 * Flags as Go programs take them: one dash or two, `--name=value` or `--name value`, a switch alone or as
 * `--name=false`; flags and arguments in any order; `--` ends the flags. The last of one name wins.
 */
export function parseArguments<Table extends FlagTable>(
  table: Table,
  argv: readonly string[],
): Parsed<Arguments<Table>> {
  const values: Record<string, unknown> = {}
  for (const [name, flag] of Object.entries(table)) values[name] = flag.fallback
  const rest: string[] = []
  const given = new Set<string>()
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at]!
    if (argument === '--') {
      rest.push(...argv.slice(at + 1))
      break
    }
    const match = /^--?([^-=][^=]*)(?:=([\s\S]*))?$/.exec(argument)
    if (match === null) {
      rest.push(argument)
      continue
    }
    const name = shortName(match[1]!)
    given.add(name)
    if (name === 'help') continue
    const flag: Flag<unknown> | undefined = Object.hasOwn(table, name) ? table[name] : undefined
    if (flag === undefined)
      return rejected(`there is no flag ${argument.split('=')[0]} here; --help lists them, and -- ends them`)
    const text = match[2] ?? (flag.kind === 'switch' ? 'true' : argv[++at])
    if (text === undefined) return rejected(`the flag --${name} needs a value`)
    const value = flag.parse(text)
    if (!value.ok) return rejected(`--${name} ${value.reason}, not "${text}"`)
    values[name] = value.value
  }
  return accepted({ flags: values as FlagValues<Table>, rest, given, help: given.has('help') })
}
