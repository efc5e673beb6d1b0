import { shortName } from './arguments.js'
import { CLUSTER_FLAG } from './everyEndpoint.js'
import type { FlagTable } from './flag.js'
import { GLOBALS } from './globals.js'

const LEADING: FlagTable = { ...GLOBALS, ...CLUSTER_FLAG }

/**
 * Flags may also stand before the command and between its words (`kvorum --user root:x role add r`, `endpoint
 * --cluster health`): as many as `words` words deep, they are put behind everything else before a `--`.
 */
export function flagsLast(argv: readonly string[], words: number): readonly string[] {
  const flags: string[] = []
  const front: string[] = []
  let at = 0
  for (; at < argv.length && front.length < words; at++) {
    const argument = argv[at]!
    const [, written, value] = /^--?([^-=][^=]*)(=[\s\S]*)?$/.exec(argument) ?? []
    const flag = written === undefined ? undefined : LEADING[shortName(written)]
    if (flag === undefined) front.push(argument)
    else {
      flags.push(argument)
      if (flag.kind === 'value' && value === undefined) flags.push(...argv.slice(++at, at + 1))
    }
  }
  const end = argv.indexOf('--', at)
  const last = end < 0 ? argv.length : end
  return [...front, ...argv.slice(at, last), ...flags, ...argv.slice(last)]
}
