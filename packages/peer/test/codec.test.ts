import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { Packr } from 'msgpackr'
import t from 'tap'
import { clusterId, groupId, LIMITS, MalformedError, nodeId } from '@kvorum/model'
import { decodeParcels, encodeFrames, type Parcel } from '@kvorum/peer'
import { encodeParcel, FRAME_HEARTBEATS_MAX } from '#src/codec.js'
import { FRAME_ITEMS_MAX } from '#src/plainMsgpack.js'
import { decodePreface, encodePreface, PREFACE_OK, refusalByte, refusalOf } from '#src/preface.js'
import { MESSAGES, PARCELS, parcels, plain, REQUESTS } from './arbitraries.js'
import { GOLDEN_PARCELS } from './goldenParcels.js'

const packr = new Packr({ useRecords: false })
const pack = (value: unknown): Buffer => Buffer.from(packr.pack(value))
const payloadOf = (list: readonly Parcel[]): Uint8Array => {
  const { frames } = encodeFrames(list)
  return frames[0]!.bytes.subarray(10)
}

/** Decodes, or says that the bytes are malformed; everything else that is thrown fails the test. */
function verdict(payload: Uint8Array): ReturnType<typeof decodeParcels> | 'malformed' {
  try {
    return decodeParcels(payload)
  } catch (error) {
    if (error instanceof MalformedError) return 'malformed'
    throw error
  }
}

/** Answers, in six bytes each. */
const heartbeats = (count: number): Buffer => Buffer.alloc(6 * count, Buffer.of(1, 1, 1, 2, 1, 1))

const u32 = (value: number): Buffer => {
  const out = Buffer.alloc(4)
  out.writeUInt32BE(value)
  return out
}

function samples(): { name: string; payload: Uint8Array }[] {
  return Object.entries(GOLDEN_PARCELS).map(([name, list]) => ({ name, payload: payloadOf(list) }))
}

t.test('every kind of message comes back as it was', async t => {
  const wrap = {
    ...PARCELS,
    ...Object.fromEntries(
      Object.entries(MESSAGES).map(([name, message]) => [
        `raft ${name}`,
        fc.record({ kind: fc.constant('raft' as const), group: fc.constant(groupId(1)), message }),
      ]),
    ),
    ...Object.fromEntries(
      Object.entries(REQUESTS).map(([name, request]) => [
        `request ${name}`,
        fc.record({
          kind: fc.constant('request' as const),
          id: fc.constant(1),
          group: fc.constant(groupId(1)),
          request,
        }),
      ]),
    ),
  }
  for (const [name, arbitrary] of Object.entries(wrap)) {
    fc.assert(
      fc.property(arbitrary as fc.Arbitrary<Parcel>, parcel => {
        const back = decodeParcels(payloadOf([parcel]))
        return isDeepStrictEqual(plain(back), plain([parcel]))
      }),
      { numRuns: 200 },
    )
    t.pass(name)
  }
})

t.test('decoded bytes are copies: the network may reuse its buffer', async t => {
  fc.assert(
    fc.property(parcels, list => {
      if (list.length === 0) return true
      const payload = Buffer.from(payloadOf(list))
      const decoded = decodeParcels(payload)
      const before = JSON.stringify(plain(decoded))
      payload.fill(0xee)
      return JSON.stringify(plain(decoded)) === before
    }),
    { numRuns: 300 },
  )
  t.pass('300 runs')
})

t.test('hostile bytes', async t => {
  t.test('every truncation', async t => {
    for (const { name, payload } of samples()) {
      for (let length = 0; length < payload.length; length++)
        if (verdict(payload.subarray(0, length)) !== 'malformed') t.fail(`${name} cut at ${length}`)
      t.equal(verdict(Buffer.concat([payload, Buffer.of(0)])), 'malformed', `${name} and a byte too many`)
    }
  })

  t.test('mutations and noise are refused or are other messages, and nothing else happens', async t => {
    fc.assert(
      fc.property(
        parcels,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (list, changes) => {
          const payload = Buffer.from(list.length === 0 ? [0x90] : payloadOf(list))
          for (const [at, byte] of changes) payload[at % payload.length] = byte
          verdict(payload)
        },
      ),
      { numRuns: 3000 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), noise => void verdict(noise)),
      { numRuns: 3000 },
    )
    t.pass('6000 runs')
  })

  t.test('what a message never holds', async t => {
    const hostile: Record<string, Buffer> = {
      nothing: Buffer.alloc(0),
      'no list': pack(5),
      'parcels that are no lists': pack([1, 2, 3]),
      'an empty parcel': pack([[]]),
      'an unknown kind': pack([[99, 1]]),
      'a kind that is a text': pack([['raft', 1]]),
      'a kind that is a list of lists': pack([[[[[[1]]]], 1]]),
      'too few fields': pack([[1, 1]]),
      'a negative group': pack([[7, -1, 0, 0, 0]]),
      'a fraction': pack([[7, 1.5, 0, 0, 0]]),
      'not a number': pack([[7, NaN, 0, 0, 0]]),
      'beyond 2^53': pack([[7, 2 ** 53, 0, 0, 0]]),
      'a 64-bit group': pack([[7, 1n, 0, 0, 0]]),
      'a negative node': pack([[2, 1n, -1n, [1n, 1, 1n]]]),
      'a lease beyond 63 bits': pack([[5, 1, 1, [5, 2n ** 63n]]]),
      'a refusal without a name': pack([[4, 'toString']]),
      'a read that writes': pack([[5, 1, 1, [2, Buffer.from('0200000000', 'hex'), false]]]),
      'a range with bytes too many': pack([[5, 1, 1, [1, [Buffer.of(0, 0, 9)], Buffer.alloc(0)]]]),
      'entries that are not fours': pack([[1, 1, [5, 1, 2, 3, 4, 5, 6, [1, 0, 1]]]]),
      'an unknown kind of entry': pack([[1, 1, [5, 1, 2, 3, 4, 5, 6, [1, 9, 1, Buffer.alloc(0)]]]]),
      'an entry beyond 2^53': pack([
        [1, 1, [5, 1, 2, 3, Number.MAX_SAFE_INTEGER, 5, 6, [1, 0, 1, Buffer.alloc(0)]]],
      ]),
      'an unknown kind of heartbeat': pack([[10, Buffer.of(1, 3, 1, 2, 1, 1)]]),
      'half a heartbeat': pack([[10, Buffer.of(1, 0, 1, 2, 1, 1)]]),
      'more heartbeats than a message may hold': pack([[10, heartbeats(LIMITS.heartbeatsPerMessageMax + 1)]]),
      'more heartbeats than a frame may hold': pack(
        Array.from({ length: FRAME_HEARTBEATS_MAX / LIMITS.heartbeatsPerMessageMax + 1 }, () => [
          10,
          heartbeats(LIMITS.heartbeatsPerMessageMax),
        ]),
      ),
      '0xc1': Buffer.from('91c1', 'hex'),
      'a map': pack([{ kind: 'raft' }]),
      'a map with __proto__': Buffer.concat([Buffer.from('9181a9'), pack('__proto__').subarray(1), pack({})]),
      'a large map': Buffer.from('91dfffffffff', 'hex'),
      'a date': pack([new Date(0)]),
      'a regular expression': Buffer.from('91c70578a328612ba0', 'hex'),
      'an extension without a type here': Buffer.from('91d40900', 'hex'),
      'a record': Buffer.from('91d4724091a16105', 'hex'),
      undefined: pack([undefined]),
      'a 32-bit float': Buffer.from('91ca3f800000', 'hex'),
      'a list of 2^32': Buffer.from('ddffffffff', 'hex'),
      'bytes of 2^32': Buffer.from('91c6ffffffff', 'hex'),
      'a text of 2^32': Buffer.from('91dbffffffff', 'hex'),
      'lists in lists': Buffer.alloc(100_000, 0x91),
      'long lists in lists': Buffer.alloc(1_000_000, 0x9f),
      'more values than a frame may hold': Buffer.concat([
        Buffer.from('dd', 'hex'),
        u32(FRAME_ITEMS_MAX + 1),
        Buffer.alloc(FRAME_ITEMS_MAX + 1, 0x90),
      ]),
    }
    for (const [name, payload] of Object.entries(hostile)) t.equal(verdict(payload), 'malformed', name)
    t.notOk('polluted' in {}, 'no prototype was touched')
  })

  t.test('fields after the known ones are a later version, and ignored', async t => {
    t.strictSame(decodeParcels(pack([[7, 1, 2, 3, 4, 'more', [1]]])), [
      { kind: 'snapshotPull', group: 1, pull: 2, stream: 3, chunk: 4 },
    ])
  })

  t.test('a refusal that a later version made keeps its outcome', async t => {
    const reply = (...fields: unknown[]) => decodeParcels(pack([[6, 1, [false, ...fields]]]))[0]
    t.strictSame(reply('constructor', 'notApplied', null, null, null), {
      kind: 'reply',
      id: 1,
      result: { ok: false, error: { code: 'internal', outcome: 'notApplied', detail: 'constructor' } },
    })
    t.strictSame(reply('noSpace', 'perhaps', 'full', null, null), {
      kind: 'reply',
      id: 1,
      result: { ok: false, error: { code: 'noSpace', outcome: 'unknown', detail: 'full' } },
    })
  })
})

t.test('frames of format 1 are read for ever, and still written so', async t => {
  const golden = new Map(
    readFileSync(new URL('../../test/golden/frames.txt', import.meta.url), 'utf8')
      .split('\n')
      .filter(line => line !== '' && !line.startsWith('#'))
      .map(line => line.split(' ') as [string, string]),
  )
  t.strictSame([...golden.keys()], Object.keys(GOLDEN_PARCELS), 'every row has its messages')
  for (const [name, list] of Object.entries(GOLDEN_PARCELS)) {
    const frame = Buffer.from(golden.get(name) ?? '', 'hex')
    t.equal(Buffer.from(encodeFrames(list).frames[0]!.bytes).toString('hex'), golden.get(name), name)
    t.equal(frame.readUInt32BE(6), crc32(frame.subarray(10)), `${name}: checksum`)
    t.strictSame(plain(decodeParcels(frame.subarray(10))), plain(list), `${name}: meaning`)
  }
})

t.test('a message alone is what it is in a list', async t => {
  const list = Object.values(GOLDEN_PARCELS).flat()
  const joined = Buffer.concat([Buffer.of(0xdc, 0, list.length), ...list.map(encodeParcel)])
  t.strictSame(plain(decodeParcels(joined)), plain(list))
})

t.test('the preface', async t => {
  const preface = {
    cluster: clusterId(2n ** 64n - 1n),
    from: nodeId(2n ** 63n),
    to: nodeId(0n),
    lane: 'bulk' as const,
  }
  const bytes = encodePreface(preface)
  t.equal(bytes.toString('hex'), '4b56505231ffffffffffffffff8000000000000000000000000000000001')
  t.strictSame(decodePreface(Buffer.concat([bytes, Buffer.from('frames')])), preface)
  for (let length = 0; length < bytes.length; length++)
    if (decodePreface(bytes.subarray(0, length)) !== null) t.fail(`decided after ${length} bytes`)
  for (let at = 0; at < 5; at++) {
    const wrong = Buffer.from(bytes.subarray(0, at + 1))
    wrong[at]! ^= 1
    t.throws(() => decodePreface(wrong), MalformedError, `a wrong byte ${at} is refused at once`)
  }
  t.throws(() => decodePreface(Buffer.concat([bytes.subarray(0, 29), Buffer.of(2)])), MalformedError, 'lane')
  t.equal(refusalOf(PREFACE_OK), null)
  t.equal(refusalOf(0x48), null, 'another protocol is no refusal')
  for (const reason of [
    'otherCluster',
    'unknownMember',
    'otherDirectory',
    'olderDirectory',
    'copiedDirectory',
  ] as const)
    t.equal(refusalOf(refusalByte(reason)), reason)
})
