/** Byte strings as text for people and scripts, and back: the escapes of Go's quoted strings. */

const NAMED: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '"': '\\"',
  '\\': '\\\\',
}

const hexByte = (byte: number): string => `\\x${byte.toString(16).padStart(2, '0')}`

/** Every byte as `\x61`. */
export const hexEscape = (bytes: Uint8Array): string => Array.from(bytes, hexByte).join('')

/** In double quotes; bytes that are not printable UTF-8 are escaped, so that any byte string comes back. */
export function quote(bytes: Uint8Array): string {
  let out = ''
  for (let at = 0; at < bytes.length;) {
    const length = characterLength(bytes, at)
    if (length === 0) out += hexByte(bytes[at++]!)
    else {
      out += escapeCharacter(Buffer.from(bytes.subarray(at, at + length)).toString('utf8'))
      at += length
    }
  }
  return `"${out}"`
}

/** Bytes of the UTF-8 character at `at`; 0 where there is none. */
function characterLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!
  const length =
    first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0
  const piece = bytes.subarray(at, at + length)
  const isText = piece.length === length && !Buffer.from(piece).toString('utf8').includes('\ufffd')
  const isReplacement = length === 3 && first === 0xef && piece[1] === 0xbf && piece[2] === 0xbd
  return isText || isReplacement ? length : 0
}

function escapeCharacter(character: string): string {
  const named = NAMED[character]
  if (named !== undefined) return named
  if (/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(character)) return character
  const code = character.codePointAt(0)!
  if (code < 0x80) return hexByte(code)
  return code > 0xffff
    ? `\\U${code.toString(16).padStart(8, '0')}`
    : `\\u${code.toString(16).padStart(4, '0')}`
}

const UNNAMED: Readonly<Record<string, number>> = {
  a: 0x07,
  b: 0x08,
  f: 0x0c,
  n: 0x0a,
  r: 0x0d,
  t: 0x09,
  v: 0x0b,
  '"': 0x22,
  "'": 0x27,
  '\\': 0x5c,
}

const ESCAPE = /^\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|([abfnrtv"'\\]))/

/** What stands between a pair of double quotes, unescaped; null where an escape is none. */
export function unescape(inner: string): Uint8Array | null {
  const parts: Uint8Array[] = []
  for (let at = 0; at < inner.length;) {
    if (inner[at] !== '\\') {
      const end = inner.indexOf('\\', at)
      const text = inner.slice(at, end < 0 ? undefined : end)
      parts.push(Buffer.from(text, 'utf8'))
      at += text.length
      continue
    }
    const match = ESCAPE.exec(inner.slice(at))
    if (match === null) return null
    const [whole, byte, short, long, octal, named] = match
    const code = parseInt(short ?? long ?? '', 16)
    if (code > 0x10ffff) return null
    if (!Number.isNaN(code)) parts.push(Buffer.from(String.fromCodePoint(code), 'utf8'))
    else if (byte !== undefined) parts.push(Uint8Array.of(parseInt(byte, 16)))
    else parts.push(Uint8Array.of(octal === undefined ? UNNAMED[named!]! : parseInt(octal, 8)))
    at += whole.length
  }
  return Buffer.concat(parts)
}
