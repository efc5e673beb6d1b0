import { MalformedError } from '@kvorum/model'

/** Lists in lists in a frame: parcels, parcel, message, configuration, replicas, replica; and two to spare. */
const DEPTH_MAX = 8
/** Values in one frame. An item of one byte can cost fifty in memory; this bounds what a frame can cost. */
export const FRAME_ITEMS_MAX = 2 * 1024 * 1024

/**
 * Checks that `payload` is exactly one msgpack value made only of what our messages are made of: nil, booleans,
 * integers, doubles, texts, byte strings, and lists of these, not too deep and with every length honest. The
 * general decoder that comes after would also build maps, dates, regular expressions, records and cyclic
 * references, and allocates a list as long as its header says.
 */
export function checkPlainMsgpack(payload: Uint8Array): void {
  const scan: Scan = { payload, at: 0, items: 0 }
  scanValue(scan, 1)
  if (scan.at !== payload.length) throw new MalformedError('bytes after the end of the messages')
}

interface Scan {
  readonly payload: Uint8Array
  at: number
  items: number
}

/** Bytes after the token of fixed-size values: 0xcb double, 0xcc to 0xd3 integers of 1, 2, 4 and 8 bytes. */
const FIXED: Readonly<Record<number, number>> = {
  0xc0: 0,
  0xc2: 0,
  0xc3: 0,
  0xcb: 8,
  0xcc: 1,
  0xcd: 2,
  0xce: 4,
  0xcf: 8,
  0xd0: 1,
  0xd1: 2,
  0xd2: 4,
  0xd3: 8,
}

/** Width of the length after the token of byte strings (0xc4 to 0xc6), texts (0xd9 to 0xdb), lists (0xdc, 0xdd). */
const SIZED: Readonly<Record<number, number>> = {
  0xc4: 1,
  0xc5: 2,
  0xc6: 4,
  0xd9: 1,
  0xda: 2,
  0xdb: 4,
  0xdc: 2,
  0xdd: 4,
}

function scanValue(scan: Scan, depth: number): void {
  const token = lengthAt(scan, 1)
  if (++scan.items > FRAME_ITEMS_MAX) throw new MalformedError('too many values in one frame')
  if (token < 0x80 || token >= 0xe0) return
  if (token >= 0x90 && token < 0xa0) return scanList(scan, token - 0x90, depth)
  if (token >= 0xa0 && token < 0xc0) return skip(scan, token - 0xa0)
  const fixed = FIXED[token]
  if (fixed !== undefined) return skip(scan, fixed)
  const width = SIZED[token]
  if (width === undefined) throw new MalformedError(`msgpack type ${token} has no place in a message`)
  const length = lengthAt(scan, width)
  if (token >= 0xdc) scanList(scan, length, depth)
  else skip(scan, length)
}

function scanList(scan: Scan, length: number, depth: number): void {
  if (depth > DEPTH_MAX) throw new MalformedError('lists nested too deeply')
  if (length > scan.payload.length - scan.at) throw truncated(scan)
  for (let i = 0; i < length; i++) scanValue(scan, depth + 1)
}

function skip(scan: Scan, bytes: number): void {
  if (bytes > scan.payload.length - scan.at) throw truncated(scan)
  scan.at += bytes
}

function lengthAt(scan: Scan, width: number): number {
  const from = scan.at
  skip(scan, width)
  let value = 0
  for (let i = from; i < scan.at; i++) value = value * 0x100 + scan.payload[i]!
  return value
}

const truncated = (scan: Scan): MalformedError => new MalformedError(`truncated at ${scan.at}`)
