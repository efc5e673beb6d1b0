import { pointRange, rangeContains, utf8, type KeyRange } from '@kvorum/model'

/** Keys of the model: a and c in the first shard, which may be split between them; x and y in the second. */
export const KEYS = ['a', 'c', 'x', 'y'] as const
export type Key = (typeof KEYS)[number]

export const KEY_BYTES: Readonly<Record<Key, Uint8Array>> = {
  a: utf8('a'),
  c: utf8('c'),
  x: utf8('x'),
  y: utf8('y'),
}

export const POINTS: Readonly<Record<Key, KeyRange>> = {
  a: pointRange(KEY_BYTES.a),
  c: pointRange(KEY_BYTES.c),
  x: pointRange(KEY_BYTES.x),
  y: pointRange(KEY_BYTES.y),
}

export const FIRST_RANGE: KeyRange = { start: utf8(''), end: utf8('m') }
export const SECOND_RANGE: KeyRange = { start: utf8('m'), end: null }
/** The halves of the first. */
export const LEFT_RANGE: KeyRange = { start: utf8(''), end: utf8('b') }
export const RIGHT_RANGE: KeyRange = { start: utf8('b'), end: utf8('m') }

export const holds = (range: KeyRange, key: Key): boolean => rangeContains(range, KEY_BYTES[key])
export const keysIn = (range: KeyRange): readonly Key[] => KEYS.filter(key => holds(range, key))
