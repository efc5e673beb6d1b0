import { FLAG } from './frames.js'

/** Without padding. */
export function dataPayload(flags: number, payload: Buffer): Buffer {
  return (flags & FLAG.padded) === 0 ? payload : payload.subarray(1, payload.length - payload[0]!)
}

/** The header block fragment: without padding and priority. A copy, because the block may go on in CONTINUATION. */
export function headersPayload(flags: number, payload: Buffer): Buffer {
  const unpadded = dataPayload(flags, payload)
  return Buffer.from((flags & FLAG.priority) === 0 ? unpadded : unpadded.subarray(5))
}

export function* readSettings(payload: Buffer): Generator<[id: number, value: number]> {
  for (let at = 0; at + 6 <= payload.length; at += 6)
    yield [payload.readUInt16BE(at), payload.readUInt32BE(at + 2)]
}
