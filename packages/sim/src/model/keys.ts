import { pointRange, rangeContains, utf8, type KeyRange } from '@kvorum/model'

/** Keys of the model. Where there are two shards, a, c and e lie in the first, x and y in the second. */
export const KEYS = ['a', 'c', 'e', 'x', 'y'] as const
export type Key = (typeof KEYS)[number]

export const KEY_BYTES: Readonly<Record<Key, Uint8Array>> = {
  a: utf8('a'),
  c: utf8('c'),
  e: utf8('e'),
  x: utf8('x'),
  y: utf8('y'),
}

export const POINTS: Readonly<Record<Key, KeyRange>> = {
  a: pointRange(KEY_BYTES.a),
  c: pointRange(KEY_BYTES.c),
  e: pointRange(KEY_BYTES.e),
  x: pointRange(KEY_BYTES.x),
  y: pointRange(KEY_BYTES.y),
}

/** Where shards begin, or may be split. */
export const CUTS = { b: utf8('b'), d: utf8('d'), m: utf8('m'), y: utf8('y') } as const
export type Cut = keyof typeof CUTS

/** What the shards have in the beginning: two, or three. */
export const START_RANGES: Readonly<Record<2 | 3, readonly KeyRange[]>> = {
  2: [
    { start: utf8(''), end: CUTS.m },
    { start: CUTS.m, end: null },
  ],
  3: [
    { start: utf8(''), end: CUTS.b },
    { start: CUTS.b, end: CUTS.m },
    { start: CUTS.m, end: null },
  ],
}

export const leftOf = ({ start }: KeyRange, at: Cut): KeyRange => ({ start, end: CUTS[at] })
export const rightOf = ({ end }: KeyRange, at: Cut): KeyRange => ({ start: CUTS[at], end })

export const holds = (range: KeyRange, key: Key): boolean => rangeContains(range, KEY_BYTES[key])
export const keysIn = (range: KeyRange): readonly Key[] => KEYS.filter(key => holds(range, key))

/** Leases and sessions are at home in the first shard. */
export const HOME = 0
