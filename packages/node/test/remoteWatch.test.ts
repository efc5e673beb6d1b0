import {
  groupId,
  nodeId,
  pointRange,
  utf8,
  type KeyRange,
  type WatchCreate,
  type WatchResponse,
} from '@kvorum/model'
import { encodeMetaCommand, placedShard, type MetaCommand } from '@kvorum/placement'
import t, { type Test } from 'tap'
import { MiniCluster, type MiniNode, type MiniOptions } from './miniCluster.js'
import { ALL, put, reply } from './requests.js'
import { isCreated, PLAIN, seen, told, watch } from './watching.js'

/** Watches at nodes that have no replica of a shard that is watched: five nodes, three replicas of each shard. */

const HALVES: KeyRange[] = [
  { start: new Uint8Array(0), end: utf8('m') },
  { start: utf8('m'), end: null },
]
const KEYS = ['a', 'c', 'k', 'm', 'p', 'z']

function five(options: MiniOptions = {}): MiniCluster {
  const cluster = new MiniCluster({ nodes: 5, ranges: HALVES, replicas: 3, oracle: true, ...options })
  const groups = (options.ranges ?? HALVES).map((_, i) => i + 1)
  cluster.until(() => [0, ...groups].every(each => cluster.leaderOf(each) !== undefined))
  return cluster
}

const watchAll = (cluster: MiniCluster, id: number, create: Partial<WatchCreate> = {}): void => {
  for (const node of cluster.nodes) watch(node, id, create)
}
const allCreated = (cluster: MiniCluster, id: number): void =>
  cluster.until(() => cluster.nodes.every(node => isCreated(node, id)))

/** Writes that are under way at all nodes while something else happens. */
class Load {
  readonly #asked: { readonly node: MiniNode; readonly id: number; readonly text: string }[] = []
  readonly #cluster: MiniCluster
  readonly #keys: readonly string[]
  #next = 0

  constructor(cluster: MiniCluster, keys: readonly string[] = KEYS) {
    this.#cluster = cluster
    this.#keys = keys
  }

  /** One round of all keys. */
  write(): void {
    const { nodes } = this.#cluster
    for (const key of this.#keys) {
      const value = String(this.#next++)
      const node = nodes[this.#next % nodes.length]!
      this.#asked.push({ node, id: node.request(put(key, value)), text: `${key}=${value}` })
      if (this.#next % 2 === 0) this.#cluster.run(1)
    }
  }

  /** All are answered: what was written for certain, in the order of revisions, and what may have been. */
  ended(): { readonly sure: string[]; readonly unsure: Set<string> } {
    this.#cluster.until(() => this.#asked.every(({ node, id }) => node.results.has(id)), 20_000)
    const sure: { revision: number; line: string }[] = []
    const unsure = new Set<string>()
    for (const { node, id, text } of this.#asked) {
      const result = node.results.get(id)!
      if (!result.ok) unsure.add(text)
      else
        sure.push({ revision: result.value.header.revision, line: `${result.value.header.revision} ${text}` })
    }
    return { sure: sure.sort((a, b) => a.revision - b.revision).map(({ line }) => line), unsure }
  }
}

const revisionOf = (line: string): number => Number(line.slice(0, line.indexOf(' ')))

/** Every node's watch was told all that was written, once, in order, and nothing that was not. */
function checkAll(tt: Test, cluster: MiniCluster, id: number, load: Load): void {
  const { sure, unsure } = load.ended()
  for (const node of cluster.nodes) {
    cluster.until(() => sure.every(line => seen(node, id).includes(line)), 20_000)
    const lines = seen(node, id)
    const revisions = lines.map(revisionOf)
    tt.strictSame(
      revisions,
      [...new Set(revisions)].sort((a, b) => a - b),
      `${node.id}: once each, in order`,
    )
    const more = lines.filter(line => !sure.includes(line))
    tt.ok(
      more.every(line => unsure.has(line.slice(line.indexOf(' ') + 1))),
      `${node.id}: nothing invented`,
    )
  }
}

const meta = (cluster: MiniCluster, command: MetaCommand) =>
  cluster.ask(cluster.nodes[0]!, { kind: 'meta', command: encodeMetaCommand(command) })
const holders = (cluster: MiniCluster, group: number): number[] =>
  cluster.nodes.filter(node => node.state.groups.has(groupId(group))).map(node => Number(node.id))
const isRemoteAt = (node: MiniNode): boolean => node.state.hub.remote.hubs.size > 0

t.test('watches from now see every change once and in order, at nodes with and without replicas', async t => {
  const cluster = five()
  const ranges: KeyRange[] = [ALL, { start: utf8('c'), end: utf8('n') }, pointRange(utf8('a'))]
  ranges.forEach((range, i) => watchAll(cluster, i + 1, { range }))
  ranges.forEach((_, i) => allCreated(cluster, i + 1))
  t.ok(cluster.nodes.filter(isRemoteAt).length >= 4, 'no node but one has both shards')
  const load = new Load(cluster)
  for (let round = 0; round < 10; round++) load.write()
  const { sure } = load.ended()
  for (const node of cluster.nodes) {
    for (const [i, { start, end }] of ranges.entries()) {
      const expected = sure.filter(line => {
        const key = utf8(line.slice(line.indexOf(' ') + 1, line.indexOf('=')))
        return Buffer.compare(start, key) <= 0 && (end === null || Buffer.compare(key, end) < 0)
      })
      cluster.until(() => seen(node, i + 1).length >= expected.length)
      t.strictSame(seen(node, i + 1), expected)
    }
  }
})

t.test('an event comes a few round trips after its write', async t => {
  const cluster = five()
  watchAll(cluster, 1)
  allCreated(cluster, 1)
  cluster.run(300)
  for (const key of KEYS) {
    const before = cluster.nodes.map(node => seen(node, 1).length)
    cluster.ask(cluster.nodes[0]!, put(key, 'x'))
    const answered = cluster.now
    cluster.until(() => cluster.nodes.every((node, i) => seen(node, 1).length > before[i]!), 30)
    t.ok(cluster.now - answered <= 20, `${key}: ${cluster.now - answered} ms of virtual time`)
  }
})

t.test('watches from the past, with what was replaced', async t => {
  const cluster = five({ limits: { pageBytesMax: 600 } })
  const load = new Load(cluster)
  for (let round = 0; round < 6; round++) load.write()
  const { sure } = load.ended()
  for (const from of [0, 9, sure.length - 1]) {
    const expected = sure.slice(from)
    watchAll(cluster, from + 1, { startRevision: revisionOf(expected[0]!), prevKv: true })
    for (const node of cluster.nodes) {
      cluster.until(() => seen(node, from + 1).length >= expected.length)
      t.strictSame(seen(node, from + 1), expected)
      const events = told(node, from + 1).flatMap(each => (each.kind === 'events' ? each.events : []))
      t.ok(events.slice(KEYS.length).every(({ prev }) => prev !== null))
    }
  }
  for (let round = 0; round < 2; round++) load.write()
  checkAll(t, cluster, 1, load)
})

t.test('a watch from now begins behind what was written before it, wherever it was written', async t => {
  const cluster = five()
  for (const key of KEYS) cluster.ask(cluster.nodes[1]!, put(key, 'before'))
  watchAll(cluster, 1)
  allCreated(cluster, 1)
  cluster.ask(cluster.nodes[2]!, put('z', 'after'))
  for (const node of cluster.nodes) {
    cluster.until(() => seen(node, 1).length > 0)
    cluster.run(50)
    t.match(seen(node, 1), [/ z=after$/])
    t.equal(seen(node, 1).length, 1)
  }
})

t.test('progress, asked for and now and then', async t => {
  const cluster = five()
  watchAll(cluster, 1, { range: pointRange(utf8('b')), progressNotify: true })
  allCreated(cluster, 1)
  const result = cluster.ask(cluster.nodes[0]!, put('z', '1'))
  const revision = result.ok ? result.value.header.revision : 0
  for (const node of cluster.nodes) node.watch(1, { kind: 'progress' })
  const last = (node: MiniNode) => node.watched.findLast(({ kind }) => kind === 'progress')
  for (const node of cluster.nodes) {
    cluster.until(() => (last(node)?.header.revision ?? 0) >= revision)
    cluster.until(() => last(node)?.watchId === 1, 5_000)
    t.ok(last(node)!.header.revision >= revision)
  }
})

/** A node that cannot hear how far the right half is, which is elsewhere; what it asks is heard from `heard` on. */
function deafNode(cluster: MiniCluster): { readonly node: MiniNode; readonly heard: () => void } {
  const node = cluster.nodes.find(each => !each.state.groups.has(groupId(2)))!
  cluster.isLost = parcel => parcel.kind === 'request' && parcel.request.kind === 'follow'
  return { node, heard: () => (cluster.isLost = () => false) }
}

t.test('progress of a stream waits for the watches that it asked for before', async t => {
  const cluster = five()
  for (const key of KEYS) cluster.ask(cluster.nodes[0]!, put(key, '1'))
  const { node, heard } = deafNode(cluster)
  watch(node, 7, { startRevision: 1 })
  cluster.run(1)
  node.watch(7, { kind: 'progress' })
  cluster.run(2_000)
  t.strictSame(node.watched, [], 'nothing is said yet')
  heard()
  const isProgress = ({ kind }: WatchResponse): boolean => kind === 'progress'
  cluster.until(() => node.watched.some(isProgress), 20_000)
  t.equal(node.watched[0]?.kind, 'created')
  t.equal(seen(node, 7).length, KEYS.length)
  t.ok(node.watched.findIndex(isProgress) > node.watched.findLastIndex(({ kind }) => kind === 'events'))
})

t.test('a watch that waits can be cancelled, and is answered in its turn', async t => {
  const cluster = five()
  const { node, heard } = deafNode(cluster)
  watch(node, 7)
  cluster.run(1)
  node.watch(7, { kind: 'create', create: { ...PLAIN, watchId: 8 } })
  node.watch(7, { kind: 'cancel', watchId: 8 })
  cluster.run(1_000)
  t.strictSame(node.watched, [], 'the one before it is answered first')
  heard()
  cluster.until(() => node.watched.length === 3, 20_000)
  t.strictSame(
    node.watched.map(({ kind, watchId }) => `${kind} ${watchId}`),
    ['created 7', 'created 8', 'canceled 8'],
  )
  cluster.ask(node, put('z', '1'))
  cluster.until(() => seen(node, 7).length === 1)
  t.strictSame(seen(node, 8), [])
  watch(node, 9)
  cluster.run(1)
  node.watch(9, { kind: 'cancel', watchId: 9 })
  cluster.until(() => told(node, 9).some(({ kind }) => kind === 'canceled'))
})

t.test('what is compacted is said so, with the revision', async t => {
  const cluster = five()
  const load = new Load(cluster)
  for (let round = 0; round < 3; round++) load.write()
  const { sure } = load.ended()
  const revision = revisionOf(sure[10]!)
  t.equal(reply(cluster.ask(cluster.nodes[0]!, { kind: 'compact', revision, physical: false })).kind, 'done')
  watchAll(cluster, 1, { startRevision: 2 })
  watchAll(cluster, 2, { startRevision: revision })
  for (const node of cluster.nodes) {
    cluster.until(() => told(node, 1).some(({ kind }) => kind === 'canceled'))
    t.match(told(node, 1).at(-1), { kind: 'canceled', compactRevision: revision })
    cluster.until(() => seen(node, 2).length >= sure.length - 10)
    t.strictSame(seen(node, 2), sure.slice(10))
  }
})

t.test('a slow client is not sent more than there is room for, and misses nothing', async t => {
  const cluster = five({ limits: { watchQueueBytesMax: 300, recentEventsBytesMax: 300 } })
  watchAll(cluster, 1)
  allCreated(cluster, 1)
  const load = new Load(cluster)
  for (let round = 0; round < 8; round++) load.write()
  load.ended()
  cluster.run(200)
  t.ok(cluster.nodes.every(node => node.state.hub.streams.get(1)!.queuedBytes < 1_000))
  const take = (): void => {
    for (const node of cluster.nodes) {
      const bytes = node.state.hub.streams.get(1)!.queuedBytes
      if (bytes > 0) node.put({ kind: 'watchConsumed', stream: 1, bytes })
    }
  }
  const { sure } = load.ended()
  cluster.until(() => (take(), cluster.nodes.every(node => seen(node, 1).length >= sure.length)))
  for (const node of cluster.nodes) t.strictSame(seen(node, 1), sure)
})

t.test('leaders change under load', async t => {
  const cluster = five()
  watchAll(cluster, 1)
  allCreated(cluster, 1)
  const load = new Load(cluster)
  for (const group of [1, 2, 0, 1]) {
    load.write()
    const leader = cluster.leaderOf(group)!
    for (const { id } of cluster.nodes) {
      cluster.cut.add(`${leader.id}>${id}`)
      cluster.cut.add(`${id}>${leader.id}`)
    }
    load.write()
    cluster.until(() =>
      cluster.nodes.some(
        node => node !== leader && node.state.groups.get(groupId(group))?.raft?.role === 'leader',
      ),
    )
    load.write()
    cluster.cut.clear()
    cluster.run(50)
    load.write()
  }
  checkAll(t, cluster, 1, load)
})

t.test('a shard elsewhere is split under load', async t => {
  const cluster = five()
  watchAll(cluster, 1)
  watchAll(cluster, 2, { range: { start: utf8('b'), end: utf8('l') } })
  allCreated(cluster, 1)
  allCreated(cluster, 2)
  const load = new Load(cluster)
  load.write()
  const asked = cluster.nodes[0]!.request({
    kind: 'meta',
    command: encodeMetaCommand({ kind: 'splitShard', group: groupId(1), at: utf8('c') }),
  })
  // They begin at the moments at which some nodes know of the split, and others do not.
  const begun: number[] = []
  for (let round = 0; round < 12; round++) {
    load.write()
    begun.push(10 + round)
    watchAll(cluster, 10 + round, { startRevision: 1, range: round % 2 === 0 ? pointRange(utf8('k')) : ALL })
  }
  cluster.until(() => cluster.nodes[0]!.results.has(asked))
  t.ok(cluster.nodes[0]!.results.get(asked)!.ok)
  cluster.until(() => cluster.nodes.every(node => node.state.shards.shards.length === 3))
  for (let round = 0; round < 3; round++) load.write()
  checkAll(t, cluster, 1, load)
  watchAll(cluster, 3, { startRevision: 1 })
  checkAll(t, cluster, 3, load)
  for (const node of cluster.nodes) {
    t.same(
      seen(node, 2),
      seen(node, 1).filter(line => / [ck]=/.test(line)),
    )
    for (const id of begun) {
      const all = seen(node, 1).filter(line => id % 2 !== 0 || line.includes(' k='))
      cluster.until(() => seen(node, id).length >= all.length)
      t.same(seen(node, id), all)
    }
  }
})

t.test('replicas move onto nodes and off them under load', async t => {
  const cluster = five()
  watchAll(cluster, 1)
  watchAll(cluster, 2, { range: pointRange(utf8('k')) })
  allCreated(cluster, 1)
  allCreated(cluster, 2)
  const load = new Load(cluster)
  load.write()
  let before = holders(cluster, 1)
  for (const nodes of [
    [3, 4, 5],
    [1, 2, 5],
    [1, 2, 3],
  ]) {
    const command: MetaCommand = {
      kind: 'placeShard',
      group: groupId(1),
      before: before.map(each => nodeId(BigInt(each))),
      nodes: nodes.map(each => nodeId(BigInt(each))),
      override: false,
    }
    t.equal(reply(meta(cluster, command)).kind, 'done')
    const placeAt = (node: MiniNode) =>
      placedShard(node.state.groups.get(groupId(0))!.machine.meta!, groupId(1))!
    let rounds = 0
    cluster.until(() => {
      if (cluster.now % 10 === 0 && rounds++ < 8) load.write()
      return holders(cluster, 1).join() === nodes.join() && cluster.nodes.every(node => placeAt(node).settled)
    }, 60_000)
    before = nodes
  }
  load.write()
  checkAll(t, cluster, 1, load)
  for (const node of cluster.nodes)
    t.same(
      seen(node, 2),
      seen(node, 1).filter(line => line.includes(' k=')),
    )
})

t.test(
  'a shard of its own revisions is watched from everywhere, also when its replica moves away',
  async t => {
    const cluster = five({ oracle: false })
    watchAll(cluster, 1, { range: HALVES[0]! })
    allCreated(cluster, 1)
    const load = new Load(cluster, ['a', 'c', 'k'])
    load.write()
    const before = holders(cluster, 1)
    const nodes = [3, 4, 5]
    const command: MetaCommand = {
      kind: 'placeShard',
      group: groupId(1),
      before: before.map(each => nodeId(BigInt(each))),
      nodes: nodes.map(each => nodeId(BigInt(each))),
      override: false,
    }
    t.equal(reply(meta(cluster, command)).kind, 'done')
    cluster.until(() => holders(cluster, 1).join() === nodes.join(), 60_000)
    load.write()
    checkAll(t, cluster, 1, load)
    for (const node of cluster.nodes) node.watch(1, { kind: 'progress' })
    const revision = revisionOf(load.ended().sure.at(-1)!)
    for (const node of cluster.nodes)
      cluster.until(
        () => (node.watched.findLast(({ kind }) => kind === 'progress')?.header.revision ?? 0) >= revision,
      )
    t.equal(cluster.nodes.filter(isRemoteAt).length, 2)
  },
)

t.test(
  'a watch that was allowed by older users and roles than a shard elsewhere knows is refused',
  async t => {
    const cluster = five()
    const fence = { revision: 5, enabled: true }
    for (const group of [1, 2])
      t.ok(cluster.ask(cluster.nodes[0]!, { kind: 'authFence', group: groupId(group), fence }).ok)
    watchAll(cluster, 1, { authRevision: 4, watchId: 1 })
    watchAll(cluster, 2, { authRevision: 5, watchId: 2 })
    for (const node of cluster.nodes) {
      cluster.until(() => node.watched.some(({ kind }) => kind === 'refused'))
      t.match(
        node.watched.find(({ kind }) => kind === 'refused'),
        { code: 'authOutdated' },
      )
      cluster.until(() => isCreated(node, 2))
    }
  },
)
