import { decodeHuffman } from './huffman.js'

/**
 * As much of HPACK (RFC 7541) as this generator needs. Requests are literals without indexing, encoded once.
 * Responses come without a dynamic table, because our SETTINGS allow none, so every block can be decoded, and
 * remembered, by itself.
 */

/** What a response's header blocks say. Null: the block does not say it. */
export interface ResponseHead {
  readonly httpStatus: string | null
  readonly grpcStatus: number | null
  readonly grpcMessage: string | null
}

/** Places 8 to 14 of the static table are values of :status; the rest never matters here. */
const STATIC_SIZE = 61
const STATIC_STATUS_FIRST = 8
const STATIC_STATUS = ['200', '204', '206', '304', '400', '404', '500'] as const

export function encodeHeaders(headers: readonly (readonly [name: string, value: string])[]): Buffer {
  const parts: Buffer[] = []
  for (const [name, value] of headers) parts.push(Buffer.from([0]), literal(name), literal(value))
  return Buffer.concat(parts)
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes])
  const rest: number[] = [127]
  let length = bytes.length - 127
  for (; length >= 128; length >>= 7) rest.push((length & 127) | 128)
  rest.push(length)
  return Buffer.concat([Buffer.from(rest), bytes])
}

/** A cursor over one header block. */
interface Block {
  readonly bytes: Buffer
  at: number
}

export function decodeHead(bytes: Buffer): ResponseHead {
  const block: Block = { bytes, at: 0 }
  const found = new Map<string, string>()
  while (block.at < bytes.length) {
    const first = bytes[block.at]!
    if (first & 0x80) indexed(integer(block, 7), found)
    else if (first & 0x40) field(block, 6, found)
    else if (first & 0x20) sizeUpdate(integer(block, 5))
    else field(block, 4, found)
  }
  const status = found.get('grpc-status')
  return {
    httpStatus: found.get(':status') ?? null,
    grpcStatus: status === undefined ? null : Number(status),
    grpcMessage: found.get('grpc-message') ?? null,
  }
}

function indexed(index: number, found: Map<string, string>): void {
  if (index === 0 || index > STATIC_SIZE) throw new Error(`HPACK index ${index} without a dynamic table`)
  const status = STATIC_STATUS[index - STATIC_STATUS_FIRST]
  if (status !== undefined) found.set(':status', status)
}

function sizeUpdate(size: number): void {
  if (size !== 0) throw new Error(`HPACK table size ${size} was not allowed`)
}

function field(block: Block, prefixBits: number, found: Map<string, string>): void {
  const index = integer(block, prefixBits)
  if (index > STATIC_SIZE) throw new Error(`HPACK index ${index} without a dynamic table`)
  const name = index === 0 ? string(block) : staticName(index)
  const value = string(block)
  if (name !== null) found.set(name, value)
}

const staticName = (index: number): string | null =>
  STATIC_STATUS[index - STATIC_STATUS_FIRST] === undefined ? null : ':status'

function integer(block: Block, prefixBits: number): number {
  const mask = (1 << prefixBits) - 1
  let value = next(block) & mask
  if (value < mask) return value
  for (let shift = 0; shift <= 21; shift += 7) {
    const byte = next(block)
    value += (byte & 127) << shift
    if (byte < 128) return value
  }
  throw new Error('HPACK integer is too long')
}

function string(block: Block): string {
  const huffman = (block.bytes[block.at]! & 0x80) !== 0
  const length = integer(block, 7)
  const end = block.at + length
  if (end > block.bytes.length) throw new Error('HPACK block is truncated')
  const bytes = block.bytes.subarray(block.at, end)
  block.at = end
  return huffman ? decodeHuffman(bytes) : bytes.toString('latin1')
}

function next(block: Block): number {
  const byte = block.bytes[block.at++]
  if (byte === undefined) throw new Error('HPACK block is truncated')
  return byte
}
