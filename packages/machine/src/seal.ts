import { type Checksum, MalformedError } from '@kvorum/model'
import { CorruptRecordError } from './corrupt.js'

/**
 * Every row value starts with a CRC-32 over the row's key and everything behind the CRC, then a format. The key
 * is covered, so that a row that turns up under another key is noticed as well.
 */
export const SEAL_BYTES = 5
const ROW_FORMAT = 1

/** Finishes a row whose first SEAL_BYTES bytes were left free; the CRC also stands for the row in the digest. */
export function sealRow(checksum: Checksum, rowKey: Uint8Array, row: Buffer): number {
  row[4] = ROW_FORMAT
  const crc = checksum(row.subarray(4), checksum(rowKey))
  row.writeUInt32BE(crc, 0)
  return crc
}

export function checkSeal(checksum: Checksum, rowKey: Uint8Array, row: Uint8Array): void {
  if (row.length < SEAL_BYTES) throw new CorruptRecordError(rowKey, `${row.length} bytes are not a row`)
  const stored = ((row[0]! << 24) | (row[1]! << 16) | (row[2]! << 8) | row[3]!) >>> 0
  if (stored !== checksum(row.subarray(4), checksum(rowKey))) {
    throw new CorruptRecordError(rowKey, 'checksum mismatch')
  }
  if (row[4] !== ROW_FORMAT) throw new MalformedError(`row format ${row[4]} is not known`)
}

/** A row of a few fields, for which speed does not matter. */
export function sealedRow(
  checksum: Checksum,
  rowKey: Uint8Array,
  body: Uint8Array,
): { value: Uint8Array; crc: number } {
  const row = Buffer.allocUnsafe(SEAL_BYTES + body.length)
  row.set(body, SEAL_BYTES)
  return { crc: sealRow(checksum, rowKey, row), value: row }
}

export function openRow(checksum: Checksum, rowKey: Uint8Array, row: Uint8Array): Uint8Array {
  checkSeal(checksum, rowKey, row)
  return row.subarray(SEAL_BYTES)
}
