import t from 'tap'
import {
  CALM_LINK,
  cutsBetween,
  drawCuts,
  drawLinkFaults,
  MILLISECOND,
  Network,
  PARTITION_KINDS,
  Random,
  Schedule,
  SECOND,
  type ConnectionId,
  type LinkFaults,
  type Station,
} from '@kvorum/sim'

interface Peer {
  readonly open: Map<ConnectionId, Station>
  readonly closed: ConnectionId[]
  readonly frames: number[]
}

function bench(stations: number, seed = 1): { schedule: Schedule; network: Network; peers: Peer[] } {
  const random = new Random(seed)
  const schedule = new Schedule(random.stream('schedule'))
  const network = new Network(stations, schedule, random.stream('network'))
  const peers = Array.from({ length: stations }, (_, at) => attach(network, at))
  return { schedule, network, peers }
}

function attach(network: Network, station: Station): Peer {
  const peer: Peer = { open: new Map(), closed: [], frames: [] }
  network.attach(station, {
    opened: (id, other) => peer.open.set(id, other),
    received: (_from, frame) => peer.frames.push(Buffer.from(frame).readUInt32BE()),
    closed: id => {
      peer.open.delete(id)
      peer.closed.push(id)
    },
  })
  return peer
}

function frame(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)
const all = (faults: Partial<LinkFaults>) => (): LinkFaults => ({ ...CALM_LINK, ...faults })

void t.test('a connection delivers everything in order, in both directions', async t => {
  const { schedule, network, peers } = bench(2)
  network.setFaults(all({ delayMean: 50 * MILLISECOND, spikeChance: 0.1, spikeMax: 5 * SECOND }))
  const id = network.connect(0, 1)
  t.equal(network.send(id, 0, frame(1)), false, 'not open yet')
  schedule.runWhile(() => peers[0]!.open.size === 0, 10 * SECOND)
  for (const i of range(0, 300)) {
    t.equal(network.send(id, 0, frame(i)), true)
    t.equal(network.send(id, 1, frame(i)), true)
    schedule.runUntil(schedule.now + 10 * MILLISECOND)
  }
  schedule.runUntil(schedule.now + 60 * SECOND)
  t.same(peers[0]!.frames, range(0, 300))
  t.same(peers[1]!.frames, range(0, 300))
  t.equal(network.unsentBytes(id, 0), 0)
})

void t.test(
  'frames wait for a blocked link and keep their order; a long stall ends the connection',
  async t => {
    for (const seed of range(0, 50)) {
      const { schedule, network, peers } = bench(2, seed)
      network.setFaults(all({ delayMean: 20 * MILLISECOND, spikeChance: 0.2, spikeMax: SECOND }))
      const id = network.connect(0, 1)
      schedule.runUntil(3 * SECOND)
      for (const i of range(0, 60)) {
        network.send(id, 0, frame(i))
        schedule.runUntil(schedule.now + 10 * MILLISECOND)
        if (i % 20 === 10) network.block([[0, 1]])
        if (i % 20 === 15) network.unblock([[0, 1]])
      }
      schedule.runUntil(schedule.now + 20 * SECOND)
      t.same(peers[1]!.frames, range(0, 60), `seed ${seed}`)
      network.block([[0, 1]])
      network.send(id, 0, frame(99))
      schedule.runUntil(schedule.now + 60 * SECOND)
      t.same(peers[0]!.closed, [id])
      t.same(peers[1]!.frames.at(-1), 59, 'what waited is lost with the connection')
      t.equal(network.send(id, 0, frame(1)), false)
    }
  },
)

void t.test('a cut loses a suffix, never the middle', async t => {
  let cuts = 0
  for (const seed of range(0, 100)) {
    const { schedule, network, peers } = bench(2, seed)
    network.setFaults(all({ delayMean: 20 * MILLISECOND, cutChance: 0.05, halfOpenChance: 0.5 }))
    const id = network.connect(0, 1)
    schedule.runUntil(SECOND)
    for (const i of range(0, 50)) network.send(id, 0, frame(i))
    schedule.runUntil(schedule.now + 60 * SECOND)
    const got = peers[1]!.frames
    t.same(got, range(0, got.length))
    if (got.length < 50) {
      cuts++
      t.same([...peers[0]!.closed, ...peers[1]!.closed], [id, id], 'both sides learn of it in the end')
    }
  }
  t.ok(cuts > 50, `${cuts} of 100 were cut`)
})

void t.test('dialling a blocked or absent station comes to nothing', async t => {
  const { schedule, network, peers } = bench(3)
  network.detach(2, 'reset')
  const absent = network.connect(0, 2)
  schedule.runUntil(SECOND)
  t.same(peers[0]!.closed, [absent], 'refused at once')
  network.block([[1, 0]])
  const oneWay = network.connect(0, 1)
  schedule.runUntil(10 * SECOND)
  t.same(peers[0]!.closed, [absent, oneWay], 'timed out')
  schedule.runUntil(60 * SECOND)
  t.same(peers[1]!.closed, [oneWay], 'the accepting side was half open for a while')
})

void t.test(
  'a process that ends resets its connections; a machine that vanishes leaves them half open',
  async t => {
    const { schedule, network, peers } = bench(3)
    const [a, b] = [network.connect(0, 1), network.connect(0, 2)]
    schedule.runUntil(SECOND)
    network.detach(1, 'reset')
    schedule.runUntil(2 * SECOND)
    t.same(peers[0]!.closed, [a])
    t.same(peers[1]!.closed, [], 'the dead hear nothing')
    network.detach(2, 'silent')
    const reborn = attach(network, 2)
    t.equal(network.send(b, 0, frame(1)), true, 'still believes in the connection')
    schedule.runUntil(4 * SECOND)
    t.same(peers[0]!.closed, [a, b], 'the new process knows no such connection')
    t.same(reborn.frames, [])
  },
)

void t.test('datagrams are dropped, duplicated, replayed and reordered as often as asked', async t => {
  const { schedule, network, peers } = bench(2)
  network.setFaults(
    all({
      dropChance: 0.2,
      duplicateChance: 0.3,
      replayChance: 0.1,
      replayAfterMax: 120 * SECOND,
      reorderChance: 0.1,
    }),
  )
  for (const i of range(0, 5000)) {
    schedule.runUntil(i * MILLISECOND)
    network.datagram(0, 1, frame(i))
  }
  const soon = new Set(peers[1]!.frames).size
  schedule.runUntil(200 * SECOND)
  const got = peers[1]!.frames
  t.ok(Math.abs(soon / 5000 - 0.8) < 0.05, `${soon} of 5000 arrived at once`)
  const { dropped, duplicated, replayed, delivered } = network.counts
  t.ok(Math.abs(dropped - 1000) < 150 && Math.abs(duplicated - 1500) < 150 && Math.abs(replayed - 500) < 100)
  t.equal(got.length, delivered)
  t.ok(got.findLastIndex(i => i < 1000) > got.length - 300, 'old frames come back late')
  t.notSame(
    got.slice(0, 1000),
    got.slice(0, 1000).toSorted((a, b) => a - b),
  )
})

void t.test('bandwidth and clogs delay, heal and calm restore', async t => {
  const { schedule, network, peers } = bench(2)
  network.setFaults(all({ delayMean: 1, bytesPerSecond: 1000 }))
  for (const i of range(0, 500)) network.datagram(0, 1, frame(i))
  schedule.runUntil(SECOND)
  t.ok(Math.abs(peers[1]!.frames.length - 250) < 3, 'four bytes each, 1000 per second')
  schedule.runUntil(3 * SECOND)
  network.calm()
  network.clog(0, 1, 5 * SECOND)
  network.datagram(0, 1, frame(777))
  schedule.runUntil(7 * SECOND)
  t.not(peers[1]!.frames.at(-1), 777)
  schedule.runUntil(9 * SECOND)
  t.equal(peers[1]!.frames.at(-1), 777)
  network.block(cutsBetween([[0], [1]]))
  network.datagram(0, 1, frame(1))
  network.heal()
  network.datagram(0, 1, frame(2))
  schedule.runUntil(10 * SECOND)
  t.equal(peers[1]!.frames.at(-1), 2)
})

void t.test('partitions cut what they say', async t => {
  const five = range(0, 5)
  const random = new Random(5)
  const size = (kind: (typeof PARTITION_KINDS)[number]): number => drawCuts(kind, five, random, 2).length
  t.same(
    PARTITION_KINDS.filter(kind => kind !== 'uniform').map(kind => [kind, size(kind)]),
    [
      ['isolate', 8],
      ['isolateIn', 4],
      ['isolateOut', 4],
      ['halves', 12],
      ['ring', 10],
      ['bridge', 8],
      ['oneLink', 2],
      ['oneWay', 1],
    ],
  )
  t.ok(drawCuts('isolate', five, random, 2).every(cut => cut.includes(2)))
  t.same(cutsBetween([[0, 1], [2]]), [
    [0, 2],
    [1, 2],
    [2, 0],
    [2, 1],
  ])
  for (const kind of PARTITION_KINDS) t.same(drawCuts(kind, [0], random), [], `${kind} of one station`)
})

void t.test('a storm of everything repeats bit for bit from its seed', async t => {
  const storm = (seed: number): string => {
    const { schedule, network } = bench(4, seed)
    const random = new Random(seed).stream('faults')
    network.setFaults(() => drawLinkFaults(random))
    let open: ConnectionId[] = []
    for (const i of range(0, 400)) {
      const [a, b] = random.shuffle([0, 1, 2, 3])
      if (random.chance(0.1)) open = [...open.slice(-20), network.connect(a!, b!)]
      for (const id of open) network.send(id, random.int(0, 3), frame(i))
      network.datagram(a!, b!, frame(i))
      if (random.chance(0.02)) network.block(drawCuts(random.pick(PARTITION_KINDS), [0, 1, 2, 3], random))
      if (random.chance(0.02)) network.heal()
      if (random.chance(0.01)) {
        network.detach(a!, random.chance(0.5) ? 'reset' : 'silent')
        attach(network, a!)
      }
      schedule.runUntil(schedule.now + random.int(1, SECOND))
    }
    t.ok(network.counts.delivered > 100)
    return schedule.trace.hex()
  }
  for (const seed of range(1, 6)) t.equal(storm(seed), storm(seed))
  t.not(storm(1), storm(2))
})
