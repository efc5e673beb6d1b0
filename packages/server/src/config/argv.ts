import { flagNamed, FLAGS, type FlagName } from './flags.js'
import { accepted, rejected, type Parsed } from './flag.js'

/** Settings as text, before they mean anything. A later one of the same name wins. */
export type RawSettings = ReadonlyMap<FlagName, string>

export type CommandLine =
  | { readonly kind: 'settings'; readonly settings: RawSettings }
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }

/**
 * Flags as Go programs take them: one dash or two; the value after `=` or as the next argument; a bool never
 * takes the next argument; `--` ends the flags. Anything that is no flag is refused.
 */
export function parseCommandLine(argv: readonly string[]): Parsed<CommandLine> {
  const settings = new Map<FlagName, string>()
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at]!
    if (argument === '--') {
      if (at + 1 < argv.length) return rejected(`"${argv[at + 1]}" is not a flag.`)
      break
    }
    const match = /^--?([^-=][^=]*)(?:=([\s\S]*))?$/.exec(argument)
    if (match === null) return rejected(`"${argument}" is not a flag.`)
    const written = match[1]!
    if (written === 'help' || written === 'h') return accepted({ kind: 'help' })
    if (written === 'version') return accepted({ kind: 'version' })
    const name = flagNamed(written)
    if (name === null) return rejected(`There is no flag --${written}; see --help.`)
    if (match[2] !== undefined) settings.set(name, match[2])
    else if (FLAGS[name].kind === 'bool') settings.set(name, 'true')
    else if (at + 1 < argv.length) settings.set(name, argv[++at]!)
    else return rejected(`--${name} needs a value.`)
  }
  return accepted({ kind: 'settings', settings })
}
