import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { LIMITS, MalformedError, utf8 } from '@kvorum/model'
import {
  codec,
  JsonSequence,
  messageNames,
  parseJson,
  parseJsonBytes,
  type MessageName,
} from '@kvorum/protocol'
import { arbitraryMessage } from './arbitraryMessage.js'

const read = (name: MessageName, text: string): Record<string, unknown> =>
  codec(name).fromJson(parseJson(text)) as unknown as Record<string, unknown>
const refused = (name: MessageName, text: string): string => {
  try {
    read(name, text)
  } catch (error) {
    assert(error instanceof MalformedError)
    return error.message
  }
  return 'accepted'
}
const RANGE = 'etcdserverpb.RangeRequest'
const PUT = 'etcdserverpb.PutRequest'

t.test('requests: names, integers, enums, bytes', async t => {
  t.match(read(RANGE, '{"range_end":"AA==","limit":"5","sort_order":"DESCEND","keysOnly":true}'), {
    range_end: Buffer.from([0]),
    limit: 5,
    sort_order: 2,
    keys_only: true,
  })
  t.match(read(RANGE, '{"rangeEnd":"AA==","limit":5,"sortOrder":2,"keys_only":true,"countOnly":null}'), {
    range_end: Buffer.from([0]),
    limit: 5,
    sort_order: 2,
    keys_only: true,
    count_only: false,
  })
  t.equal(read(RANGE, '{"sort_order":9}').sort_order, 9, 'numbers nobody knows are left to the conversion')
  t.equal(read(RANGE, '{"limit":-1}').limit, -1)
  t.equal(read(RANGE, '{"limit":1e3}').limit, 1000)
  t.equal(read(RANGE, '{"revision":"9223372036854775807"}').revision, Number.MAX_SAFE_INTEGER)
  t.equal(read('etcdserverpb.LeaseGrantRequest', '{"TTL":"10","ID":12}').ID, 12n)
  t.equal(read('etcdserverpb.MemberListRequest', '{"linearizable":false}').linearizable, false)
})

t.test('empty bodies are empty messages', async t => {
  for (const body of ['', ' \n', '{}'])
    t.strictSame(read(RANGE, body), codec(RANGE).decode(Buffer.alloc(0)), JSON.stringify(body))
  t.strictSame(codec(RANGE).fromJson(parseJsonBytes(Buffer.alloc(0))), codec(RANGE).decode(Buffer.alloc(0)))
})

t.test('bare integers keep their bits', async t => {
  const lease = (text: string): unknown => read(PUT, `{"key":"a2V5","lease":${text}}`).lease
  for (const id of [
    '7587862094501234567',
    '-9223372036854775808',
    '9223372036854775807',
    '9007199254740993',
  ]) {
    t.equal(lease(id), BigInt(id))
    t.equal(lease(`"${id}"`), BigInt(id))
  }
  t.equal(lease('1234567890123456'), 1234567890123456n)
  const text =
    '{"key":"MTIzNDU2Nzg5MDEyMzQ1Njc4OQ==","value":"1234567890123456\\u003d","lease": 7587862094501234567 }'
  t.match(refused(PUT, text), /not base64/)
  t.equal(read(PUT, text.replace('\\u003d', '')).lease, 7587862094501234567n)
  t.equal(
    read('etcdserverpb.MoveLeaderRequest', '{"targetID":18446744073709551615}').targetID,
    2n ** 64n - 1n,
  )
  t.match(
    refused('etcdserverpb.AuthUserGetRequest', '{"name":7587862094501234567}'),
    /name: expected a string/,
  )
  t.match(refused(PUT, '{"key":7587862094501234567}'), /key: not base64/)
  t.match(refused(PUT, '{7587862094501234567:1}'), /not JSON/)
  t.match(refused(PUT, '{"lease":0007587862094501234567}'), /not JSON/)
  t.match(refused(PUT, '{"lease":7587862094501234567.5}'), /lease: expected an integer/)
})

t.test('base64 of both alphabets, padded or not', async t => {
  const key = (text: string): string =>
    Buffer.from(read(PUT, `{"key":"${text}"}`).key as Buffer).toString('hex')
  t.equal(key('+/+/'), 'fbffbf')
  t.equal(key('-_-_'), 'fbffbf')
  t.equal(key('Zg=='), '66')
  t.equal(key('Zg'), '66')
  t.equal(key('Zm8='), '666f')
  t.equal(key(''), '')
  for (const bad of [
    'Z',
    'Zg=',
    'Zg===',
    'Z=g=',
    '====',
    '=',
    'Zm8==',
    'Zm9v=',
    'Zm9v==',
    'Z g=',
    'Zg==\\n',
    'Zm9v!',
  ])
    t.match(refused(PUT, `{"key":"${bad}"}`), /PutRequest.key: not base64/, bad)
})

t.test('what is refused, and in which words', async t => {
  const cases: [MessageName, string, RegExp][] = [
    [RANGE, '{', /not JSON/],
    [RANGE, '[]', /RangeRequest: expected an object/],
    [RANGE, 'null', /expected an object/],
    [RANGE, '"x"', /expected an object/],
    [RANGE, '{"limit":1.5}', /RangeRequest.limit: expected an integer/],
    [RANGE, '{"limit":"x"}', /limit: expected an integer/],
    [RANGE, '{"limit":""}', /limit: expected an integer/],
    [RANGE, '{"limit":true}', /limit: expected an integer/],
    [RANGE, '{"limit":"0x10"}', /limit: expected an integer/],
    [RANGE, '{"limit":"9223372036854775808"}', /limit: out of range for int64/],
    [RANGE, `{"limit":"${'9'.repeat(5000)}"}`, /limit: expected an integer/],
    [RANGE, '{"limit":1e300}', /limit: expected an integer/],
    [RANGE, '{"limit":1e400}', /limit: expected an integer/],
    ['etcdserverpb.MoveLeaderRequest', '{"targetID":"-1"}', /targetID: out of range for uint64/],
    ['etcdserverpb.HashResponse', '{"hash":4294967296}', /hash: out of range for uint32/],
    ['etcdserverpb.HashResponse', '{"hash":"x"}', /hash: expected an integer/],
    [RANGE, '{"sort_order":"UP"}', /sort_order: no such value of etcdserverpb.RangeRequest.SortOrder/],
    [RANGE, '{"sort_order":"toString"}', /no such value/],
    [RANGE, '{"sort_order":1.5}', /expected an integer/],
    [RANGE, '{"sort_order":4294967296}', /out of range for int32/],
    [RANGE, '{"sort_order":true}', /expected a name or a number/],
    [RANGE, '{"keys_only":"true"}', /keys_only: expected true or false/],
    [RANGE, '{"key":["a"]}', /key: expected a base64 string/],
    [RANGE, '{"range_end":"AA==","rangeEnd":"AA=="}', /given twice/],
    ['etcdserverpb.TxnRequest', '{"compare":{}}', /compare: expected an array/],
    ['etcdserverpb.TxnRequest', '{"compare":[null]}', /compare\[0\]: expected an object/],
    [
      'etcdserverpb.TxnRequest',
      '{"success":[{},{"request_put":{"lease":"x"}}]}',
      /success\[1\].request_put.lease/,
    ],
    ['etcdserverpb.WatchRequest', '{"create_request":{},"cancelRequest":{}}', /only one of/],
    ['etcdserverpb.Compare', '{"version":1,"value":""}', /only one of/],
    ['etcdserverpb.AuthUserGetRequest', '{"name":1}', /name: expected a string/],
  ]
  for (const [name, text, message] of cases) t.match(refused(name, text), message, text.slice(0, 60))
  t.throws(() => parseJsonBytes(Buffer.from([0x22, 0xff, 0x22])), /not UTF-8/)
})

t.test('unknown fields and names of prototypes do no harm', async t => {
  const text = '{"x":{"y":[1]},"__proto__":{"key":"eA=="},"constructor":1,"key":"a2V5","toString":"z"}'
  t.equal(Buffer.from(read(PUT, text).key as Buffer).toString(), 'key')
  t.equal(Buffer.from(read(PUT, '{"__proto__":{"key":"eA=="}}').key as Buffer).length, 0)
  t.equal(({} as Record<string, unknown>).key, undefined)
})

t.test('nesting is bounded', async t => {
  const nested = (depth: number): string =>
    `${'{"success":[{"request_txn":'.repeat(depth)}{}${'}]}'.repeat(depth)}`
  t.equal(refused('etcdserverpb.TxnRequest', nested(40)), 'accepted')
  t.match(refused('etcdserverpb.TxnRequest', nested(60)), /nested deeper/)
  t.match(refused('etcdserverpb.TxnRequest', nested(50_000)), /nested deeper|not JSON/)
  t.match(refused(RANGE, '{"x":'.repeat(100_000)), /not JSON/)
  t.match(refused(RANGE, '['.repeat(200_000) + ']'.repeat(200_000)), /expected an object|not JSON/)
})

t.test('answers: names as in the proto, 64 bits as strings, defaults left out', async t => {
  const header = { cluster_id: 14841639068965178418n, member_id: 2n ** 64n - 1n, revision: 4, raft_term: 2 }
  t.strictSame(
    codec('etcdserverpb.RangeResponse').toJson({
      header,
      kvs: [
        { key: utf8('foo'), create_revision: 2, mod_revision: 4, version: 3, value: utf8('bar'), lease: -1n },
      ],
      count: 1,
    }),
    {
      header: {
        cluster_id: '14841639068965178418',
        member_id: '18446744073709551615',
        revision: '4',
        raft_term: '2',
      },
      kvs: [
        { key: 'Zm9v', create_revision: '2', mod_revision: '4', version: '3', value: 'YmFy', lease: '-1' },
      ],
      count: '1',
    },
  )
  const json = (name: MessageName, message: object): unknown => codec(name).toJson(message)
  t.strictSame(json('etcdserverpb.TxnResponse', { succeeded: false, responses: [{ response_put: {} }] }), {
    responses: [{ response_put: {} }],
  })
  t.strictSame(json('mvccpb.Event', { type: 0, kv: { key: utf8('a') } }), { kv: { key: 'YQ==' } })
  t.strictSame(json('mvccpb.Event', { type: 1 }), { type: 'DELETE' })
  t.strictSame(json('mvccpb.Event', { type: 9 }), { type: 9 })
  t.strictSame(json('etcdserverpb.LeaseKeepAliveResponse', { header: {}, ID: 5n, TTL: 0 }), {
    header: {},
    ID: '5',
  })
  t.strictSame(
    json('etcdserverpb.WatchResponse', { created: false, canceled: true, fragment: false, events: [] }),
    {
      canceled: true,
    },
  )
  t.strictSame(json('etcdserverpb.HashResponse', { hash: 4294967295 }), { hash: 4294967295 })
  t.strictSame(json('etcdserverpb.Compare', { version: 0 }), { version: '0' })
  t.strictSame(
    json('etcdserverpb.StatusResponse', {
      version: '3.5.17',
      dbSize: 20480,
      leader: 1n,
      raftIndex: 8,
      errors: [],
      isLearner: true,
      dbSizeInUse: 0,
    }),
    { version: '3.5.17', dbSize: '20480', leader: '1', raftIndex: '8', isLearner: true },
  )
  t.strictSame(json('etcdserverpb.Member', { ID: 1n, peerURLs: ['http://a'], clientURLs: [], name: '' }), {
    ID: '1',
    peerURLs: ['http://a'],
  })
})

t.test('every message goes there and back as text', async t => {
  for (const name of messageNames()) {
    const ours = codec(name)
    fc.assert(
      fc.property(arbitraryMessage(name), message => {
        const text = JSON.stringify(ours.toJson(message))
        assert.deepEqual(ours.encode(ours.fromJson(parseJson(text)) as object), ours.encode(message))
      }),
      { numRuns: 8 },
    )
    t.pass(name)
  }
})

t.test('integers among strings', async t => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.bigInt({ min: 10n ** 15n, max: 2n ** 63n - 1n }), (value, id) => {
      const text = `{"x":${JSON.stringify(value)},"lease":${id},"y":${JSON.stringify({ z: `"${id}\\` })}}`
      assert.equal(codec(PUT).fromJson(parseJson(text)).lease, id)
    }),
  )
  t.pass('found wherever they are')
})

const texts = (values: unknown[]): string => JSON.stringify(values)

t.test('sequences: cut anywhere, with or without space', async t => {
  const objects = [{ create_request: { key: 'YQ==' } }, {}, { s: '}{"\\ü', n: [{ a: {} }] }, { last: 1 }]
  for (const separator of ['', '\n', ' \r\n\t']) {
    const bytes = Buffer.from(objects.map(object => JSON.stringify(object)).join(separator) + separator)
    for (let cut = 0; cut <= bytes.length; cut++) {
      const sequence = new JsonSequence()
      const first = sequence.push(bytes.subarray(0, cut))
      const values = [...first, ...sequence.push(bytes.subarray(cut))]
      assert.equal(texts(values), texts(objects))
      sequence.end()
    }
    const single = new JsonSequence()
    t.equal(texts([...bytes].flatMap(byte => single.push(Buffer.from([byte])))), texts(objects))
  }
  const chunk = Buffer.from('{"a":')
  const sequence = new JsonSequence()
  t.strictSame(sequence.push(chunk), [])
  chunk.fill(0)
  t.equal(texts(sequence.push(Buffer.from('1}'))), '[{"a":1}]', 'chunks are copied')
})

t.test('sequences: what is refused', async t => {
  const push = (text: string, max?: number): unknown[] => new JsonSequence(max).push(Buffer.from(text))
  for (const bad of ['[]', 'x', '1', '"a"', '{}x', '{},{}', '}'])
    t.throws(() => push(bad), /expected a JSON object/, bad)
  t.throws(() => push('{a}'), /not JSON/)
  t.throws(() => push('{"a":[}'), /not JSON/)
  t.equal(push(`{"a":"${'x'.repeat(20)}"}`, 28).length, 1)
  t.throws(() => push(`{"a":"${'x'.repeat(21)}"}`, 28), /more than 28 bytes/)
  const sequence = new JsonSequence()
  sequence.push(Buffer.from('{"a":"'))
  t.throws(() => sequence.end(), /cut off/)
  const piece = Buffer.alloc(64 * 1024, 0x78)
  t.throws(() => {
    for (let sent = 0; sent <= LIMITS.frameBytesMax; sent += piece.length) sequence.push(piece)
  }, MalformedError)
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 8 })), chunks => {
      try {
        const random = new JsonSequence()
        for (const chunk of chunks) random.push(chunk)
        random.end()
      } catch (error) {
        assert(error instanceof MalformedError)
      }
    }),
    { numRuns: 1000 },
  )
})
