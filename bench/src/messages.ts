/**
 * The few protobuf messages that the generator sends, written by hand so that a request is a template whose
 * key is patched in place.
 */

export const METHOD = {
  put: '/etcdserverpb.KV/Put',
  range: '/etcdserverpb.KV/Range',
  deleteRange: '/etcdserverpb.KV/DeleteRange',
  txn: '/etcdserverpb.KV/Txn',
  status: '/etcdserverpb.Maintenance/Status',
} as const

const WIRE = { varint: 0, bytes: 2 } as const

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80)
  bytes.push(rest)
  return Buffer.from(bytes)
}

const bytesField = (field: number, value: Uint8Array): Buffer =>
  Buffer.concat([varint(field * 8 + WIRE.bytes), varint(value.length), value])
const varintField = (field: number, value: number): Buffer =>
  Buffer.concat([varint(field * 8 + WIRE.varint), varint(value)])

export const putRequest = (key: Uint8Array, value: Uint8Array): Buffer =>
  Buffer.concat([bytesField(1, key), bytesField(2, value)])

export const rangeRequest = (key: Uint8Array): Buffer => bytesField(1, key)

export const countRequest = (key: Uint8Array, end: Uint8Array): Buffer =>
  Buffer.concat([bytesField(1, key), bytesField(2, end), varintField(9, 1)])

export const deleteRangeRequest = (key: Uint8Array, end: Uint8Array): Buffer =>
  Buffer.concat([bytesField(1, key), bytesField(2, end)])

/** A transaction without compares: all puts at once. */
export const putManyRequest = (puts: readonly Uint8Array[]): Buffer =>
  Buffer.concat(puts.map(put => bytesField(2, bytesField(2, put))))

export interface MemberStatus {
  readonly memberId: bigint
  readonly leader: bigint
  readonly version: string
}

export function readStatus(body: Buffer): MemberStatus {
  const status = fields(body)
  const header = fields(bytesOf(status.get(1)))
  return {
    memberId: numberOf(header.get(2)),
    leader: numberOf(status.get(4)),
    version: bytesOf(status.get(2)).toString('utf8'),
  }
}

/** DeleteRangeResponse.deleted */
export const readDeleted = (body: Buffer): number => Number(numberOf(fields(body).get(2)))
/** RangeResponse.count */
export const readCount = (body: Buffer): number => Number(numberOf(fields(body).get(4)))

type Field = bigint | Buffer

const bytesOf = (field: Field | undefined): Buffer => (Buffer.isBuffer(field) ? field : Buffer.alloc(0))
const numberOf = (field: Field | undefined): bigint => (typeof field === 'bigint' ? field : 0n)

/** The last value of each field of a message made of varints and byte strings. */
function fields(body: Buffer): Map<number, Field> {
  const found = new Map<number, Field>()
  let at = 0
  const number = (): bigint => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = body[at++]
      if (byte === undefined || shift > 63n) throw new Error('malformed varint in a response')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  while (at < body.length) {
    const tag = Number(number())
    const wire = tag & 7
    if (wire === WIRE.varint) found.set(tag >> 3, number())
    else if (wire === WIRE.bytes) {
      const length = Number(number())
      found.set(tag >> 3, body.subarray(at, (at += length)))
    } else throw new Error(`wire type ${wire} in a response`)
  }
  return found
}
