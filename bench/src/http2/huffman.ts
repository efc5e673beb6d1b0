/**
 * Huffman decoding of HPACK strings (RFC 7541, appendix B). The code is canonical, so the lengths of its 257
 * code words are the whole of it: words of one length are consecutive numbers in the order of their symbols.
 */
const CODE_LENGTHS: readonly number[] = [
  '13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28',
  '6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6 5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10',
  '13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6',
  '15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5 6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28',
  '20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24',
  '22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23',
  '26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27',
  '20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26',
  '30',
]
  .join(' ')
  .split(' ')
  .map(Number)

const LENGTH_MAX = 30
const END_OF_STRING = 256

interface LengthClass {
  /** The least code word of this length. */
  readonly first: number
  readonly symbols: readonly number[]
}

/** Indexed by the length of the code word. */
const CLASSES: readonly LengthClass[] = lengthClasses()

function lengthClasses(): LengthClass[] {
  const classes: LengthClass[] = []
  let first = 0
  for (let length = 0; length <= LENGTH_MAX; length++) {
    const symbols = [...CODE_LENGTHS.keys()].filter(symbol => CODE_LENGTHS[symbol] === length)
    classes.push({ first, symbols })
    first = (first + symbols.length) * 2
  }
  return classes
}

/** Throws on the end-of-string symbol and on padding that is not all ones or is longer than seven bits. */
export function decodeHuffman(bytes: Uint8Array): string {
  const text: number[] = []
  let code = 0
  let length = 0
  let ones = true
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      const value = (byte >> bit) & 1
      code = code * 2 + value
      length++
      ones &&= value === 1
      const symbol = CLASSES[length]?.symbols[code - CLASSES[length]!.first]
      if (symbol === undefined) continue
      if (symbol === END_OF_STRING) throw new Error('HPACK string holds the end-of-string symbol')
      text.push(symbol)
      code = 0
      length = 0
      ones = true
    }
  }
  if (length > 7 || !ones) throw new Error('HPACK string ends within a code word')
  return Buffer.from(text).toString('latin1')
}
