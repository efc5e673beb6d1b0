import { deepStrictEqual, equal, throws } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import {
  ByteReader,
  ByteWriter,
  commandHeader,
  decodeReply,
  decodeShardCommand,
  encodeReply,
  encodeShardCommand,
  MalformedError,
  NO_HEADER,
  sessionId,
  toHex,
  TXN_DEPTH_MAX,
  withHeader,
} from '@kvorum/model'
import type { CommandHeader, Op, Reply, ShardCommand } from '@kvorum/model'
import { check, command, plain, range, reply } from './arbitraries.js'

/** In tap's terms, and in those of node:assert. */
const OURS = new MalformedError('')
const REFUSED = { name: 'MalformedError' }

t.test('scalars come back as they were written', async t => {
  check(
    t,
    fc.property(
      fc.record({
        flag: fc.boolean(),
        byte: fc.nat(255),
        word: fc.nat(0xffffffff),
        id: fc.bigInt(0n, 2n ** 64n - 1n),
        count: fc.maxSafeNat(),
        offset: fc.maxSafeInteger(),
        blob: fc.uint8Array(),
        name: fc.string({ unit: 'grapheme' }),
      }),
      row => {
        const out = new ByteWriter(1)
        out.bool(row.flag).u8(row.byte).u32(row.word).u64(row.id).varint(row.count).signed(row.offset)
        out.bytes(row.blob).text(row.name)
        const bytes = out.finish()
        equal(out.length, bytes.length)
        const input = new ByteReader(bytes)
        const back = {
          flag: input.bool(),
          byte: input.u8(),
          word: input.u32(),
          id: input.u64(),
          count: input.varint(),
          offset: input.signed(),
          blob: input.bytes(),
          name: input.text(),
        }
        input.end()
        deepStrictEqual(plain(back), plain(row))
      },
    ),
    200,
  )
})

t.test('a varint that cannot be one is refused on both sides', async t => {
  for (const bad of [-1, 1.5, NaN, Infinity, 2 ** 53])
    t.throws(() => new ByteWriter().varint(bad), { name: 'InvariantError' }, `${bad} is not written`)

  const tooLarge = Buffer.from('ffffffffffffff7f', 'hex')
  t.throws(() => new ByteReader(tooLarge).varint(), OURS, 'beyond 2^53')
  t.throws(() => new ByteReader(Buffer.alloc(5, 0x80)).varint(), OURS, 'never ends')
  const padded = Buffer.concat([Buffer.alloc(400, 0x80), Buffer.from([0])])
  t.throws(() => new ByteReader(padded).varint(), OURS, 'padded with zeros until the scale overflows')
  t.throws(() => new ByteReader(Buffer.concat([padded, Buffer.from('x')])).bytes(), OURS)
  const largest = new ByteWriter().varint(Number.MAX_SAFE_INTEGER).finish()
  t.equal(new ByteReader(largest).varint(), Number.MAX_SAFE_INTEGER)
})

t.test('lies about lengths, flags and ends are refused', async t => {
  t.throws(() => new ByteReader(Buffer.from([5, 1, 2])).bytes(), OURS, 'fewer bytes than promised')
  t.throws(() => new ByteReader(Buffer.from([2])).bool(), OURS, 'a flag of 2')
  t.throws(() => new ByteReader(Buffer.from([1, 2, 3])).u32(), OURS)
  t.throws(() => new ByteReader(Buffer.alloc(7)).u64(), OURS)
  t.throws(() => new ByteReader(Buffer.alloc(1)).end(), OURS, 'bytes left over')
  t.doesNotThrow(() => new ByteReader(Buffer.alloc(0)).end())
})

t.test('a reader looks only at its own part of a shared buffer', async t => {
  const shared = Buffer.from('0161ff02', 'hex')
  const input = new ByteReader(new Uint8Array(shared.buffer, shared.byteOffset, 2))
  t.equal(plain(input.bytes()), '0x61')
  input.end()
  t.equal(input.remaining, 0)
})

const FORMATS = [
  {
    name: 'command',
    arbitrary: command as fc.Arbitrary<unknown>,
    encode: encodeShardCommand as (value: unknown) => Uint8Array,
    decode: decodeShardCommand as (bytes: Uint8Array) => unknown,
    again: (value: unknown, bytes: Uint8Array) =>
      encodeShardCommand(value as ShardCommand, commandHeader(bytes)),
  },
  {
    name: 'reply',
    arbitrary: reply as fc.Arbitrary<unknown>,
    encode: encodeReply as (value: unknown) => Uint8Array,
    decode: decodeReply as (bytes: Uint8Array) => unknown,
    again: (value: unknown) => encodeReply(value as Reply),
  },
]

for (const { name, arbitrary, encode, decode, again } of FORMATS) {
  /** What hostile bytes may do: be refused by name, or be the one encoding of a value. */
  const judge = (bytes: Uint8Array): 'refused' | 'read' => {
    let value: unknown
    try {
      value = decode(bytes)
    } catch (error) {
      if (error instanceof MalformedError) return 'refused'
      throw error
    }
    equal(plain(again(value, bytes)), plain(bytes), 'a value has one encoding')
    return 'read'
  }

  t.test(`every ${name} comes back as it was written`, async t => {
    check(
      t,
      fc.property(arbitrary, value => {
        deepStrictEqual(plain(decode(encode(value))), plain(value))
      }),
      300,
    )
  })

  t.test(`every ${name} cut short or lengthened is refused`, async t => {
    check(
      t,
      fc.property(arbitrary, fc.nat(), (value, at) => {
        const bytes = encode(value)
        throws(() => decode(bytes.subarray(0, at % bytes.length)), REFUSED)
        throws(() => decode(Buffer.concat([bytes, Buffer.from([0])])), REFUSED)
      }),
      200,
    )
  })

  t.test(`damaged and invented bytes of a ${name} are refused or harmless`, async t => {
    const seen = { refused: 0, read: 0 }
    const damaged = fc.tuple(arbitrary, fc.nat(), fc.nat(255)).map(([value, at, byte]) =>
      Buffer.from(encode(value))
        .fill(byte, at % encode(value).length)
        .subarray(),
    )
    const oneByte = fc.tuple(arbitrary, fc.nat(), fc.nat(255)).map(([value, at, byte]) => {
      const bytes = Buffer.from(encode(value))
      bytes[at % bytes.length] = byte
      return bytes
    })
    const invented = fc
      .tuple(
        fc.constantFrom(1, 1, 1, 0, 2, 255),
        fc.nat(7),
        fc.constantFrom(0, 0, 0, 1, 2, 3),
        fc.uint8Array({ maxLength: 200 }),
      )
      .map(([format, kind, flags, rest]) => Buffer.concat([Buffer.from([format, kind, flags]), rest]))
    check(
      t,
      fc.property(fc.oneof(damaged, oneByte, invented), bytes => {
        seen[judge(bytes)]++
      }),
      2000,
    )
    t.ok(seen.refused > 100, 'most damage is noticed here already; checksums notice the rest')
    t.ok(seen.read > 0, 'and some of it is another well-formed value')
  })

  t.test(`an unknown format or kind of a ${name} is refused, never skipped`, async t => {
    for (const head of ['00', '02ff', '0100', '017f00', ''])
      t.throws(() => decode(Buffer.from(`${head}000000`.slice(0, head === '' ? 0 : undefined), 'hex')), OURS)
  })
}

t.test('unknown flags of a command are refused', async t => {
  const bytes = Buffer.from(encodeShardCommand({ kind: 'compact', revision: 7 }))
  bytes[2] = 4
  t.throws(() => decodeShardCommand(bytes), OURS)
})

t.test('a header comes back, and changes nothing of the command behind it', async t => {
  const position = fc.maxSafeNat()
  const full = fc.record({
    authRevision: fc.option(position),
    session: fc.option(
      fc.record({
        session: fc.bigInt(0n, 2n ** 64n - 1n).map(sessionId),
        sequence: position,
        acknowledgedBelow: position,
      }),
    ),
    writable: fc.option(fc.array(range, { maxLength: 3 })),
  })
  const header: fc.Arbitrary<CommandHeader> = full.map(({ writable, ...rest }) =>
    writable === null ? rest : { ...rest, writable },
  )
  const plainBytes = encodeShardCommand({ kind: 'compact', revision: 7 })
  check(
    t,
    fc.property(header, header, (first, second) => {
      const bytes = encodeShardCommand({ kind: 'compact', revision: 7 }, first)
      deepStrictEqual(plain(commandHeader(bytes)), plain(first))
      deepStrictEqual(decodeShardCommand(bytes), { kind: 'compact', revision: 7 })
      deepStrictEqual(plain(commandHeader(withHeader(bytes, second))), plain(second))
      deepStrictEqual(toHex(withHeader(bytes, NO_HEADER)), toHex(plainBytes))
    }),
    200,
  )
})

t.test('nesting is bounded where bytes are read', async t => {
  const nest = (depth: number): Op => {
    let op: Op = { kind: 'txn', compares: [], success: [], failure: [] }
    for (let i = 0; i < depth; i++) op = { kind: 'txn', compares: [], success: [op], failure: [] }
    return op
  }
  const deepest = encodeShardCommand({ kind: 'write', op: nest(TXN_DEPTH_MAX) })
  t.equal(decodeShardCommand(deepest).kind, 'write')
  const deeper = encodeShardCommand({ kind: 'write', op: nest(TXN_DEPTH_MAX + 1) })
  t.throws(() => decodeShardCommand(deeper), OURS)
})

t.test('a list that promises more items than bytes is refused before it is allocated', async t => {
  const lie = new ByteWriter().u8(1).u8(6).varint(Number.MAX_SAFE_INTEGER).finish()
  t.throws(() => decodeReply(lie), OURS)
})
