/**
 * One setting: its name on the command line, which is also its key in the file and, in capitals with
 * underscores, its name in the environment.
 */
export interface Flag<Value> {
  readonly kind: 'value' | 'bool'
  /** What `--help` shows after the name. */
  readonly argument: string
  /** As it would be written on the command line; '' where the default is derived from other settings. */
  readonly fallback: string
  readonly help: string
  /** What to tell an operator who gives this flag, where giving it changes nothing. */
  readonly noEffect?: string
  /** Turns the text into a value or a sentence that says what is wrong with it (without the flag's name). */
  readonly parse: (text: string) => Parsed<Value>
}

/** A value, or the sentence that says why there is none. */
export type Parsed<Value> =
  { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly reason: string }
export const accepted = <Value>(value: Value): Parsed<Value> => ({ ok: true, value })
export const rejected = (reason: string): { ok: false; reason: string } => ({ ok: false, reason })

export const text = (fallback: string, argument: string, help: string): Flag<string> => ({
  kind: 'value',
  argument,
  fallback,
  help,
  parse: accepted,
})

export function choice<const Value extends string>(
  values: readonly Value[],
  fallback: Value,
  help: string,
): Flag<Value> {
  return {
    kind: 'value',
    argument: values.join('|'),
    fallback,
    help,
    parse: given => {
      const value = values.find(candidate => candidate === given)
      return value === undefined
        ? rejected(`must be one of ${values.filter(name => name !== '').join(', ')}, not "${given}"`)
        : accepted(value)
    },
  }
}

/** A whole number from `least` to `most`, both included. */
export function integer(
  fallback: number,
  bounds: { readonly least: number; readonly most: number },
  argument: string,
  help: string,
): Flag<number> {
  return {
    kind: 'value',
    argument,
    fallback: String(fallback),
    help,
    parse: given => {
      const value = /^[0-9]{1,15}$/.test(given) ? Number(given) : Number.NaN
      return value >= bounds.least && value <= bounds.most
        ? accepted(value)
        : rejected(`must be a whole number from ${bounds.least} to ${bounds.most}, not "${given}"`)
    },
  }
}

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** A time as Go writes it ("100ms", "1m30s"), in milliseconds; at least `least`. */
export function duration(fallback: string, least: number, help: string): Flag<number> {
  return {
    kind: 'value',
    argument: 'duration',
    fallback,
    help,
    parse: given => {
      if (!/^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$/.test(given))
        return rejected(`must be a duration such as 500ms, 30s or 1h30m, not "${given}"`)
      let total = 0
      for (const [, amount, , unit] of given.matchAll(/([0-9]+(\.[0-9]+)?)(ms|s|m|h)/g))
        total += Number(amount) * DURATION_UNITS[unit!]!
      return total >= least ? accepted(total) : rejected(`must be at least ${least}ms, not "${given}"`)
    },
  }
}

const TRUE = new Set(['1', 't', 'T', 'true', 'TRUE', 'True'])
const FALSE = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False'])

/** A switch. `settled` names the only value this server accepts, and why. */
export function bool(
  fallback: boolean,
  help: string,
  settled?: { readonly only: boolean; readonly why: string },
): Flag<boolean> {
  return {
    kind: 'bool',
    argument: '',
    fallback: String(fallback),
    help,
    parse: given => {
      if (!TRUE.has(given) && !FALSE.has(given)) return rejected(`must be true or false, not "${given}"`)
      const value = TRUE.has(given)
      return settled !== undefined && value !== settled.only ? rejected(settled.why) : accepted(value)
    },
  }
}

/** A comma-separated list; empty items are left out. */
export const list = (fallback: string, argument: string, help: string): Flag<readonly string[]> => ({
  kind: 'value',
  argument,
  fallback,
  help,
  parse: given =>
    accepted(
      given
        .split(',')
        .map(item => item.trim())
        .filter(item => item !== ''),
    ),
})

/** A flag of etcd's without a meaning here: taken with a warning that says why, whatever its value. */
export const meaningless = (kind: Flag<string>['kind'], why: string): Flag<string> => ({
  kind,
  argument: kind === 'bool' ? '' : 'any',
  fallback: '',
  help: `Has no effect: ${why}.`,
  noEffect: why,
  parse: accepted,
})

/**
 * A flag of etcd's that asks for what this server does not do. Values that ask for nothing (empty, false, 0 and
 * those in `harmless`) pass.
 */
export const refused = (
  kind: Flag<string>['kind'],
  why: string,
  harmless: readonly string[] = [],
): Flag<string> => ({
  kind,
  argument: kind === 'bool' ? '' : 'any',
  fallback: '',
  help: `Refused: ${why}.`,
  parse: given =>
    given === '' || given === '0' || FALSE.has(given) || harmless.includes(given)
      ? accepted(given)
      : rejected(`is refused: ${why}`),
})
