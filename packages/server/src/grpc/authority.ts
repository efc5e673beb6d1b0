/**
 * Makes the authority of a HEADERS frame a valid one where it begins with a scheme: `http://host` becomes
 * `httpx--host`, in place. The new text has as many bytes as the old, plain or by the code of RFC 7541 (appendix B: ":"
 * and "x" have seven bits, "/" and "-" six), so that the frame keeps its length and the tables of both sides, which are
 * counted in bytes, stay alike.
 */

const FRAME_HEAD_BYTES = 9
const FLAGS = 4
const PADDED = 0x8
const PRIORITY = 0x20
const PRIORITY_BYTES = 5
/** Of `:authority` in the static table (RFC 7541, appendix A). */
const AUTHORITY = 1

/** `frame` is a whole HEADERS frame; what cannot be read is left as it is. */
export function patchAuthority(frame: Buffer): void {
  const flags = frame[FLAGS]!
  const padded = (flags & PADDED) !== 0
  const start = FRAME_HEAD_BYTES + (padded ? 1 : 0) + ((flags & PRIORITY) !== 0 ? PRIORITY_BYTES : 0)
  const end = frame.length - (padded ? (frame[FRAME_HEAD_BYTES] ?? 0) : 0)
  const value = authorityIn(frame, start, end)
  if (value === null) return
  for (const { plain, coded, length } of SCHEMES) {
    if (value.coded && startsWithBits(value.bytes, coded)) replaceBits(value.bytes, length)
    else if (!value.coded && value.bytes.subarray(0, plain.length).equals(plain))
      value.bytes.write('x--', plain.length - 3, 'latin1')
  }
}

interface Literal {
  readonly bytes: Buffer
  /** By the code of appendix B. */
  readonly coded: boolean
}

/** Fields in front of it are stepped over (RFC 7541, section 6). */
function authorityIn(block: Buffer, start: number, end: number): Literal | null {
  let at = start
  while (at < end) {
    const first = block[at]!
    const isIndexed = (first & 0x80) !== 0
    const isResize = (first & 0xe0) === 0x20
    const bits = isIndexed ? 7 : isResize ? 5 : (first & 0x40) !== 0 ? 6 : 4
    const index = readInteger(block, at, end, bits)
    if (index === null) return null
    at = index.next
    if (isIndexed || isResize) continue
    if (index.value === 0) {
      const name = readString(block, at, end)
      if (name === null) return null
      at = name.next
    }
    const value = readString(block, at, end)
    if (value === null) return null
    if (index.value === AUTHORITY) return value
    at = value.next
  }
  return null
}

/** RFC 7541, section 5.1; larger than four bytes is not needed here. */
function readInteger(
  block: Buffer,
  at: number,
  end: number,
  bits: number,
): { readonly value: number; readonly next: number } | null {
  const mask = (1 << bits) - 1
  let value = block[at]! & mask
  let next = at + 1
  if (value < mask) return { value, next }
  for (let shift = 0; shift <= 21; shift += 7) {
    if (next >= end) return null
    const byte = block[next++]!
    value += (byte & 0x7f) << shift
    if ((byte & 0x80) === 0) return { value, next }
  }
  return null
}

function readString(block: Buffer, at: number, end: number): (Literal & { readonly next: number }) | null {
  if (at >= end) return null
  const length = readInteger(block, at, end, 7)
  if (length === null || length.next + length.value > end) return null
  const next = length.next + length.value
  return { bytes: block.subarray(length.next, next), coded: (block[at]! & 0x80) !== 0, next }
}

const CODES: Readonly<Record<string, string>> = {
  h: '100111',
  t: '01001',
  p: '101011',
  s: '01000',
  ':': '1011100',
  '/': '011000',
  x: '1111001',
  '-': '010110',
}
const codeOf = (text: string): string => Array.from(text, letter => CODES[letter]).join('')
const REPLACEMENT = codeOf('x--')

interface Scheme {
  readonly plain: Buffer
  readonly coded: string
  /** Bits in front of what is replaced. */
  readonly length: number
}

const SCHEMES: readonly Scheme[] = ['http', 'https'].map(scheme => ({
  plain: Buffer.from(`${scheme}://`, 'latin1'),
  coded: codeOf(`${scheme}://`),
  length: codeOf(scheme).length,
}))

const bitAt = (bytes: Buffer, bit: number): number => ((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1

const startsWithBits = (bytes: Buffer, bits: string): boolean =>
  bits.length <= bytes.length * 8 && Array.from(bits).every((bit, i) => bitAt(bytes, i) === Number(bit))

function replaceBits(bytes: Buffer, from: number): void {
  for (let i = 0; i < REPLACEMENT.length; i++) {
    const bit = from + i
    const mask = 1 << (7 - (bit & 7))
    const byte = bytes[bit >> 3]!
    bytes[bit >> 3] = REPLACEMENT[i] === '1' ? byte | mask : byte & ~mask
  }
}
