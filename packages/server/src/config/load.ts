import { parseCommandLine, type RawSettings } from './argv.js'
import type { ServerConfig } from './config.js'
import { readEnvironment, type Environment } from './environment.js'
import { parseConfigFile } from './file.js'
import { accepted, rejected, type Flag, type Parsed } from './flag.js'
import { FLAG_NAMES, FLAGS, helpText, type FlagName, type FlagValues } from './flags.js'
import { validate } from './validate.js'
import { ETCD_API_VERSION, KVORUM_VERSION } from '../version.js'

export interface ConfigSources {
  readonly argv: readonly string[]
  readonly environment: Environment
  /** Reads a file as UTF-8; may throw. */
  readonly readFile: (path: string) => string
}

export type ConfigOutcome =
  | { readonly kind: 'run'; readonly config: ServerConfig; readonly warnings: readonly string[] }
  /** Print and exit with 0. */
  | { readonly kind: 'print'; readonly text: string }
  /** Print the sentence and exit with 2. */
  | { readonly kind: 'refuse'; readonly reason: string }

/** Flags over environment over defaults; or one file alone, as in etcd. */
export function loadConfig(sources: ConfigSources): ConfigOutcome {
  const line = parseCommandLine(sources.argv)
  if (!line.ok) return { kind: 'refuse', reason: line.reason }
  if (line.value.kind === 'help') return { kind: 'print', text: helpText() }
  if (line.value.kind === 'version')
    return { kind: 'print', text: `kvorum ${KVORUM_VERSION} (etcd API ${ETCD_API_VERSION})\n` }
  const flags = line.value.settings
  const environment = readEnvironment(sources.environment)
  const warnings = [...environment.warnings]
  const settings = choose(flags, environment.settings, sources.readFile, warnings)
  if (!settings.ok) return { kind: 'refuse', reason: settings.reason }
  const values = parseValues(settings.value)
  for (const [name] of settings.value) {
    const { noEffect }: Flag<unknown> = FLAGS[name]
    if (noEffect !== undefined) warnings.push(`--${name} has no effect: ${noEffect}.`)
  }
  const config = values.ok ? validate(values.value) : values
  return config.ok
    ? { kind: 'run', config: config.value, warnings: [...warnings, ...doubtsAbout(config.value)] }
    : { kind: 'refuse', reason: config.reason }
}

function choose(
  flags: RawSettings,
  environment: RawSettings,
  readFile: ConfigSources['readFile'],
  warnings: string[],
): Parsed<RawSettings> {
  const path = flags.get('config-file') ?? environment.get('config-file') ?? ''
  if (path === '') {
    for (const name of FLAG_NAMES)
      if (flags.has(name) && environment.has(name))
        warnings.push(`The environment's setting of --${name} is ignored because the flag is given.`)
    return accepted(new Map([...environment, ...flags]))
  }
  const ignored = FLAG_NAMES.filter(
    name => name !== 'config-file' && (flags.has(name) || environment.has(name)),
  )
  if (ignored.length > 0)
    warnings.push(
      `With --config-file every other setting is ignored: ${ignored.map(name => `--${name}`).join(', ')}.`,
    )
  return readSettings(path, readFile)
}

function readSettings(path: string, readFile: ConfigSources['readFile']): Parsed<RawSettings> {
  let source: string
  try {
    source = readFile(path)
  } catch (error) {
    return rejected(
      `The configuration file ${path} cannot be read (${(error as NodeJS.ErrnoException).code}).`,
    )
  }
  const settings = parseConfigFile(source)
  return settings.ok ? settings : rejected(`The configuration file ${path} ${settings.reason}`)
}

function parseValues(settings: RawSettings): Parsed<FlagValues> {
  const values: Partial<Record<FlagName, unknown>> = {}
  for (const name of FLAG_NAMES) {
    const flag: Flag<unknown> = FLAGS[name]
    const value = flag.parse(settings.get(name) ?? flag.fallback)
    if (!value.ok) return rejected(`--${name} ${value.reason}.`)
    values[name] = value.value
  }
  return accepted(values as FlagValues)
}

/** What is right, and hardly meant. */
function doubtsAbout({ replicas }: ServerConfig): string[] {
  return replicas % 2 === 0 && replicas > 0
    ? [`--replicas=${replicas}: a shard survives the loss of no more members than with ${replicas - 1}.`]
    : []
}
