import fc from 'fast-check'
import t from 'tap'
import { groupId, LIMITS, MalformedError, utf8 } from '@kvorum/model'
import { encodeFrames, FrameDecoder, type Parcel } from '@kvorum/peer'
import { frameOfPiece } from '#src/frame.js'
import type { ReplyPiece } from '#src/replyPieces.js'
import { parcels, plain } from './arbitraries.js'

const pull = (chunk: number): Parcel => ({
  kind: 'snapshotPull',
  group: groupId(1),
  pull: 1,
  stream: 1,
  chunk,
})
const reply = (id: number, bytes: number): Parcel => ({
  kind: 'reply',
  id,
  result: { ok: true, value: { header: { revision: 1, term: 1 }, body: Buffer.alloc(bytes, id) } },
})
const stream = (list: readonly Parcel[]): Buffer =>
  Buffer.concat(encodeFrames(list).frames.map(frame => frame.bytes))
const cuts = (bytes: Buffer, size: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
const decodeAll = (chunks: readonly Uint8Array[]): Parcel[] => {
  const decoder = new FrameDecoder()
  return chunks.flatMap(chunk => decoder.push(chunk))
}

t.test('frames at every split point, alone and one after another', async t => {
  const lists = [[pull(1), pull(2)], [reply(3, 20)], [pull(4)]]
  const bytes = Buffer.concat(lists.map(stream))
  const expected = plain(lists.flat())
  for (let first = 0; first <= bytes.length; first++) {
    t.strictSame(plain(decodeAll([bytes.subarray(0, first), bytes.subarray(first)])), expected, `at ${first}`)
  }
  for (const size of [1, 2, 3, 7, 10, 11, 64])
    t.strictSame(plain(decodeAll(cuts(bytes, size))), expected, `in pieces of ${size}`)
})

t.test('any frames in any pieces', async t => {
  fc.assert(
    fc.property(
      fc.array(parcels, { maxLength: 4 }),
      fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }),
      (lists, sizes) => {
        const bytes = Buffer.concat(lists.map(stream))
        const chunks: Buffer[] = []
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = sizes[i % sizes.length]!
          chunks.push(Buffer.from(bytes.subarray(at, at + size)))
          at += size
        }
        const decoder = new FrameDecoder()
        const decoded: Parcel[] = []
        for (const chunk of chunks) {
          decoded.push(...decoder.push(chunk))
          chunk.fill(0xee)
        }
        return JSON.stringify(plain(decoded)) === JSON.stringify(plain(decodeAll([bytes])))
      },
    ),
    { numRuns: 300 },
  )
  t.pass('300 runs, and every buffer overwritten once it was pushed')
})

t.test('a frame that is not one', async t => {
  const frame = stream([pull(1)])
  for (let at = 0; at < frame.length; at++) {
    for (const bit of [0x01, 0x80]) {
      const wrong = Buffer.from(frame)
      wrong[at]! ^= bit
      const decoder = new FrameDecoder()
      let result: unknown
      try {
        result = decoder.push(wrong)
      } catch (error) {
        result = error
      }
      const waits = Array.isArray(result) && result.length === 0 && at >= 2 && at < 6
      t.ok(waits || result instanceof MalformedError, `bit ${bit} of byte ${at}`)
    }
  }
  t.throws(() => new FrameDecoder().push(Buffer.from('G')), MalformedError, 'the first wrong byte is enough')
  t.throws(() => new FrameDecoder().push(Buffer.of(0x4b, 2)), MalformedError, 'another format')
  t.throws(
    () => new FrameDecoder().push(Buffer.from('4b0100000000000000004b', 'hex')),
    MalformedError,
    'empty',
  )
  const large = Buffer.from('4b010400000100000000', 'hex')
  t.equal(large.readUInt32BE(2), LIMITS.frameBytesMax + 1)
  t.throws(() => new FrameDecoder().push(large), MalformedError, 'beyond the largest frame')
})

t.test('a header that promises much costs nothing', async t => {
  const decoder = new FrameDecoder()
  const head = Buffer.from('4b010400000000000000', 'hex')
  t.strictSame(decoder.push(head), [])
  t.ok(decoder.heldBytes <= 16 * 1024, `${decoder.heldBytes} held after the header`)
  for (let i = 0; i < 100_000; i++) decoder.push(Buffer.of(0))
  t.ok(decoder.heldBytes <= 2 * 100_010, `${decoder.heldBytes} held after 100 kB in single bytes`)
})

t.test('60 MB in pieces of 64 KiB are joined in linear time', async t => {
  const list = [reply(1, 60_000_000)]
  const bytes = stream(list)
  const decoder = new FrameDecoder()
  const decoded = cuts(bytes, 64 * 1024).flatMap(chunk => decoder.push(chunk))
  t.equal(decoded.length, 1)
  t.ok(decoder.copiedBytes <= 3 * bytes.length, `${decoder.copiedBytes} bytes copied for ${bytes.length}`)
  t.equal(decoder.heldBytes, 0, 'and nothing is kept')
  const whole = new FrameDecoder()
  whole.push(bytes)
  t.equal(whole.copiedBytes, 0, 'one piece is not copied at all')
})

t.test('many messages make frames of a megabyte, in order; a large one travels alone', async t => {
  const list = [...Array.from({ length: 30 }, (_, i) => reply(i, 100_000)), reply(30, 3_000_000), pull(31)]
  const { frames, tooLarge } = encodeFrames(list)
  t.strictSame(tooLarge, [])
  t.equal(frames.length, 5)
  t.strictSame(
    frames.flatMap(frame => frame.parcels),
    list,
  )
  for (const frame of frames)
    t.ok(frame.bytes.length <= 1024 * 1024 + 10 || frame.parcels.length === 1, `${frame.bytes.length} bytes`)
  t.strictSame(plain(decodeAll(frames.map(frame => frame.bytes))), plain(list))
})

t.test('what fits no frame is named, and the rest goes', async t => {
  const list = [pull(1), reply(2, 1000), pull(3)]
  const { frames, tooLarge } = encodeFrames(list, 500)
  t.strictSame(tooLarge, [list[1]])
  t.strictSame(decodeAll(frames.map(frame => frame.bytes)), [pull(1), pull(3)])
  t.strictSame(encodeFrames([]), { frames: [], tooLarge: [] })
  const largest = encodeFrames([reply(1, LIMITS.frameBytesMax)])
  t.equal(largest.tooLarge.length, 1)
})

t.test('pieces of an answer follow on each other, or the connection is of no use', async t => {
  const body = Buffer.from('abcdefgh')
  const piece = (from: number, to: number, more: Partial<ReplyPiece> = {}): Uint8Array =>
    frameOfPiece({
      kind: 'replyPiece',
      id: 3,
      revision: 9,
      term: 2,
      total: body.length,
      from,
      bytes: body.subarray(from, to),
      ...more,
    })
  t.equal(
    Buffer.from(piece(3, 7)).toString('hex'),
    '4b0100000012e7aac5f0dd00000001970b0309020803c40464656667',
    'in the bytes that it always had',
  )
  const frames = [piece(0, 3), stream([pull(1)]), piece(3, 7), piece(7, 8)]
  for (const size of [1, 5, 1000]) {
    const [small, whole] = decodeAll(cuts(Buffer.concat(frames), size))
    t.match(small, { kind: 'snapshotPull' })
    t.strictSame(
      plain(whole),
      plain({
        kind: 'reply',
        id: 3,
        result: { ok: true, value: { header: { revision: 9, term: 2 }, body } },
      }),
    )
  }
  const wrong = [
    [piece(3, 5)],
    [piece(0, 3), piece(0, 3)],
    [piece(0, 3), piece(4, 8)],
    [piece(0, 3), piece(3, 5, { id: 4 })],
    [piece(0, 3), piece(3, 5, { total: 9 })],
    [piece(0, 3), piece(3, 8, { bytes: Buffer.alloc(6) })],
    [piece(0, 3), piece(3, 8, { bytes: Buffer.alloc(0) })],
    [piece(0, 3, { total: 2 ** 40 })],
  ]
  for (const list of wrong) t.throws(() => decodeAll(list), MalformedError)
})

t.test('more messages in a frame than a call can have arguments', async t => {
  const key = utf8('k')
  const list = Array.from({ length: 150_000 }, (_, i) => pull(i % 100))
  const bytes = Buffer.concat([
    stream([
      {
        kind: 'reply',
        id: 1,
        result: { ok: false, error: { code: 'internal', outcome: 'unknown', detail: String(key) } },
      },
    ]),
    stream(list),
  ])
  t.equal(new FrameDecoder().push(bytes).length, 150_001)
})
