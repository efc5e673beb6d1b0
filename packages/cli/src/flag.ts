import { leaseId, type LeaseId } from '@kvorum/model'
import { accepted, rejected, type Parsed } from './parsed.js'

/** One flag of a command: how it is written, what it means, and its value when it is not given. */
export interface Flag<Value> {
  /** A switch takes no argument, except as `--name=false`. */
  readonly kind: 'switch' | 'value'
  /** What `--help` shows after the name. */
  readonly argument: string
  readonly help: string
  readonly fallback: Value
  /** The sentence's end says what is wrong with the text; its beginning names the flag. */
  readonly parse: (text: string) => Parsed<Value>
}

export type FlagTable = Readonly<Record<string, Flag<unknown>>>
export type FlagValues<Table extends FlagTable> = {
  readonly [Name in keyof Table]: Table[Name] extends Flag<infer Value> ? Value : never
}

export const toggle = (help: string, fallback = false): Flag<boolean> => ({
  kind: 'switch',
  argument: '',
  help,
  fallback,
  parse: text =>
    text === 'true' || text === 'false' ? accepted(text === 'true') : rejected('must be true or false'),
})

export const text = (argument: string, help: string, fallback = ''): Flag<string> => ({
  kind: 'value',
  argument,
  help,
  fallback,
  parse: accepted,
})

/** A whole number, or null where the flag is not given. */
export const optionalCount = (
  argument: string,
  help: string,
  bounds: { readonly least: number; readonly most: number },
): Flag<number | null> => ({
  kind: 'value',
  argument,
  help,
  fallback: null,
  parse: text => {
    const value = /^[0-9]+$/.test(text) ? Number(text) : NaN
    return value >= bounds.least && value <= bounds.most
      ? accepted(value)
      : rejected(`must be a whole number from ${bounds.least} to ${bounds.most}`)
  },
})

export const count = (argument: string, help: string, fallback = 0): Flag<number> => ({
  ...optionalCount(argument, help, { least: 0, most: Number.MAX_SAFE_INTEGER }),
  fallback,
  parse: text => {
    const value = /^[0-9]+$/.test(text) ? Number(text) : NaN
    return Number.isSafeInteger(value) ? accepted(value) : rejected('must be a whole number')
  },
})

const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** As Go writes durations: `5s`, `1m30s`, `250ms`. In milliseconds. */
export const duration = (help: string, fallback: number): Flag<number> => ({
  kind: 'value',
  argument: 'duration',
  help,
  fallback,
  parse: text => {
    if (!/^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$/.test(text))
      return rejected('must be a duration such as 5s or 250ms')
    const parts = [...text.matchAll(/([0-9.]+)(ms|s|m|h)/g)]
    return accepted(parts.reduce((sum, [, size, unit]) => sum + Number(size) * MILLISECONDS[unit!]!, 0))
  },
})

/** One of a few words, in any case. */
export const choice = <Word extends string>(
  words: Readonly<Record<string, Word>>,
  fallback: Word,
  help: string,
): Flag<Word> => ({
  kind: 'value',
  argument: Object.keys(words).join('|'),
  help,
  fallback,
  parse: text => {
    const entry = Object.entries(words).find(([name]) => name.toLowerCase() === text.toLowerCase())
    return entry === undefined
      ? rejected(`must be one of ${Object.keys(words).join(', ')}`)
      : accepted(entry[1])
  },
})

/** Lease ids are written in hexadecimal, as etcd's command does. */
export function parseLeaseId(text: string): Parsed<LeaseId> {
  if (!/^[0-9a-f]{1,16}$/i.test(text)) return rejected('must be a lease id, in hexadecimal')
  return accepted(leaseId(BigInt(`0x${text}`)))
}

export const formatLeaseId = (id: bigint): string => BigInt.asUintN(64, id).toString(16).padStart(16, '0')

export const lease = (help: string): Flag<LeaseId> => ({
  kind: 'value',
  argument: 'lease',
  help,
  fallback: leaseId(0n),
  parse: parseLeaseId,
})
