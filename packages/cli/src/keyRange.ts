import { EMPTY, prefixEnd, utf8 } from '@kvorum/model'
import type { Arguments } from './arguments.js'
import { toggle } from './flag.js'
import { accepted, rejected, type Parsed } from './parsed.js'

/** Flags that turn a key into a range. */
export const RANGE_FLAGS = {
  prefix: toggle('Every key that begins with <key>.'),
  'from-key': toggle('Every key from <key> on, in byte order.'),
} as const

/** In requests: the key after every key, and as a key the one before every key. */
const ZERO = Uint8Array.of(0)

export interface RequestedRange {
  readonly key: Uint8Array
  readonly range_end: Uint8Array
}

/** The range that `<key> [range-end]` and the flags ask for. With a flag, an empty key is the first key. */
export function keyRange(args: Arguments<typeof RANGE_FLAGS>): Parsed<RequestedRange> {
  const [first = '', end] = args.rest
  const { prefix, 'from-key': fromKey } = args.flags
  if (prefix && fromKey) return rejected('--prefix and --from-key exclude each other')
  if ((prefix || fromKey) && end !== undefined)
    return rejected('a range end cannot stand beside --prefix or --from-key')
  const key = utf8(first)
  if (fromKey || (prefix && key.length === 0))
    return accepted({ key: key.length === 0 ? ZERO : key, range_end: ZERO })
  if (prefix) return accepted({ key, range_end: prefixEnd(key) ?? ZERO })
  return accepted({ key, range_end: end === undefined ? EMPTY : utf8(end) })
}
