import { equal, ok } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import {
  ALL_KEYS,
  compareBytes,
  compareEnds,
  concatBytes,
  copyBytes,
  EMPTY,
  equalBytes,
  fromKeyString,
  fromUtf8,
  intersectRanges,
  isEmptyRange,
  isPoint,
  pointRange,
  prefixEnd,
  prefixRange,
  rangeContains,
  rangeCovers,
  rangesOverlap,
  requestRange,
  successor,
  toHex,
  toKeyString,
  utf8,
} from '@kvorum/model'
import type { KeyRange } from '@kvorum/model'
import { check, key, plain, range } from './arbitraries.js'

const bytes = (hex: string): Uint8Array => Buffer.from(hex, 'hex')
const startsWith = (whole: Uint8Array, prefix: Uint8Array): boolean =>
  equalBytes(whole.subarray(0, prefix.length), prefix)

t.test('the order of bytes is total, and a key string has the same order', async t => {
  check(
    t,
    fc.property(key, key, (a, b) => {
      const order = compareBytes(a, b)
      equal(compareBytes(b, a), order === 0 ? 0 : -order)
      equal(equalBytes(a, b), order === 0)
      const [left, right] = [toKeyString(a), toKeyString(b)]
      equal(left < right ? -1 : left > right ? 1 : 0, order)
      ok(equalBytes(fromKeyString(left), a))
    }),
  )
})

t.test('nothing lies between a key and its successor', async t => {
  check(
    t,
    fc.property(key, key, (a, b) => {
      equal(compareBytes(a, successor(a)), -1)
      ok(!(compareBytes(a, b) < 0 && compareBytes(b, successor(a)) < 0))
    }),
  )
})

t.test('text and hex forms', async t => {
  t.equal(fromUtf8(utf8('schlüssel')), 'schlüssel')
  t.equal(toHex(concatBytes(bytes('00'), EMPTY, bytes('ff61'))), '00ff61')
  const original = Uint8Array.from([1, 2])
  const copy = copyBytes(original)
  original[0] = 9
  t.equal(toHex(copy), '0102', 'a copy does not follow its source')
})

t.test('ends of prefixes', async t => {
  const table: readonly (readonly [prefix: string, end: string | null])[] = [
    ['', null],
    ['61', '62'],
    ['61ff', '62'],
    ['61feff', '61ff'],
    ['00', '01'],
    ['ff', null],
    ['ffff', null],
    ['fffe', 'ffff'],
  ]
  for (const [prefix, end] of table) {
    const actual = prefixEnd(bytes(prefix))
    t.equal(actual === null ? null : toHex(actual), end, `prefix ${prefix}`)
    const own = bytes(prefix)
    prefixEnd(own)
    t.equal(toHex(own), prefix, 'the prefix itself stays as it is')
  }
  check(
    t,
    fc.property(key, key, (prefix, candidate) => {
      equal(rangeContains(prefixRange(prefix), candidate), startsWith(candidate, prefix))
    }),
  )
})

t.test('a point is exactly one key', async t => {
  check(
    t,
    fc.property(key, key, (a, b) => {
      ok(isPoint(pointRange(a)))
      equal(rangeContains(pointRange(a), b), equalBytes(a, b))
    }),
  )
  t.notOk(isPoint(ALL_KEYS))
  t.notOk(isPoint({ start: bytes('61'), end: bytes('6101') }), 'longer by one byte that is not zero')
  t.notOk(isPoint({ start: bytes('61'), end: bytes('6200') }))
  t.notOk(isPoint({ start: bytes('61'), end: bytes('62') }))
})

t.test('ranges as requests write them', async t => {
  const row = (start: string, end: string | null): unknown =>
    plain({ start: bytes(start), end: end === null ? null : bytes(end) })
  t.strictSame(plain(requestRange(bytes('61'), EMPTY)), row('61', '6100'), 'no end: the key')
  t.strictSame(plain(requestRange(bytes('61'), bytes('00'))), row('61', null), 'zero: from the key on')
  t.strictSame(plain(requestRange(bytes('00'), bytes('00'))), row('00', null), 'both zero: everything')
  t.strictSame(plain(requestRange(bytes('61'), bytes('63'))), row('61', '63'))
  t.ok(isEmptyRange(requestRange(bytes('63'), bytes('61'))), 'backwards is empty, not an error')
  t.notOk(isEmptyRange(ALL_KEYS))
})

t.test('an intersection has the keys that both have', async t => {
  check(
    t,
    fc.property(range, range, key, (a, b, candidate) => {
      const both = intersectRanges(a, b)
      equal(rangeContains(both, candidate), rangeContains(a, candidate) && rangeContains(b, candidate))
      equal(rangesOverlap(a, b), rangesOverlap(b, a))
      equal(rangesOverlap(a, b), !isEmptyRange(both))
      if (!isEmptyRange(both)) ok(rangeContains(both, both.start), 'its start is a witness')
    }),
  )
})

t.test('covering, with a witness where a range does not cover', async t => {
  const witness = (outer: KeyRange, inner: KeyRange): Uint8Array =>
    !rangeContains(outer, inner.start) || outer.end === null ? inner.start : outer.end
  check(
    t,
    fc.property(range, range, key, (outer, inner, candidate) => {
      if (rangeCovers(outer, inner)) {
        ok(!(rangeContains(inner, candidate) && !rangeContains(outer, candidate)))
      } else {
        const left = witness(outer, inner)
        ok(rangeContains(inner, left) && !rangeContains(outer, left))
      }
    }),
  )
  check(
    t,
    fc.property(range, one => {
      ok(rangeCovers(ALL_KEYS, one))
      ok(rangeCovers(one, one))
    }),
  )
})

t.test('the end of the keyspace is the greatest end', async t => {
  t.equal(compareEnds(null, null), 0)
  t.equal(compareEnds(null, bytes('ffffff')), 1)
  t.equal(compareEnds(bytes('ffffff'), null), -1)
  t.equal(compareEnds(bytes('61'), bytes('62')), -1)
})
