import { parseDocument } from 'yaml'
import { accepted, rejected, type Parsed } from './flag.js'
import { flagNamed, type FlagName } from './flags.js'
import type { RawSettings } from './argv.js'

/**
 * The settings of a YAML file: a mapping from flag names to scalars or lists of scalars. A key that is not
 * known is refused: a setting that nobody reads is a mistake its author should hear of.
 */
export function parseConfigFile(source: string): Parsed<RawSettings> {
  const document = parseDocument(source, { schema: 'core', prettyErrors: true })
  const problem = document.errors[0]
  if (problem !== undefined) return rejected(`is not valid YAML: ${firstLine(problem.message)}`)
  const content: unknown = document.toJS({ maxAliasCount: 0 })
  const settings = new Map<FlagName, string>()
  if (content === null || content === undefined) return accepted(settings)
  if (typeof content !== 'object' || Array.isArray(content))
    return rejected('must hold a mapping from setting names to values.')
  for (const [key, value] of Object.entries(content)) {
    const name = flagNamed(key)
    if (name === null || name === 'config-file') return rejected(`has the unknown setting "${key}".`)
    const written = scalarText(value)
    if (written === null) return rejected(`gives "${key}" something that is neither a value nor a list.`)
    settings.set(name, written)
  }
  return accepted(settings)
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
