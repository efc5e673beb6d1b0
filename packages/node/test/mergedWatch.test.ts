import {
  encodeShardCommand,
  NO_LEASE,
  pointRange,
  utf8,
  type ClientRequest,
  type GroupId,
  type KeyRange,
} from '@kvorum/model'
import { encodeMetaCommand, rangesBetween } from '@kvorum/placement'
import t from 'tap'
import { MiniCluster, type MiniNode, type MiniOptions } from './miniCluster.js'
import { ALL, put } from './requests.js'
import { isCreated, seen, watch } from './watching.js'

/** Watches over several shards whose revisions the oracle gives. */

const SHARDS = rangesBetween(['d', 'g', 'p'].map(utf8))
const KEYS = ['a', 'c', 'd', 'f', 'g', 'm', 'p', 'z']
const GROUPS = [1, 2, 3, 4]

function sharded(options: MiniOptions = {}): MiniCluster {
  const cluster = new MiniCluster({ ranges: SHARDS, oracle: true, ...options })
  cluster.until(() => [0, ...GROUPS].every(group => cluster.leaderOf(group) !== undefined))
  return cluster
}

/** Writes at all nodes, several at a time; what a watch of everything has to see, in order. */
function writeAll(cluster: MiniCluster, rounds: number, name = 'v'): string[] {
  const asked: { readonly node: MiniNode; readonly id: number; readonly text: string }[] = []
  for (let round = 0; round < rounds; round++) {
    for (const [i, key] of KEYS.entries()) {
      const node = cluster.nodes[(round + i) % cluster.nodes.length]!
      const value = `${name}${round}`
      asked.push({ node, id: node.request(put(key, value)), text: `${key}=${value}` })
      if (i % 3 === 0) cluster.run(1)
    }
    cluster.run(round % 4)
  }
  cluster.until(() => asked.every(({ node, id }) => node.results.has(id)))
  return asked
    .map(({ node, id, text }) => {
      const result = node.results.get(id)!
      if (!result.ok) throw new Error(`${text} was refused: ${result.error.code}`)
      return { revision: result.value.header.revision, text }
    })
    .sort((a, b) => a.revision - b.revision)
    .map(({ revision, text }) => `${revision} ${text}`)
}

const inRange = (range: KeyRange) => (line: string) => {
  const key = utf8(line.slice(line.indexOf(' ') + 1, line.indexOf('=')))
  return Buffer.compare(range.start, key) <= 0 && (range.end === null || Buffer.compare(key, range.end) < 0)
}

t.test('watches from now see every change once, in the order of revisions, at every node', async t => {
  const cluster = sharded()
  const ranges: KeyRange[] = [ALL, { start: utf8('c'), end: utf8('h') }, pointRange(utf8('m'))]
  for (const node of cluster.nodes) ranges.forEach((range, i) => watch(node, i + 1, { range }))
  cluster.until(() => cluster.nodes.every(node => [1, 2, 3].every(id => isCreated(node, id))))
  const written = writeAll(cluster, 12)
  for (const node of cluster.nodes) {
    for (const [i, range] of ranges.entries()) {
      const expected = written.filter(inRange(range))
      cluster.until(() => seen(node, i + 1).length >= expected.length)
      t.strictSame(seen(node, i + 1), expected)
    }
  }
  const revisions = written.map(line => Number(line.slice(0, line.indexOf(' '))))
  t.equal(new Set(revisions).size, revisions.length, 'no revision was given twice')
})

t.test('watches from the past go on where they were told to, over all shards', async t => {
  const cluster = sharded()
  const written = writeAll(cluster, 6)
  for (const from of [0, 7, written.length - 1]) {
    const expected = written.slice(from)
    const startRevision = Number(expected[0]!.split(' ')[0])
    for (const node of cluster.nodes) watch(node, from + 1, { startRevision })
    for (const node of cluster.nodes) {
      cluster.until(() => seen(node, from + 1).length >= expected.length)
      t.strictSame(seen(node, from + 1), expected)
    }
  }
  const more = writeAll(cluster, 2, 'w')
  for (const node of cluster.nodes) {
    cluster.until(() => seen(node, 1).length >= written.length + more.length)
    t.strictSame(seen(node, 1), [...written, ...more])
  }
})

t.test('one event of one shard is not delayed by shards where nothing happens', async t => {
  const cluster = sharded()
  const node = cluster.nodes[2]!
  watch(node, 1)
  cluster.until(() => isCreated(node, 1))
  cluster.run(500)
  for (const key of KEYS) {
    const before = seen(node, 1).length
    cluster.ask(node, put(key, 'x'))
    const answered = cluster.now
    cluster.until(() => seen(node, 1).length > before, 20)
    t.ok(cluster.now - answered <= 10, `${key}: a few round trips, of 2 ms each`)
  }
})

t.test('progress tells how far the oracle was when it was asked, also to watches of idle shards', async t => {
  const cluster = sharded()
  const [node, other] = cluster.nodes as [MiniNode, MiniNode]
  watch(node, 1, { range: pointRange(utf8('z')), progressNotify: true })
  cluster.until(() => isCreated(node, 1))
  const result = cluster.ask(other, put('a', '1'))
  const revision = result.ok ? result.value.header.revision : 0
  t.ok(revision > 1)
  node.watch(1, { kind: 'progress' })
  const told = () => node.watched.findLast(response => response.kind === 'progress')
  cluster.until(() => told() !== undefined)
  t.ok(told()!.header.revision >= revision)
  t.equal(told()!.watchId, -1)
  const later = cluster.ask(other, put('a', '2'))
  const second = later.ok ? later.value.header.revision : 0
  cluster.until(() => told()!.watchId === 1 && told()!.header.revision >= second, 3_000)
  t.strictSame(seen(node, 1), [])
})

t.test(
  'a shard whose replica here lags behind holds back what comes later, and nothing is left out',
  async t => {
    const cluster = sharded()
    const written = writeAll(cluster, 1)
    const leader = cluster.leaderOf(2)!
    const lagging = cluster.nodes.find(node => node !== leader && cluster.leaderOf(0) !== node)!
    watch(lagging, 1, { startRevision: 1 })
    cluster.until(() => seen(lagging, 1).length >= written.length)
    for (const node of cluster.nodes) {
      if (node === lagging) continue
      cluster.cut.add(`${node.id}>${lagging.id}`)
      cluster.cut.add(`${lagging.id}>${node.id}`)
    }
    cluster.run(400)
    const others = cluster.nodes.filter(node => node !== lagging)
    const ids = KEYS.map((key, i) => ({ node: others[i % 2]!, id: others[i % 2]!.request(put(key, 'late')) }))
    cluster.until(() => ids.every(({ node, id }) => node.results.has(id)))
    t.equal(seen(lagging, 1).length, written.length)
    cluster.cut.clear()
    cluster.until(() => seen(lagging, 1).length >= written.length + KEYS.length)
    const told = seen(lagging, 1)
    t.strictSame(told.slice(0, written.length), written)
    const revisions = told.map(line => Number(line.split(' ')[0]))
    t.strictSame(
      revisions,
      [...revisions].sort((a, b) => a - b),
    )
    t.equal(new Set(revisions).size, told.length)
  },
)

t.test('events that do not fit in memory, slow clients and a snapshot leave nothing out', async t => {
  const cluster = sharded({
    limits: {
      recentEventsBytesMax: 200,
      watchQueueBytesMax: 300,
      snapshotEntries: 20,
      catchUpEntries: 5,
      flushAfterMs: 5,
    },
  })
  const node = cluster.nodes[1]!
  watch(node, 1)
  cluster.until(() => isCreated(node, 1))
  const written = writeAll(cluster, 8)
  const stream = node.state.hub.streams.get(1)!
  cluster.until(() => {
    node.put({ kind: 'watchConsumed', stream: 1, bytes: stream.queuedBytes })
    return seen(node, 1).length >= written.length
  })
  t.strictSame(seen(node, 1), written)
  // Cut off until the others' logs begin behind what it has: it gets snapshots.
  for (const other of cluster.nodes) {
    if (other === node) continue
    cluster.cut.add(`${other.id}>${node.id}`)
    cluster.cut.add(`${node.id}>${other.id}`)
  }
  cluster.until(() => [0, ...GROUPS].every(group => otherLeader(cluster, node, group) !== undefined))
  const others = cluster.nodes.filter(other => other !== node)
  for (let round = 0; round < 15; round++)
    for (const key of KEYS) cluster.ask(others[round % 2]!, put(key, `s${round}`))
  cluster.cut.clear()
  cluster.until(() => {
    node.put({ kind: 'watchConsumed', stream: 1, bytes: stream.queuedBytes })
    return seen(node, 1).length >= written.length + 15 * KEYS.length
  })
  const revisions = seen(node, 1).map(line => Number(line.split(' ')[0]))
  t.strictSame(
    revisions,
    [...revisions].sort((a, b) => a - b),
  )
  t.equal(new Set(revisions).size, revisions.length)
  t.ok(node.state.counters.snapshotsInstalled > 0, 'by snapshots')
})

const otherLeader = (cluster: MiniCluster, than: MiniNode, group: number): MiniNode | undefined =>
  cluster.nodes.find(
    node => node !== than && node.state.groups.get(group as GroupId)?.raft?.role === 'leader',
  )

t.test('hubs that nobody watches are forgotten', async t => {
  const cluster = sharded()
  const node = cluster.nodes[0]!
  watch(node, 1)
  watch(node, 2, { range: pointRange(utf8('a')) })
  watch(node, 3, { range: pointRange(utf8('b')) })
  cluster.until(() => [1, 2, 3].every(id => isCreated(node, id)))
  cluster.run(5)
  t.strictSame([...node.state.hub.merged.keys()], ['1,2,3,4', '1'], 'watches of the same shards share one')
  for (const stream of [1, 2, 3]) node.put({ kind: 'watchClose', stream })
  cluster.ask(node, put('a', '1'))
  cluster.run(20)
  t.equal(node.state.hub.merged.size, 0)
  t.equal(node.state.hub.news.size, 0)
})

const several = (keys: readonly string[], value: string): ClientRequest => {
  const success = keys.map(key => ({
    kind: 'put' as const,
    key: utf8(key),
    value: utf8(value),
    lease: NO_LEASE,
    prevKv: false,
    ignoreValue: false,
    ignoreLease: false,
  }))
  const command = encodeShardCommand({
    kind: 'write',
    op: { kind: 'txn', compares: [], success, failure: [] },
  })
  return { kind: 'write', ranges: keys.map(key => pointRange(utf8(key))), command }
}

t.test('a transaction over shards comes whole, in one answer, in the order of its operations', async t => {
  const cluster = sharded()
  const [node, other] = cluster.nodes as [MiniNode, MiniNode]
  watch(node, 1)
  watch(node, 2, { range: pointRange(utf8('m')) })
  cluster.until(() => isCreated(node, 1) && isCreated(node, 2))
  const texts: string[] = []
  for (let round = 0; round < 5; round++) {
    const keys = ['z', 'a', 'm', 'f']
    const between = other.request(put('c', `${round}`))
    const result = cluster.ask(other, several(keys, `t${round}`))
    t.ok(result.ok)
    const revision = result.ok ? result.value.header.revision : 0
    cluster.until(() => other.results.has(between))
    for (const key of keys) texts.push(`${revision} ${key}=t${round}`)
  }
  const ofTransactions = (): string[] => seen(node, 1).filter(line => line.includes('=t'))
  cluster.until(() => ofTransactions().length >= texts.length && seen(node, 2).length >= 5)
  t.strictSame(ofTransactions(), texts)
  for (const response of node.watched) {
    if (response.kind !== 'events' || response.watchId !== 1) continue
    const mods = response.events.map(({ kv }) => kv.mod)
    for (const mod of new Set(mods)) {
      const whole = seen(node, 1).filter(line => line.startsWith(`${mod} `)).length
      t.equal(mods.filter(one => one === mod).length, whole, 'never in two answers')
    }
  }
  const again = cluster.nodes[2]!
  watch(again, 1, { startRevision: 1 })
  cluster.until(() => seen(again, 1).length >= seen(node, 1).length)
  t.strictSame(seen(again, 1), seen(node, 1), 'from the history, the same')
})

t.test(
  'a split under a watch leaves nothing out, at nodes that follow and at one that is behind it',
  async t => {
    const cluster = new MiniCluster({
      oracle: true,
      limits: { snapshotEntries: 20, catchUpEntries: 5, flushAfterMs: 5 },
    })
    cluster.until(() => [0, 1].every(group => cluster.leaderOf(group) !== undefined))
    const cutOff = cluster.nodes.find(node => [0, 1].every(group => cluster.leaderOf(group) !== node))!
    for (const node of cluster.nodes) watch(node, 1)
    cluster.until(() => cluster.nodes.every(node => isCreated(node, 1)))
    const written = writeAll(cluster, 2)
    const others = cluster.nodes.filter(node => node !== cutOff)
    cluster.until(() => seen(cutOff, 1).length >= written.length)
    for (const node of others) {
      cluster.cut.add(`${node.id}>${cutOff.id}`)
      cluster.cut.add(`${cutOff.id}>${node.id}`)
    }
    const command = encodeMetaCommand({ kind: 'splitShard', at: utf8('g'), group: null })
    t.ok(cluster.ask(others[0]!, { kind: 'meta', command }).ok)
    const asked: { readonly node: MiniNode; readonly id: number }[] = []
    for (let round = 0; round < 30; round++) {
      for (const [i, key] of KEYS.entries()) {
        const node = others[(round + i) % 2]!
        asked.push({ node, id: node.request(put(key, `w${round}`)) })
      }
      cluster.run(5)
    }
    cluster.until(() => asked.every(({ node, id }) => node.results.has(id)), 20_000)
    t.ok(asked.every(({ node, id }) => node.results.get(id)!.ok))
    cluster.cut.clear()
    const whole = written.length + asked.length
    for (const node of cluster.nodes) {
      cluster.until(() => seen(node, 1).length >= whole, 40_000)
      t.equal(seen(node, 1).length, whole)
    }
    const [first, ...rest] = cluster.nodes.map(node => seen(node, 1))
    for (const told of rest) t.strictSame(told, first)
    t.ok(cutOff.state.counters.snapshotsInstalled > 0, 'one of them by snapshots')
    t.ok(cluster.nodes.every(({ state }) => state.hub.stranded.length === 0))
  },
)
