import { MalformedError, position, ByteReader, ByteWriter, readRange, writeRange } from '@kvorum/model'
import type { KeyRange } from '@kvorum/model'

/**
 * What a message is on the wire: a list of plain values. Readers take fields by position and ignore what comes
 * after the ones they know, so that a later version may add fields at the end; every field they know must be
 * there and of its type.
 */
export type Wire = readonly unknown[]

export function list(value: unknown): Wire {
  if (!Array.isArray(value)) throw new MalformedError('a list was expected')
  return value as Wire
}

/** A position, a count or a small id: an integer in [0, 2^53). */
export function number(value: unknown): number {
  if (typeof value !== 'number') throw new MalformedError('a number was expected')
  try {
    return position(value, 'number')
  } catch (cause) {
    throw new MalformedError((cause as Error).message)
  }
}

/** An id or a nonce of 64 bits without a sign. */
export function unsigned(value: unknown): bigint {
  if (typeof value !== 'bigint' || BigInt.asUintN(64, value) !== value)
    throw new MalformedError('an unsigned 64-bit integer was expected')
  return value
}

/** A lease id: 64 bits with a sign. */
export function signed(value: unknown): bigint {
  if (typeof value !== 'bigint' || BigInt.asIntN(64, value) !== value)
    throw new MalformedError('a signed 64-bit integer was expected')
  return value
}

export function bool(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new MalformedError('a boolean was expected')
  return value
}

export function text(value: unknown): string {
  if (typeof value !== 'string') throw new MalformedError('a text was expected')
  return value
}

export function bytes(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new MalformedError('bytes were expected')
  return value
}

export function rangeToWire(range: KeyRange): Uint8Array {
  const out = new ByteWriter()
  writeRange(out, range)
  return out.finish()
}

export function rangeFromWire(value: unknown): KeyRange {
  const input = new ByteReader(bytes(value))
  const range = readRange(input)
  input.end()
  return range
}
