/** Byte strings: keys, values and encoded records. Order is bytewise, always; never a string's order. */

export const EMPTY: Uint8Array = new Uint8Array(0)

const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export const compareBytes = (a: Uint8Array, b: Uint8Array): -1 | 0 | 1 => Buffer.compare(a, b)
export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean => asBuffer(a).equals(b)

/** The least byte string greater than `bytes`: itself followed by a zero. */
export function successor(bytes: Uint8Array): Uint8Array {
  const next = new Uint8Array(bytes.length + 1)
  next.set(bytes)
  return next
}

/**
 * The end of the range of all byte strings with this prefix, or null where there is none (the prefix is
 * empty or all 0xff).
 */
export function prefixEnd(prefix: Uint8Array): Uint8Array | null {
  let length = prefix.length
  while (length > 0 && prefix[length - 1] === 0xff) length--
  if (length === 0) return null
  // not slice: of a Buffer that is a view, and the caller's prefix would change
  const end = copyBytes(prefix.subarray(0, length))
  end[length - 1]! += 1
  return end
}

export const utf8 = (text: string): Uint8Array => Buffer.from(text, 'utf8')
export const fromUtf8 = (bytes: Uint8Array): string => asBuffer(bytes).toString('utf8')
export const toHex = (bytes: Uint8Array): string => asBuffer(bytes).toString('hex')
export const concatBytes = (...parts: Uint8Array[]): Uint8Array => Buffer.concat(parts)

/**
 * One character per byte, so that comparing two such strings with `<` compares the bytes. The form in which
 * byte strings become keys of a Map or of a sorted tree.
 */
export const toKeyString = (bytes: Uint8Array): string => asBuffer(bytes).toString('latin1')
export const fromKeyString = (text: string): Uint8Array => Buffer.from(text, 'latin1')

/** Bytes of our own, for data that must outlive the network buffer they arrived in. */
export const copyBytes = (bytes: Uint8Array): Uint8Array => Buffer.from(bytes)
