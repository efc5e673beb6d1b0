import type { ByteReader, ByteWriter } from './codec.js'
import type { KeyRange } from './range.js'

export function writeRange(out: ByteWriter, range: KeyRange): void {
  out.bytes(range.start).bool(range.end !== null)
  if (range.end !== null) out.bytes(range.end)
}

export function readRange(input: ByteReader): KeyRange {
  const start = input.bytes()
  return { start, end: input.bool() ? input.bytes() : null }
}
