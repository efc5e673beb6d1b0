import { createRequire } from 'node:module'
import type * as Yaml from 'yaml'
import { accepted, rejected, type Parsed } from './flag.js'
import { flagNamed, type FlagName } from './flags.js'
import type { RawSettings } from './argv.js'

/** Most servers have no such file, and would wait for seventy modules to be loaded. */
const load = createRequire(import.meta.url)

/**
 * The settings of a YAML file: a mapping from flag names to scalars or lists of scalars, and the two sections that
 * etcd's files have for certificates. A key that is not known is refused: a setting that nobody reads is a mistake its
 * author should hear of.
 */
export function parseConfigFile(source: string): Parsed<RawSettings> {
  const { parseDocument } = load('yaml') as typeof Yaml
  const document = parseDocument(source, { schema: 'core', prettyErrors: true })
  const problem = document.errors[0]
  if (problem !== undefined) return rejected(`is not valid YAML: ${firstLine(problem.message)}`)
  const content: unknown = document.toJS({ maxAliasCount: 0 })
  const settings = new Map<FlagName, string>()
  if (content === null || content === undefined) return accepted(settings)
  if (typeof content !== 'object' || Array.isArray(content))
    return rejected('must hold a mapping from setting names to values.')
  for (const { key, flag, value } of entriesOf(content)) {
    const name = flagNamed(flag)
    if (name === null || name === 'config-file') return rejected(`has the unknown setting "${key}".`)
    const written = scalarText(value)
    if (written === null) return rejected(`gives "${key}" something that is neither a value nor a list.`)
    settings.set(name, written)
  }
  return accepted(settings)
}

/** Sections of etcd's files, and how the flags begin whose names go on as the section's keys do. */
const SECTIONS: ReadonlyMap<string, string> = new Map([
  ['client-transport-security', ''],
  ['peer-transport-security', 'peer-'],
])

interface Entry {
  /** As the author knows it. */
  readonly key: string
  readonly flag: string
  readonly value: unknown
}

function entriesOf(content: object): Entry[] {
  return Object.entries(content).flatMap(([key, value]): Entry[] => {
    const prefix = SECTIONS.get(key)
    if (prefix === undefined || typeof value !== 'object' || Array.isArray(value))
      return [{ key, flag: key, value: value as unknown }]
    return Object.entries((value ?? {}) as object).map(([name, inner]: [string, unknown]) => ({
      key: `${key}.${name}`,
      flag: prefix + name,
      value: inner,
    }))
  })
}

function scalarText(value: unknown): string | null {
  if (Array.isArray(value)) {
    const items = value.map(scalarText)
    return items.includes(null) ? null : items.join(',')
  }
  switch (typeof value) {
    case 'string':
      return value
    case 'number':
    case 'boolean':
      return String(value)
    default:
      return value === null ? '' : null
  }
}

const firstLine = (message: string): string => message.split('\n', 1)[0]!.replace(/:$/, '.')
