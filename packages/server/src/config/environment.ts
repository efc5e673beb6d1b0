import { environmentNames, FLAG_NAMES, type FlagName } from './flags.js'
import type { RawSettings } from './argv.js'

export type Environment = Readonly<Record<string, string | undefined>>

/** Settings from KVORUM_* and ETCD_* variables, with a warning for each that means nothing. */
export function readEnvironment(environment: Environment): {
  readonly settings: RawSettings
  readonly warnings: readonly string[]
} {
  const settings = new Map<FlagName, string>()
  const known = new Set<string>()
  const warnings: string[] = []
  for (const name of FLAG_NAMES) {
    const variables = environmentNames(name)
    for (const variable of variables) known.add(variable)
    const given = variables.filter(variable => (environment[variable] ?? '') !== '')
    const strongest = given[0]
    if (strongest !== undefined) settings.set(name, environment[strongest]!)
    if (given.length > 1) warnings.push(`${given[1]} is ignored because ${strongest} is set.`)
  }
  for (const variable of Object.keys(environment).sort())
    if (/^(KVORUM|ETCD)_/.test(variable) && !known.has(variable))
      warnings.push(`The environment variable ${variable} is not known and has no effect.`)
  return { settings, warnings }
}
