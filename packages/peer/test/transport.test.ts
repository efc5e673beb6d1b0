import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { clusterId, incarnation, LIMITS, nodeId } from '@kvorum/model'
import { encodeFrames, FrameDecoder, PeerTransport, TIMING, type Parcel } from '@kvorum/peer'
import { STRANGERS_MAX } from '#src/acceptor.js'
import { PREFACE_OK } from '#src/preface.js'
import {
  A,
  B,
  chunkOf,
  CLUSTER,
  dialRaw,
  freeAddress,
  prefaceTo,
  pull,
  Recorder,
  reply,
  startFake,
  startNode,
  startPair,
  until,
} from './rig.js'

const C = nodeId(3n)
const frame = (...parcels: Parameters<typeof encodeFrames>[0]): Uint8Array =>
  encodeFrames(parcels).frames[0]!.bytes
const OK = Buffer.of(PREFACE_OK)

t.test('both directions, in order', async t => {
  const [a, b] = await startPair(t)
  const there = Array.from({ length: 200 }, (_, i) => pull(i))
  for (let i = 0; i < there.length; i += 3) a.transport.send(B, there.slice(i, i + 3))
  b.transport.send(A, [reply(1, 100_000), pull(7)])
  await until('all arrived', () => b.events.count('parcel') === 200 && a.events.count('parcel') === 2)
  t.strictSame(b.events.parcels(), there)
  t.strictSame(
    a.events.parcels().map(parcel => parcel.kind),
    ['reply', 'snapshotPull'],
  )
  t.ok(b.events.heard.every(event => !('peer' in event) || event.peer === A))
  t.equal(a.transport.queuedBytes(B), 0)
  t.equal(a.transport.queuedBytes(C), 0)
})

t.test('the other side restarts: down, up, and messages flow again', async t => {
  const [a, b] = await startPair(t)
  await b.transport.close()
  await until('a hears', () => a.events.count('down') === 1)
  a.transport.send(B, [pull(1)])
  t.strictSame(a.events.parcels('dropped'), [pull(1)], 'what cannot be sent is told')
  const again = await startNode(t, B, new Map([[A, [a.address]]]), { listen: [b.address] })
  await until('a is back', () => a.events.count('up') === 2)
  a.transport.send(B, [pull(2)])
  await until('arrived', () => again.events.count('parcel') === 1)
  t.strictSame(again.events.parcels(), [pull(2)])
  t.equal(b.events.count('down'), 0, 'closing tells nothing to the one that closes')
})

t.test('the next address is tried when one does not answer', async t => {
  const nobody = await freeAddress()
  const b = await startNode(t, B, new Map([[A, []]]))
  const a = await startNode(t, A, new Map([[B, [nobody, b.address]]]))
  await until('up', () => a.events.count('up') === 1)
  t.equal(a.events.count('down'), 0)
})

t.test('back-off doubles up to its bound, with jitter from the given random only', async t => {
  const drawn: number[] = []
  const at: number[] = []
  const fake = await startFake(t, socket => {
    at.push(performance.now())
    socket.destroy()
  })
  const random = (): number => {
    drawn.push(1)
    return 0
  }
  const timing = { reconnectMinMs: 8, reconnectMaxMs: 32 }
  await startNode(t, A, new Map([[B, [fake.address]]]), { random, timing })
  await until('some attempts', () => at.length >= 6)
  const gaps = at.slice(1).map((time, i) => time - at[i]!)
  for (const [i, least] of [4, 8, 16, 16, 16].entries())
    t.ok(gaps[i]! >= least - 2, `wait ${i} is at least ${least} ms`)
  t.ok(drawn.length >= 5, 'one draw for each wait')
})

t.test('a connection that never proves itself does not reset the back-off', async t => {
  const at: number[] = []
  const fake = await startFake(t, socket => {
    at.push(performance.now())
    socket.write(OK, () => socket.destroy())
  })
  const node = await startNode(t, A, new Map([[B, [fake.address]]]), {
    timing: { reconnectMinMs: 8, reconnectMaxMs: 64 },
    random: () => 0,
  })
  await until('some attempts', () => at.length >= 5)
  t.ok(at[4]! - at[3]! >= 30, `the fourth wait took ${at[4]! - at[3]!} ms`)
  t.ok(node.events.count('up') >= node.events.count('down'))
})

t.test('refusals are heard on both sides', async t => {
  const wrong: readonly [string, string, Parameters<typeof startNode>[1] | null, object][] = [
    ['another cluster', 'otherCluster', null, { cluster: clusterId(0xbadn) }],
    ['another target', 'unknownMember', null, { self: A }],
  ]
  for (const [name, reason, , options] of wrong) {
    const b = await startNode(t, B, new Map([[A, []]]))
    const target = name === 'another target' ? C : B
    const a = await startNode(t, A, new Map([[target, [b.address]]]), options)
    await until(`${name}: refused`, () => a.events.count('refused') >= 2)
    t.match(a.events.heard[0], { kind: 'refused', peer: target, reason }, name)
    t.equal(b.events.problems()[0], reason, `${name}: heard at the door`)
    t.equal(a.events.count('up'), 0)
    t.equal(a.events.count('down'), 0)
  }
  const b = await startNode(t, B, new Map([[A, []]]))
  const c = await startNode(t, C, new Map([[B, [b.address]]]))
  await until('not a member', () => c.events.count('refused') >= 1)
  t.match(c.events.heard[0], { kind: 'refused', peer: B, reason: 'unknownMember' })
  t.equal(b.events.problems()[0], 'unknownMember')
})

t.test('a refusal reaches the process that said hello, not whoever is at its address', async t => {
  const [a, b] = await startPair(t)
  const identity = (nonce: bigint) => ({ incarnation: incarnation(5n), boot: 2, nonce })
  const hello = (nonce: bigint): Parcel => ({
    kind: 'hello',
    cluster: CLUSTER,
    node: A,
    identity: identity(nonce),
    peerUrls: [],
  })
  a.transport.send(B, [hello(1n)])
  await until('the hello', () => b.events.count('parcel') === 1)
  const copy = await startNode(t, A, new Map([[B, [b.address]]]))
  await until('the copy is up', () => copy.events.count('up') === 1)
  // Both dial, and whoever dials again takes the other's place: what was said on its connection is said again.
  let ups = 0
  let heard = b.events.count('parcel')
  await until('the copy hears', () => {
    if (copy.events.count('up') > ups) {
      ups = copy.events.count('up')
      copy.transport.send(B, [hello(2n)])
    }
    if (b.events.count('parcel') > heard) {
      heard = b.events.count('parcel')
      b.transport.send(A, [{ kind: 'refused', reason: 'copiedDirectory', identity: identity(2n) }])
    }
    return copy.events.count('refused') >= 1
  })
  t.match(
    copy.events.heard.find(({ kind }) => kind === 'refused'),
    { peer: B, reason: 'copiedDirectory' },
  )
  await until('its connection ends', () => copy.events.count('down') > 0)
  await copy.transport.close()
  await until(
    'the original is back',
    () => a.events.count('up') >= 2 && a.events.count('up') > a.events.count('down'),
  )
  a.transport.send(B, [hello(1n), pull(1)])
  await until('and heard', () => b.events.parcels().some(({ kind }) => kind === 'snapshotPull'))
  t.equal(a.events.count('refused'), 0)
  t.equal(b.transport.queuedBytes(A), 0, 'nothing of it went to the address')
  t.notOk(a.events.parcels().some(({ kind }) => kind === 'refused'))
})

t.test('frames sent behind a refused preface are ignored', async t => {
  const b = await startNode(t, B, new Map([[A, []]]))
  const raw = dialRaw(t, b.address)
  raw.socket.write(Buffer.concat([prefaceTo(B, C), frame(pull(1)), Buffer.alloc(100_000)]))
  await until('the answer', () => raw.received().length === 1)
  raw.socket.write(Buffer.alloc(1000))
  await until('the end', () => raw.closed())
  t.strictSame(raw.received(), Buffer.of(2))
  t.equal(b.events.count('parcel'), 0)
  t.strictSame(b.events.problems(), ['unknownMember'], 'told once')
})

t.test('what listens there is not a peer', async t => {
  const fake = await startFake(t, socket => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'))
  const a = await startNode(t, A, new Map([[B, [fake.address]]]))
  await until('noticed', () => a.events.count('stranger') >= 1)
  t.equal(a.events.problems()[0], 'what listens there is not a kvorum peer')
  t.equal(a.events.count('refused'), 0, 'and it is no refusal')
})

t.test('garbage on the port', async t => {
  const [a, b] = await startPair(t)
  const garbage = [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.of(0),
    Buffer.from('KVPR2'),
    Buffer.alloc(65_536, 0xff),
  ]
  for (const bytes of garbage) {
    const raw = dialRaw(t, b.address)
    raw.socket.write(bytes)
    await until('turned away', () => raw.closed())
    t.equal(raw.received().length, 0)
  }
  t.strictSame(
    b.events.problems(),
    garbage.map(() => 'not a kvorum peer of this version'),
  )
  const behind = dialRaw(t, b.address)
  behind.socket.write(Buffer.concat([prefaceTo(B, A), frame(pull(1)), Buffer.from('garbage')]))
  await until('turned away', () => behind.closed())
  t.equal(b.events.problems().at(-1), 'not a frame of this format')
  const peek = connect({ host: b.address.host, port: b.address.port })
  await new Promise(resolve => peek.once('connect', resolve))
  peek.destroy()
  await until('a is back', () => a.events.count('up') >= 2)
  a.transport.send(B, [pull(9)])
  await until('a still gets through', () =>
    b.events.parcels().some(parcel => 'chunk' in parcel && parcel.chunk === 9),
  )
  t.equal(b.events.problems().length, garbage.length + 1, 'a connection that only knocks is not reported')
})

t.test('a preface byte by byte, and frames the same way', async t => {
  const b = await startNode(t, B, new Map([[A, []]]))
  const raw = dialRaw(t, b.address)
  for (const byte of Buffer.concat([prefaceTo(B, A), frame(pull(1)), frame(pull(2))])) {
    raw.socket.write(Buffer.of(byte))
    await new Promise(resolve => setImmediate(resolve))
  }
  await until('both arrived', () => b.events.count('parcel') === 2)
  t.strictSame(b.events.parcels(), [pull(1), pull(2)])
  t.equal(raw.received()[0], PREFACE_OK)
})

t.test('who does not say who it is must leave', async t => {
  const b = await startNode(t, B, new Map([[A, []]]), { timing: { prefaceMs: 30 } })
  const silent = dialRaw(t, b.address)
  const slow = dialRaw(t, b.address)
  slow.socket.write(prefaceTo(B, A).subarray(0, 20))
  await until('both gone', () => silent.closed() && slow.closed())
  t.strictSame(b.events.problems(), ['did not say who it is in time', 'did not say who it is in time'])
})

t.test('strangers are counted, and peers are not strangers', async t => {
  const b = await startNode(t, B, new Map([[A, []]]))
  const peer = dialRaw(t, b.address)
  peer.socket.write(prefaceTo(B, A))
  await until('a peer', () => peer.received().length === 1)
  const strangers = Array.from({ length: STRANGERS_MAX }, () => dialRaw(t, b.address))
  await until('all connected', () => strangers.every(raw => raw.socket.readyState === 'open'))
  const last = dialRaw(t, b.address)
  await until('one too many', () => last.closed())
  t.strictSame(b.events.problems(), ['too many connections that have not said who they are'])
  peer.socket.write(frame(pull(1)))
  await until('the peer is served', () => b.events.count('parcel') === 1)
  for (const raw of strangers) raw.socket.destroy()
  // The server learns of each on its own time: whoever comes too early is sent away and comes again.
  let welcome = dialRaw(t, b.address)
  welcome.socket.write(prefaceTo(B, A, { lane: 'bulk' }))
  await until('room again', () => {
    if (welcome.closed()) {
      welcome = dialRaw(t, b.address)
      welcome.socket.write(prefaceTo(B, A, { lane: 'bulk' }))
    }
    return welcome.received().length === 1
  })
  t.notOk(peer.closed())
})

t.test('a peer that dials again replaces its older connection of that lane only', async t => {
  const b = await startNode(t, B, new Map([[A, []]]))
  const [first, bulk] = [dialRaw(t, b.address), dialRaw(t, b.address)]
  first.socket.write(prefaceTo(B, A))
  bulk.socket.write(prefaceTo(B, A, { lane: 'bulk' }))
  await until('welcome', () => first.received().length === 1 && bulk.received().length === 1)
  first.socket.write(frame(pull(1)))
  await until('heard', () => b.events.count('parcel') === 1)
  const second = dialRaw(t, b.address)
  second.socket.write(Buffer.concat([prefaceTo(B, A), frame(pull(2))]))
  await until('the first is gone', () => first.closed())
  bulk.socket.write(frame(chunkOf(3, 10)))
  second.socket.write(frame(pull(4)))
  await until('all heard', () => b.events.count('parcel') === 4)
  t.notOk(bulk.closed())
})

t.test('a peer that accepts and says nothing', async t => {
  const fake = await startFake(t, socket => socket.resume())
  const a = await startNode(t, A, new Map([[B, [fake.address]]]), { timing: { connectMs: 30 } })
  await until('dialled again', () => fake.sockets.length >= 3)
  t.equal(a.events.count('up'), 0)
})

t.test('half-open: a peer that vanished without a word is noticed by its silence', async t => {
  const fake = await startFake(t, socket => socket.write(OK))
  const a = await startNode(t, A, new Map([[B, [fake.address]]]), { timing: { silenceMs: 40 } })
  await until('up', () => a.events.count('up') === 1)
  t.equal(fake.sockets.length, 1, 'an idle connection is not judged')
  a.transport.send(B, [pull(1)])
  await until('down, and dialled again', () => a.events.count('down') === 1 && fake.sockets.length >= 2)
  t.equal(a.events.count('dropped'), 0, 'what the system had taken is told as down')
})

t.test('signs of life keep a connection, also when it only receives', async t => {
  const [a, b] = await startPair(t, { timing: { silenceMs: 300, acknowledgeMs: 1 } })
  const began = performance.now()
  let sent = 0
  await until('several silences long', () => {
    a.transport.send(B, [pull(sent++)])
    return performance.now() - began > 900
  })
  await until('all arrived', () => b.events.count('parcel') === sent)
  t.equal(a.events.count('down'), 0)
})

t.test('a peer that never reads: the queue is bounded and the rest is told', async t => {
  const fake = await startFake(t, socket => socket.write(OK))
  const a = await startNode(t, A, new Map([[B, [fake.address]]]))
  await until('up', () => a.events.count('up') === 1)
  const size = 8 * 1024 * 1024
  for (let i = 0; i < 12; i++) {
    a.transport.send(B, [reply(i, size)])
    t.ok(a.transport.queuedBytes(B) <= LIMITS.peerQueueBytesMax, `${a.transport.queuedBytes(B)} queued`)
  }
  const dropped = a.events.parcels('dropped')
  t.ok(dropped.length >= 3 && dropped.length < 12, `${dropped.length} dropped`)
  t.match(dropped.at(-1), { id: 11 }, 'the last ones')
  a.transport.send(B, [pull(1)])
  t.ok(a.transport.queuedBytes(B) > 0, 'what is small still fits')
})

t.test('answers larger than a frame arrive in pieces, and hold nobody up', async t => {
  const [a, b] = await startPair(t)
  const sizes = [LIMITS.frameBytesMax + 1, LIMITS.wholeReplyBytesMax + 1]
  a.transport.send(B, [reply(5, sizes[0]!), pull(1), reply(6, sizes[1]!), reply(7, 10)])
  t.ok(a.transport.queuedBytes(B) < LIMITS.peerQueueBytesMax / 4, 'the queue stays short')
  await until('what is small arrives', () => b.events.count('parcel') >= 2)
  a.transport.send(B, [pull(2)])
  await until('all arrived', () => b.events.count('parcel') === 5)
  const order = b.events.parcels().flatMap(parcel => (parcel.kind === 'reply' ? [parcel.id] : []))
  t.strictSame(order, [7, 5, 6], 'a small one does not wait for them')
  for (const parcel of b.events.parcels()) {
    if (parcel.kind !== 'reply' || !parcel.result.ok) continue
    const { header, body } = parcel.result.value
    t.match(header, { revision: 1, term: 1 })
    t.equal(body.length, [...sizes, 10][parcel.id - 5])
    t.ok(Buffer.from(body).equals(Buffer.alloc(body.length, parcel.id)), 'byte for byte')
  }
  t.equal(a.events.count('down') + b.events.count('down') + a.events.count('dropped'), 0)
})

t.test('an answer that cannot be sent becomes one that says so', async t => {
  const [a, b] = await startPair(t)
  const body = { length: LIMITS.responseBytesMax + LIMITS.frameBytesMax + 1 } as Uint8Array
  const huge: Parcel = {
    kind: 'reply',
    id: 5,
    result: { ok: true, value: { header: { revision: 1, term: 1 }, body } },
  }
  a.transport.send(B, [huge, pull(1)])
  await until('both arrived', () => b.events.count('parcel') === 2)
  t.match(
    b.events.parcels().find(parcel => parcel.kind === 'reply'),
    { id: 5, result: { ok: false, error: { code: 'responseTooLarge', outcome: 'applied' } } },
  )
  t.equal(a.events.count('dropped'), 0)
  a.transport.send(B, [chunkOf(1, LIMITS.frameBytesMax)])
  await until('a chunk has no such answer', () => a.events.count('dropped') === 1)
})

/** Reads a connection's preface and then, by lane, lets it in at once or keeps it for the test. */
async function startLanes(t: Test) {
  const lanes: { control: Buffer[]; bulk: Socket | null } = { control: [], bulk: null }
  const fake = await startFake(t, socket => {
    socket.once('data', (preface: Buffer) => {
      if (preface.at(-1) === 0) {
        socket.on('data', chunk => void lanes.control.push(chunk))
        socket.write(OK)
      } else {
        socket.pause()
        lanes.bulk = socket
      }
    })
    socket.resume()
  })
  return { fake, lanes }
}

t.test('the bulk lane is dialled when needed, and what is sent meanwhile waits', async t => {
  const { fake, lanes } = await startLanes(t)
  const a = await startNode(t, A, new Map([[B, [fake.address]]]))
  await until('up', () => a.events.count('up') === 1)
  t.equal(fake.sockets.length, 1, 'no bulk lane before it is needed')
  for (let i = 0; i < LIMITS.snapshotCreditChunks; i++)
    a.transport.send(B, [chunkOf(i, LIMITS.snapshotChunkBytes), pull(i)])
  t.equal(a.events.count('dropped'), 0, 'as many chunks wait as may be asked for at a time')
  t.ok(a.transport.queuedBytes(B) > LIMITS.snapshotCreditChunks * LIMITS.snapshotChunkBytes)
  for (let i = 0; i < 20; i++) a.transport.send(B, [chunkOf(i, LIMITS.snapshotChunkBytes)])
  t.ok(a.events.count('dropped') >= 10, 'and not many more')
  const waiting = 20 + LIMITS.snapshotCreditChunks - a.events.count('dropped')
  await until('the bulk lane is there', () => lanes.bulk !== null)
  const decoder = new FrameDecoder()
  const decoded: unknown[] = []
  lanes.bulk!.on('data', (chunk: Buffer) => void decoded.push(...decoder.push(chunk)))
  lanes.bulk!.write(OK)
  lanes.bulk!.resume()
  await until('all that waited arrives', () => decoded.length === waiting)
  t.equal(a.transport.queuedBytes(B), 0)
})

t.test('a bulk lane that is stuck does not hold up control, and its loss is told', async t => {
  const { fake, lanes } = await startLanes(t)
  const a = await startNode(t, A, new Map([[B, [fake.address]]]), { timing: { silenceMs: 60_000 } })
  await until('up', () => a.events.count('up') === 1)
  a.transport.send(B, [chunkOf(0, 10)])
  await until('the bulk lane is there', () => lanes.bulk !== null)
  lanes.bulk!.write(OK)
  await until('it is let in', () => a.transport.queuedBytes(B) === 0)
  // However much the system takes, in the end it waits here.
  for (let i = 0; a.transport.queuedBytes(B) < 16 * LIMITS.snapshotChunkBytes; i = (i + 1) % 100)
    a.transport.send(B, [chunkOf(i, LIMITS.snapshotChunkBytes)])
  a.transport.send(B, [pull(77)])
  await until('control arrives', () => lanes.control.length > 0)
  t.strictSame(new FrameDecoder().push(Buffer.concat(lanes.control)), [pull(77)])
  t.ok(a.transport.queuedBytes(B) >= 8 * LIMITS.snapshotChunkBytes, 'while the bulk lane is stuck')
  lanes.bulk!.destroy()
  await until('what was stuck is told', () => a.events.count('dropped') >= 8)
  t.equal(a.events.count('down'), 0, 'a bulk lane that breaks takes nobody down')
})

t.test('chunks that waited are told when dialling comes to nothing', async t => {
  const nobody = await freeAddress()
  const a = await startNode(t, A, new Map([[B, [nobody]]]))
  a.transport.send(B, [chunkOf(1, 10), chunkOf(2, 10)])
  await until('told', () => a.events.count('dropped') === 2)
  t.strictSame(
    a.events.parcels('dropped').map(parcel => 'chunk' in parcel && parcel.chunk),
    [1, 2],
  )
})

t.test('chunks arrive over a real bulk lane', async t => {
  const [a, b] = await startPair(t)
  const chunks = [0, 1, 2].map(i => chunkOf(i, LIMITS.snapshotChunkBytes))
  a.transport.send(B, chunks)
  await until('all', () => b.events.count('parcel') === 3)
  t.strictSame(
    b.events.parcels().map(parcel => 'chunk' in parcel && parcel.chunk),
    [0, 1, 2],
  )
  t.equal(a.events.count('dropped'), 0)
})

t.test('a peer nobody knows', async t => {
  const a = await startNode(t, A, new Map())
  a.transport.send(C, [pull(1), chunkOf(2, 1)])
  t.strictSame(
    a.events.parcels('dropped').map(parcel => 'chunk' in parcel && parcel.chunk),
    [1, 2],
  )
})

t.test('resets at any time', async t => {
  const b = await startNode(t, B, new Map([[A, []]]))
  const script = Buffer.concat([prefaceTo(B, A), frame(pull(1), pull(2)), frame(pull(3))])
  for (let sent = 0; sent <= script.length; sent += 3) {
    const raw = dialRaw(t, b.address)
    await new Promise(resolve => raw.socket.once('connect', resolve))
    await new Promise(resolve => raw.socket.write(script.subarray(0, sent), resolve))
    raw.socket.resetAndDestroy()
    await until('gone', () => raw.closed())
  }
  const fake = await startFake(t, (socket, number) => {
    if (number % 2 === 0) socket.write(OK, () => socket.resetAndDestroy())
    else socket.resetAndDestroy()
  })
  const a = await startNode(t, A, new Map([[B, [fake.address]]]))
  await until('many resets', () => {
    a.transport.send(B, [pull(1)])
    return fake.sockets.length >= 10
  })
  const raw = dialRaw(t, b.address)
  raw.socket.write(Buffer.concat([prefaceTo(B, A), frame(reply(9, 1))]))
  await until('still serving', () => b.events.parcels().some(parcel => parcel.kind === 'reply'))
  t.strictSame(b.events.problems(), [])
})

t.test('close leaves nothing behind, at any moment and twice', async t => {
  const count = (): string[] =>
    process.getActiveResourcesInfo().filter(name => /TCP|Timeout|GetAddrInfo/.test(name))
  const before = count().length
  const nobody = await freeAddress()
  const silent = await startFake(t, () => undefined)
  const peers = new Map([
    [B, [silent.address]],
    [C, [nobody]],
  ])
  const make = (): Promise<PeerTransport> =>
    PeerTransport.start({
      cluster: CLUSTER,
      self: A,
      listen: [{ host: '127.0.0.1', port: 0 }],
      peers,
      random: () => 0.5,
      events,
    })
  const events = new Recorder()
  const early = await make()
  await early.close()
  const later = await make()
  later.send(B, [chunkOf(1, 100)])
  const raw = dialRaw(t, later.addresses()[0]!)
  raw.socket.write(Buffer.concat([prefaceTo(A, B), frame(pull(1))]))
  await until('a connection of each kind', () => events.count('parcel') === 1 && silent.sockets.length >= 2)
  const closing = later.close()
  const heard = events.heard.length
  later.send(B, [pull(1), chunkOf(1, 1)])
  await Promise.all([closing, later.close()])
  await until('the other ends too', () => raw.closed())
  for (const socket of silent.sockets) socket.destroy()
  silent.server.close()
  await until('nothing is left', () => count().length <= before + 1)
  t.equal(events.heard.length, heard, 'no event after close')
})

t.test('what was sent just before close still leaves', async t => {
  const [a, b] = await startPair(t)
  a.transport.send(B, [reply(1, 3_000_000), pull(2)])
  await a.transport.close()
  await until('arrived', () => b.events.count('parcel') === 2)
  t.equal(a.events.count('dropped'), 0)
})

t.test('close does not wait for a peer that never reads', async t => {
  const fake = await startFake(t, socket => socket.write(OK))
  const a = await startNode(t, A, new Map([[B, [fake.address]]]), { timing: { lingerMs: 20 } })
  await until('up', () => a.events.count('up') === 1)
  a.transport.send(B, [reply(1, 15_000_000), reply(2, 15_000_000), reply(3, 30_000_000)])
  t.ok(a.transport.queuedBytes(B) > 0)
  await a.transport.close()
  t.equal(a.transport.queuedBytes(B), 0)
})

t.test('an address in use is refused, and the others are let go', async t => {
  const a = await startNode(t, A, new Map())
  const free = await freeAddress()
  const options = { listen: [free, a.address] }
  await t.rejects(startNode(t, B, new Map([[A, [a.address]]]), options), { code: 'EADDRINUSE' })
  const b = await startNode(t, B, new Map(), { listen: [free] })
  t.equal(b.address.port, free.port)
})

t.test('the usual times fit each other', async t => {
  t.ok(TIMING.acknowledgeMs * 10 <= TIMING.silenceMs, 'a sign of life comes well before it is missed')
  t.ok(TIMING.reconnectMinMs < TIMING.reconnectMaxMs)
  t.ok(TIMING.connectMs <= TIMING.prefaceMs, 'a dialler gives up before it is thrown out')
})
