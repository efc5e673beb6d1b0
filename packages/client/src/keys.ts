import { EMPTY, prefixEnd, utf8 } from '@kvorum/model'
import { invalid } from './error.js'

/** Text is taken as UTF-8. */
export type Bytes = string | Uint8Array

/** Which keys: one, all with a prefix, a range without its end (no end: to the last key), or all. */
export type Keys =
  | Bytes
  | { readonly key: Bytes }
  | { readonly prefix: Bytes }
  | { readonly start: Bytes; readonly end?: Bytes }
  | { readonly all: true }

export const bytesOf = (bytes: Bytes): Uint8Array => (typeof bytes === 'string' ? utf8(bytes) : bytes)

/** In requests one zero byte is "from here to the end" as an end, and "from the first key" as a key. */
const ZERO: Uint8Array = new Uint8Array(1)

export interface RequestKeys {
  readonly key: Uint8Array
  readonly range_end: Uint8Array
}

export function requestKeys(keys: Keys): RequestKeys {
  if (typeof keys === 'string' || keys instanceof Uint8Array) return point(keys)
  if ('key' in keys) return point(keys.key)
  if ('prefix' in keys) return prefixed(bytesOf(keys.prefix))
  if ('all' in keys) return { key: ZERO, range_end: ZERO }
  return {
    key: nonEmpty(bytesOf(keys.start)),
    range_end: keys.end === undefined ? ZERO : nonEmpty(bytesOf(keys.end)),
  }
}

function point(key: Bytes): RequestKeys {
  const bytes = bytesOf(key)
  if (bytes.length === 0) throw invalid('a key cannot be empty')
  return { key: bytes, range_end: EMPTY }
}

const prefixed = (prefix: Uint8Array): RequestKeys => ({
  key: nonEmpty(prefix),
  range_end: prefixEnd(prefix) ?? ZERO,
})

const nonEmpty = (bytes: Uint8Array): Uint8Array => (bytes.length === 0 ? ZERO : bytes)
