import type { Draw } from './draw.js'

/** What is wrong with a body of JSON that was right. */
export type Flaw =
  /** It ends too early; the part of it that is there. */
  | { readonly kind: 'cut'; readonly share: number }
  | { readonly kind: 'comma' }
  | { readonly kind: 'quotes' }
  /** One of its fields has a value that no field can have. */
  | { readonly kind: 'value'; readonly field: number; readonly value: string }
  /** A field that is none: nothing is wrong with that. */
  | { readonly kind: 'extra' }
  /** Something comes behind it. */
  | { readonly kind: 'trailing' }

/** Wrong for bytes, numbers and flags alike. */
const WRONG: readonly string[] = ['{}', '"%%"', '[[]]', '{"a":1}']

/** Not `trailing`: that is one of the deviations. */
export function drawFlaw(draw: Draw): Flaw {
  switch (draw.int(0, 5)) {
    case 0:
      return { kind: 'cut', share: draw.random.float() }
    case 1:
      return { kind: 'comma' }
    case 2:
      return { kind: 'quotes' }
    case 3:
      return { kind: 'extra' }
    default:
      return { kind: 'value', field: draw.int(0, 9), value: draw.pick(WRONG) }
  }
}

/** The text of a message with the flaw in it. One without fields has no value that could be wrong. */
export function flawed(message: Readonly<Record<string, unknown>>, flaw: Flaw): string {
  const text = JSON.stringify(message)
  const fields = Object.entries(message)
  switch (flaw.kind) {
    case 'cut':
      return text.slice(0, 1 + Math.floor(flaw.share * (text.length - 1)))
    case 'comma':
      return `${text.slice(0, -1)},}`
    case 'quotes':
      return fields.length === 0 ? "{''}" : text.replaceAll('"', "'")
    case 'extra':
      return `{"nothing":{"x":[1,"y",null]}${fields.length === 0 ? '' : ','}${text.slice(1)}`
    case 'trailing':
      return `${text} x`
    case 'value': {
      if (fields.length === 0) return '{"'
      const wrong = flaw.field % fields.length
      const parts = fields.map(
        ([name, value], at) => `${JSON.stringify(name)}:${at === wrong ? flaw.value : JSON.stringify(value)}`,
      )
      return `{${parts.join()}}`
    }
  }
}

/** Ours for every such body, whatever it is; each version of etcd has its library's words for each of them. */
export const MALFORMED = /^kvorum: malformed request: /
