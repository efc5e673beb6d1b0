import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t from 'tap'
import { MalformedError, utf8 } from '@kvorum/model'
import { codec, messageNames, NESTING_MAX, schema, type MessageName } from '@kvorum/protocol'
import { planFor } from '#src/schema.js'
import { WireReader } from '#src/wireReader.js'
import { WireWriter } from '#src/wireWriter.js'
import { arbitraryMessage } from './arbitraryMessage.js'

/** Protobuf by hand, without anything of ours. */
const byteOf = (value: number): Buffer => Buffer.from([value])
function varint(value: bigint | number): Buffer {
  let rest = BigInt.asUintN(64, BigInt(value))
  const bytes: number[] = []
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128)
    rest >>= 7n
  }
  return Buffer.from([...bytes, Number(rest)])
}
const int = (field: number, value: bigint | number): Buffer =>
  Buffer.concat([varint(field << 3), varint(value)])
const blob = (field: number, ...content: (string | Uint8Array)[]): Buffer => {
  const bytes = Buffer.concat(content.map(part => Buffer.from(part as string)))
  return Buffer.concat([varint((field << 3) | 2), varint(bytes.length), bytes])
}
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** Byte strings as text, so that classes of byte arrays do not matter. */
function readable(value: unknown): unknown {
  if (value instanceof Uint8Array) return `0x${hex(value)}`
  if (Array.isArray(value)) return value.map(readable)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, readable(field)]))
}

t.test('the generated files are what the .proto files say', async t => {
  const script = fileURLToPath(new URL('../../generate.js', import.meta.url))
  t.doesNotThrow(() => execFileSync(process.execPath, [script, '--check'], { stdio: 'pipe' }))
})

t.test('golden bytes, built by hand', async t => {
  const golden: [MessageName, Record<string, unknown>, Buffer][] = [
    ['etcdserverpb.PutRequest', {}, Buffer.alloc(0)],
    [
      'etcdserverpb.PutRequest',
      {
        key: utf8('k'),
        value: utf8('v'),
        lease: -1n,
        prev_kv: true,
        ignore_value: true,
        ignore_lease: true,
      },
      Buffer.concat([blob(1, 'k'), blob(2, 'v'), int(3, -1n), int(4, 1), int(5, 1), int(6, 1)]),
    ],
    [
      'etcdserverpb.RangeRequest',
      {
        key: utf8('a'),
        range_end: utf8('b'),
        limit: 300,
        revision: 2 ** 53 - 1,
        sort_order: 2,
        sort_target: 4,
        serializable: true,
        keys_only: true,
        count_only: true,
        min_mod_revision: 10,
        max_mod_revision: 11,
        min_create_revision: -12,
        max_create_revision: 13,
      },
      Buffer.concat([
        blob(1, 'a'),
        blob(2, 'b'),
        int(3, 300),
        int(4, 2n ** 53n - 1n),
        int(5, 2),
        int(6, 4),
        int(7, 1),
        int(8, 1),
        int(9, 1),
        int(10, 10),
        int(11, 11),
        int(12, -12),
        int(13, 13),
      ]),
    ],
    [
      'etcdserverpb.RangeResponse',
      {
        header: { cluster_id: 2n ** 64n - 1n, member_id: 2n ** 63n, revision: 7, raft_term: 3 },
        kvs: [
          { key: utf8('a'), create_revision: 2, mod_revision: 3, version: 4, value: utf8('x'), lease: 9n },
          { key: utf8('b') },
        ],
        more: true,
        count: 5,
      },
      Buffer.concat([
        blob(1, int(1, 2n ** 64n - 1n), int(2, 2n ** 63n), int(3, 7), int(4, 3)),
        blob(2, blob(1, 'a'), int(2, 2), int(3, 3), int(4, 4), blob(5, 'x'), int(6, 9)),
        blob(2, blob(1, 'b')),
        int(3, 1),
        int(4, 5),
      ]),
    ],
    [
      'etcdserverpb.TxnRequest',
      {
        compare: [
          { result: 3, target: 3, key: utf8('k'), value: utf8(''), range_end: utf8('z') },
          { target: 1, key: utf8('k'), create_revision: 0 },
          { result: 1, target: 4, key: utf8('k'), lease: 5n },
          { result: 2, key: utf8('k'), version: 6 },
          { target: 2, key: utf8('k'), mod_revision: 7 },
        ],
        success: [
          { request_put: { key: utf8('k') } },
          { request_txn: { failure: [{ request_delete_range: { key: utf8('d'), prev_kv: true } }] } },
        ],
        failure: [{ request_range: {} }],
      },
      Buffer.concat([
        blob(1, int(1, 3), int(2, 3), blob(3, 'k'), blob(7), blob(64, 'z')),
        blob(1, int(2, 1), blob(3, 'k'), int(5, 0)),
        blob(1, int(1, 1), int(2, 4), blob(3, 'k'), int(8, 5)),
        blob(1, int(1, 2), blob(3, 'k'), int(4, 6)),
        blob(1, int(2, 2), blob(3, 'k'), int(6, 7)),
        blob(2, blob(2, blob(1, 'k'))),
        blob(2, blob(4, blob(3, blob(3, blob(1, 'd'), int(3, 1))))),
        blob(3, blob(1)),
      ]),
    ],
    [
      'etcdserverpb.WatchRequest',
      {
        create_request: {
          key: utf8('k'),
          range_end: utf8('l'),
          start_revision: 4,
          progress_notify: true,
          filters: [0, 1],
          prev_kv: true,
          watch_id: 9n,
          fragment: true,
        },
      },
      blob(
        1,
        blob(1, 'k'),
        blob(2, 'l'),
        int(3, 4),
        int(4, 1),
        blob(5, byteOf(0), byteOf(1)),
        int(6, 1),
        int(7, 9),
        int(8, 1),
      ),
    ],
    ['etcdserverpb.WatchRequest', { progress_request: {} }, blob(3)],
    [
      'etcdserverpb.WatchResponse',
      {
        watch_id: -1n,
        created: true,
        canceled: true,
        compact_revision: 5,
        cancel_reason: 'why',
        fragment: true,
        events: [{ type: 1, kv: { key: utf8('k') }, prev_kv: { value: utf8('v') } }],
      },
      Buffer.concat([
        int(2, -1n),
        int(3, 1),
        int(4, 1),
        int(5, 5),
        blob(6, 'why'),
        int(7, 1),
        blob(11, int(1, 1), blob(2, blob(1, 'k')), blob(3, blob(5, 'v'))),
      ]),
    ],
    [
      'etcdserverpb.LeaseGrantRequest',
      { TTL: 60, ID: 2n ** 62n },
      Buffer.concat([int(1, 60), int(2, 2n ** 62n)]),
    ],
    [
      'etcdserverpb.LeaseTimeToLiveResponse',
      { TTL: -1, grantedTTL: 8, keys: [utf8('a'), utf8('')] },
      Buffer.concat([int(3, -1), int(4, 8), blob(5, 'a'), blob(5)]),
    ],
    ['etcdserverpb.DeleteRangeResponse', { deleted: 2, prev_kvs: [{}] }, Buffer.concat([int(2, 2), blob(3)])],
    [
      'etcdserverpb.StatusResponse',
      { version: '3.5.0', leader: 1n, errors: ['e'], downgradeInfo: { enabled: true } },
      Buffer.concat([blob(2, '3.5.0'), int(4, 1), blob(8, 'e'), blob(13, int(1, 1))]),
    ],
    [
      'etcdserverpb.Member',
      { ID: 1n, name: 'n', peerURLs: ['p'], clientURLs: ['c'], isLearner: true },
      Buffer.concat([int(1, 1), blob(2, 'n'), blob(3, 'p'), blob(4, 'c'), int(5, 1)]),
    ],
    [
      'etcdserverpb.HashKVResponse',
      { hash: 0xffffffff, compact_revision: 1, hash_revision: 2 },
      Buffer.concat([int(2, 0xffffffff), int(3, 1), int(4, 2)]),
    ],
  ]
  for (const [name, message, bytes] of golden) {
    t.equal(hex(codec(name).encode(message)), hex(bytes), `${name} is encoded`)
    const decoded = codec(name).decode(bytes)
    t.equal(hex(codec(name).encode(decoded)), hex(bytes), `${name} is decoded without loss`)
  }
})

t.test('every message goes there and back, and another implementation agrees', async t => {
  for (const name of messageNames()) {
    const ours = codec(name)
    const reflected = schema.lookupType(name)
    fc.assert(
      fc.property(arbitraryMessage(name), message => {
        const bytes = ours.encode(message)
        assert.deepEqual(readable(ours.decode(bytes)), readable(message))
        // protobufjs' own codec, through its own plain objects
        const theirs = reflected.encode(reflected.fromObject(message)).finish()
        assert.deepEqual(readable(ours.decode(theirs)), readable(message))
        const plain = reflected.toObject(reflected.decode(bytes), { longs: BigInt })
        assert.equal(hex(reflected.encode(reflected.fromObject(plain)).finish()), hex(theirs))
      }),
      { numRuns: 12 },
    )
    t.pass(name)
  }
})

t.test('integers keep their bits, counts saturate', async t => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), value => {
      const out = new WireWriter(1)
      out.id(value)
      assert.equal(hex(out.finish()), hex(varint(value)))
      const bytes = varint(value)
      assert.equal(new WireReader(bytes).id(true), BigInt.asIntN(64, value))
      assert.equal(new WireReader(bytes).id(false), BigInt.asUintN(64, value))
      const signed = BigInt.asIntN(64, value)
      const clamped =
        signed > 2n ** 53n - 1n ? 2n ** 53n - 1n : signed < 1n - 2n ** 53n ? 1n - 2n ** 53n : signed
      assert.equal(new WireReader(bytes).count(true), Number(clamped))
      assert.equal(new WireReader(bytes).int32(), Number(BigInt.asIntN(32, value)))
      assert.equal(new WireReader(bytes).uint32(), Number(BigInt.asUintN(32, value)))
      assert.equal(new WireReader(bytes).bool(), value !== 0n)
    }),
    { numRuns: 2000 },
  )
  const put = codec('etcdserverpb.PutRequest')
  for (const lease of [2n ** 53n, 2n ** 56n, 2n ** 63n - 1n, -(2n ** 63n), -1n, 2n ** 49n, 2n ** 49n - 1n])
    t.equal(put.decode(put.encode({ lease })).lease, lease)
})

t.test('what other encoders may send', async t => {
  const watch = codec('etcdserverpb.WatchCreateRequest')
  t.strictSame(watch.decode(Buffer.concat([int(5, 1), int(5, 0), blob(5, byteOf(1))])).filters, [1, 0, 1])
  t.strictSame(watch.decode(int(5, 7)).filters, [7], 'enums are open')
  const put = codec('etcdserverpb.PutRequest')
  const unknown = Buffer.concat([
    int(900, 5),
    blob(901, 'x'),
    Buffer.from([0xf9, 0x01, 1, 2, 3, 4, 5, 6, 7, 8]),
    Buffer.from([0xfd, 0x01, 1, 2, 3, 4]),
  ])
  t.equal(hex(put.decode(Buffer.concat([unknown, blob(1, 'k'), unknown])).key), '6b')
  t.equal(hex(put.decode(Buffer.concat([blob(1, 'a'), blob(1, 'b')])).key), '62', 'the last one wins')
  const range = codec('etcdserverpb.RangeResponse')
  const merged = range.decode(Buffer.concat([blob(1, int(3, 7)), blob(1, int(4, 2))]))
  t.match(merged.header, { revision: 7, raft_term: 2 }, 'a message in two parts is one')
  const op = codec('etcdserverpb.RequestOp').decode(
    Buffer.concat([blob(1, blob(1, 'a')), blob(2, blob(1, 'b'))]),
  )
  t.equal(op.request_range, null, 'the last member of a oneof wins')
  t.equal(hex(op.request_put!.key), '62')
  t.ok(put.decode(int(4, 2n ** 63n)).prev_kv, 'any bit makes true')
  t.equal(put.decode(Buffer.from([0x18, 0x85, 0x80, 0x00])).lease, 5n, 'a varint longer than it need be')
})

t.test('decoded byte strings are views, and templates are not shared', async t => {
  const put = codec('etcdserverpb.PutRequest')
  const bytes = Buffer.from(put.encode({ key: utf8('abc') }))
  const { key } = put.decode(bytes)
  bytes.fill(0)
  t.equal(hex(key), '000000')
  const txn = codec('etcdserverpb.TxnRequest')
  const first = txn.decode(blob(1, blob(3, 'k')))
  t.equal(first.compare.length, 1)
  t.equal(txn.decode(Buffer.alloc(0)).compare.length, 0)
})

t.test('hostile bytes are refused with MalformedError and nothing else', async t => {
  const put = codec('etcdserverpb.PutRequest')
  const refused: Record<string, Buffer> = {
    'field number 0': Buffer.from([0x00, 0x01]),
    'length beyond the end': Buffer.from([0x0a, 0x05, 0x61]),
    'huge length': Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x61]),
    'length of ten bytes': Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
    'varint without end': Buffer.alloc(20, 0xff),
    'lease of 65 bits': Buffer.from([0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x03]),
    'wrong wire type': int(1, 5),
    'wrong wire type for a number': blob(3, 'x'),
    'a group': Buffer.from([0xfb, 0x01, 0xfc, 0x01]),
    'wire type 6': Buffer.from([0x0e]),
    'cut fixed64': Buffer.from([0xf9, 0x01, 1, 2]),
    'cut fixed32': Buffer.from([0xfd, 0x01, 1]),
    'tag of more than 32 bits': Buffer.from([0xf8, 0xff, 0xff, 0xff, 0xff, 0x01, 0x01]),
  }
  for (const [what, bytes] of Object.entries(refused)) t.throws(() => put.decode(bytes), MalformedError, what)
  const range = codec('etcdserverpb.RangeResponse')
  const inner = Buffer.concat([blob(1, Buffer.from([0x18, 0x80])), Buffer.from([0x01])])
  t.throws(() => range.decode(inner), MalformedError, 'a nested message that reads over its end')
  t.throws(
    () => codec('etcdserverpb.WatchCreateRequest').decode(blob(5, Buffer.from([0x80]))),
    MalformedError,
  )
  const user = codec('etcdserverpb.AuthUserGetRequest')
  t.throws(() => user.decode(blob(1, Buffer.from([0xff, 0xfe]))), MalformedError, 'text that is not UTF-8')
  t.throws(() => user.decode(blob(1, Buffer.from([0xed, 0xa0, 0x80]))), MalformedError, 'a surrogate')
})

t.test('nesting is bounded', async t => {
  const txn = codec('etcdserverpb.TxnRequest')
  let bytes: Uint8Array = Buffer.alloc(0)
  for (let i = 0; i < NESTING_MAX / 2; i++) bytes = blob(2, blob(4, bytes))
  t.equal(txn.decode(bytes).success.length, 1)
  t.throws(() => txn.decode(blob(2, blob(4, bytes))), /nested deeper/)
  for (let i = 0; i < 20_000; i++) bytes = blob(2, bytes.subarray(0, 4))
  t.throws(() => txn.decode(bytes), MalformedError)
  const deep = Buffer.alloc(400_000)
  for (let i = 0; i < deep.length; i += 4) deep.set([0x12, 0x80, 0x80, 0x01], i)
  t.throws(() => txn.decode(deep), MalformedError)
})

t.test('truncated, damaged and random input never does anything else', async t => {
  const names = messageNames()
  const survives = (name: MessageName, bytes: Uint8Array): boolean => {
    try {
      codec(name).decode(bytes)
      return true
    } catch (error) {
      return error instanceof MalformedError
    }
  }
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.uint8Array({ maxLength: 60 }), (name, bytes) =>
      survives(name, bytes),
    ),
    { numRuns: 3000 },
  )
  const cases = fc.constantFrom<MessageName>('etcdserverpb.TxnRequest', 'etcdserverpb.WatchResponse')
  fc.assert(
    fc.property(
      cases.chain(name => fc.tuple(fc.constant(name), arbitraryMessage(name))),
      fc.nat(),
      fc.nat(255),
      ([name, message], at, byte) => {
        const bytes = Buffer.from(codec(name).encode(message))
        if (bytes.length === 0) return true
        const damaged = Buffer.from(bytes)
        damaged[at % bytes.length] = byte
        return survives(name, bytes.subarray(0, at % bytes.length)) && survives(name, damaged)
      },
    ),
    { numRuns: 300 },
  )
  t.pass('no other error')
})

t.test('a message that was never declared', async t => {
  t.throws(() => planFor('etcdserverpb.Nothing'), /no message/)
})
