import { MalformedError } from '@kvorum/model'

/**
 * JSON text to values, losing no bit of an integer: JSON.parse would round a lease id given as a bare number.
 * Literals of 16 digits and more are therefore handed to it as strings that begin with a mark, and the field
 * that takes them knows (see json.ts).
 */
const MARK = '\u0000'

export const isExactInteger = (text: string): boolean => text.startsWith(MARK)
export const exactInteger = (text: string): string => (isExactInteger(text) ? text.slice(1) : text)

/** Blank text is the empty message, as in etcd's gateway. Throws MalformedError. */
export function parseJson(text: string): unknown {
  if (text.trim() === '') return {}
  try {
    // first the text as it came: marks must not make JSON of what is none
    const value = JSON.parse(text) as unknown
    return /[0-9]{16}/.test(text) ? (JSON.parse(markLongIntegers(text)) as unknown) : value
  } catch (error) {
    if (error instanceof SyntaxError) throw new MalformedError('body is not JSON')
    throw error
  }
}

/** Request bodies arrive as bytes; text that is not UTF-8 is refused. */
export function parseJsonBytes(bytes: Uint8Array): unknown {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new MalformedError('body is not UTF-8')
  }
  return parseJson(text)
}

function markLongIntegers(text: string): string {
  let out = ''
  let copied = 0
  let at = 0
  while (at < text.length) {
    if (text[at] === '"') {
      at = endOfString(text, at)
      continue
    }
    const end = endOfNumber(text, at)
    if (end - at >= 16 && /^-?(0|[1-9][0-9]*)$/.test(text.slice(at, end))) {
      out += `${text.slice(copied, at)}"\\u0000${text.slice(at, end)}"`
      copied = end
    }
    at = Math.max(end, at + 1)
  }
  return out + text.slice(copied)
}

function endOfString(text: string, start: number): number {
  let at = start + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

function endOfNumber(text: string, start: number): number {
  let at = start
  while (at < text.length && '+-.0123456789eE'.includes(text[at]!)) at++
  return at
}
