import t from 'tap'
import { groupId, utf8, type ClientResult, type GroupId } from '@kvorum/model'
import { encodeMetaCommand, shardMapProblem } from '@kvorum/placement'
import { MiniCluster, type MiniNode, type MiniOptions } from './miniCluster.js'
import { ALL, get, pairs, put, reply } from './requests.js'

const started = (options: MiniOptions = {}): MiniCluster => {
  const cluster = new MiniCluster({ oracle: true, ...options })
  cluster.until(() => [0, 1].every(group => cluster.leaderOf(group) !== undefined))
  return cluster
}

const splitAt = (
  cluster: MiniCluster,
  node: MiniNode,
  at: string,
  group: number | null = null,
): ClientResult =>
  cluster.ask(node, {
    kind: 'meta',
    command: encodeMetaCommand({
      kind: 'splitShard',
      at: utf8(at),
      group: group === null ? null : groupId(group),
    }),
  })

const rightOf = (result: ClientResult): GroupId => {
  const answer = reply(result)
  if (answer.kind !== 'splitBegun') throw new Error('no split')
  return answer.right
}

const mapsOf = (cluster: MiniCluster): number[] =>
  cluster.nodes
    .filter(({ up }) => up)
    .map(({ state }) => state.groups.get(groupId(0))!.machine.meta!.shards.version)

/** Begins a split and waits until the map of every node has it. */
function split(cluster: MiniCluster, at: string): GroupId {
  const version = Math.max(...mapsOf(cluster))
  const right = rightOf(splitAt(cluster, cluster.nodes[0]!, at))
  cluster.until(() => mapsOf(cluster).every(each => each > version))
  cluster.until(() => cluster.leaderOf(right) !== undefined)
  return right
}

const keysIn = (node: MiniNode, group: GroupId): { start: string; end: string | null } => {
  const { start, end } = node.state.groups.get(group)!.machine.shard!.range
  return { start: Buffer.from(start).toString(), end: end === null ? null : Buffer.from(end).toString() }
}

const revisionOf = (result: ClientResult): number => {
  if (!result.ok) throw new Error(`refused: ${result.error.code}`)
  return result.value.header.revision
}

t.test('a split leaves every key where it was, and both halves go on', async t => {
  const cluster = started()
  for (const [i, key] of ['a', 'g', 'm', 'z'].entries()) cluster.ask(cluster.nodes[i % 3]!, put(key, key))
  const right = split(cluster, 'm')
  t.equal(cluster.leaderOf(right), cluster.leaderOf(1), 'led by whoever led the whole')
  for (const node of cluster.nodes) {
    t.strictSame(keysIn(node, groupId(1)), { start: '', end: 'm' })
    t.strictSame(keysIn(node, right), { start: 'm', end: null })
    t.equal(shardMapProblem(node.state.shards), null)
    t.strictSame(pairs(cluster.ask(node, get(ALL))), ['a=a@2', 'g=g@3', 'm=m@4', 'z=z@5'])
  }
  const given = ['b', 'y', 'c', 'm'].map((key, i) =>
    revisionOf(cluster.ask(cluster.nodes[i % 3]!, put(key, 'new'))),
  )
  t.strictSame(
    [...given].sort((a, b) => a - b),
    given,
    'one order over both',
  )
  t.strictSame(
    pairs(cluster.ask(cluster.nodes[1]!, get(ALL))).map(pair => pair.split('@')[0]),
    ['a=a', 'b=new', 'c=new', 'g=g', 'm=new', 'y=new', 'z=z'],
  )
  t.equal(cluster.nodes.flatMap(({ state }) => [...state.operating.keys()]).length, 0, 'nothing is under way')
})

t.test('halves are split again', async t => {
  const cluster = started()
  for (const key of ['a', 'f', 'k', 'p', 'u', 'z']) cluster.ask(cluster.nodes[0]!, put(key, key))
  for (const at of ['m', 'd', 's', 'w']) split(cluster, at)
  for (const node of cluster.nodes) {
    t.equal(shardMapProblem(node.state.shards), null)
    t.equal(node.state.shards.shards.length, 5)
    t.strictSame(pairs(cluster.ask(node, get(ALL))).length, 6)
    t.strictSame(pairs(cluster.ask(node, get({ start: utf8('c'), end: utf8('t') }))), [
      'f=f@3',
      'k=k@4',
      'p=p@5',
    ])
  }
})

for (const oracle of [true, false])
  t.test(
    `writes under way during ${oracle ? 'a' : 'the first'} split are all carried out, once, and none waits long`,
    async t => {
      const cluster = started({ oracle })
      const keys = Array.from({ length: 26 }, (_, i) => String.fromCharCode(97 + i))
      for (const key of keys) cluster.ask(cluster.nodes[0]!, put(key, '0'))
      const asked: { node: MiniNode; id: number; at: number; ended: number }[] = []
      const write = (i: number): void => {
        const node = cluster.nodes[i % 3]!
        asked.push({ node, id: node.request(put(keys[(i * 7) % 26]!, `${i}`)), at: cluster.now, ended: 0 })
      }
      let split = 0
      for (let i = 0; i < 300; i++) {
        write(i)
        if (i === 100) {
          const command = encodeMetaCommand({ kind: 'splitShard', at: utf8('m'), group: null })
          split = cluster.nodes[1]!.request({ kind: 'meta', command })
        }
        cluster.run(1)
        for (const one of asked) if (one.ended === 0 && one.node.results.has(one.id)) one.ended = cluster.now
      }
      cluster.until(() => asked.every(({ node, id }) => node.results.has(id)))
      t.ok(cluster.nodes[1]!.results.get(split)?.ok)
      cluster.until(() => mapsOf(cluster).every(version => version === 2))
      const failed = asked.filter(({ node, id }) => !node.results.get(id)!.ok)
      t.strictSame(
        failed.map(({ node, id }) => node.results.get(id)),
        [],
      )
      const revisions = asked.map(({ node, id }) => revisionOf(node.results.get(id)!))
      t.equal(new Set(revisions).size, revisions.length, 'each at a revision of its own')
      const waits = asked.map(({ at, ended }) => ended - at)
      t.ok(Math.max(...waits) < 100, `the longest took ${Math.max(...waits)} ms`)
      t.strictSame(
        cluster.nodes.map(({ state }) => state.shards.shards.length),
        [2, 2, 2],
      )
    },
  )

t.test('reads of all keys during a split see every key', async t => {
  const cluster = started()
  const keys = Array.from({ length: 26 }, (_, i) => String.fromCharCode(97 + i))
  for (const key of keys) cluster.ask(cluster.nodes[0]!, put(key, '0'))
  const reads: { node: MiniNode; id: number }[] = []
  for (let i = 0; i < 150; i++) {
    const node = cluster.nodes[i % 3]!
    reads.push({ node, id: node.request(get(ALL, i % 2 === 0)) })
    if (i === 50) {
      const command = encodeMetaCommand({ kind: 'splitShard', at: utf8('m'), group: null })
      cluster.nodes[2]!.request({ kind: 'meta', command })
    }
    cluster.run(1)
  }
  cluster.until(() => reads.every(({ node, id }) => node.results.has(id)))
  const counts = new Set(reads.map(({ node, id }) => pairs(node.results.get(id)!).length))
  t.strictSame([...counts], [26])
})

t.test('a replica that was away gets both halves, by the log or by snapshots', async t => {
  for (const purged of [false, true]) {
    const limits = purged ? { snapshotEntries: 20, catchUpEntries: 5, flushAfterMs: 5 } : {}
    const cluster = started({ limits })
    for (let i = 0; i < 30; i++) cluster.ask(cluster.nodes[0]!, put(`k${i}`, `${i}`))
    const away = cluster.nodes.find(node => node !== cluster.leaderOf(0) && node !== cluster.leaderOf(1))!
    const others = cluster.nodes.filter(node => node !== away)
    cluster.run(50)
    away.up = false
    const right = rightOf(splitAt(cluster, others[0]!, 'k2'))
    cluster.until(() => cluster.leaderOf(right) !== undefined)
    for (let i = 0; i < 100; i++) cluster.ask(others[i % 2]!, put(`k${i % 40}`, `again${i}`))
    if (purged)
      cluster.until(() =>
        [groupId(1), right].every(
          group => cluster.leaderOf(group)!.state.groups.get(group)!.raft!.base.index > 20,
        ),
      )
    away.up = true
    cluster.until(() => away.state.groups.get(right)?.machine.shard?.range.end === null, 60_000)
    cluster.until(
      () =>
        [groupId(1), right].every(group => {
          const digests = cluster.nodes.map(node => node.state.groups.get(group)?.machine.shard?.digest)
          return new Set(digests).size === 1
        }),
      60_000,
    )
    if (purged) t.ok(away.state.counters.snapshotsInstalled >= 1, 'by snapshots')
    t.strictSame(keysIn(away, groupId(1)), { start: '', end: 'k2' })
    t.strictSame(pairs(cluster.ask(away, get(ALL))), pairs(cluster.ask(others[0]!, get(ALL))))
  }
})

t.test('what is asked wrongly is refused, and nothing is half-done', async t => {
  const cluster = started()
  const node = cluster.nodes[0]!
  const refusal = (result: ClientResult): string | null => (result.ok ? null : result.error.code)
  t.equal(refusal(splitAt(cluster, node, '')), 'splitKeyInvalid')
  t.equal(refusal(splitAt(cluster, node, 'm', 9)), 'shardNotFound')
  split(cluster, 'm')
  t.equal(refusal(splitAt(cluster, node, 'm')), 'splitKeyInvalid')
  t.equal(refusal(splitAt(cluster, node, 'z', 1)), 'splitKeyInvalid')
  t.equal(node.state.shards.shards.length, 2)
})

t.test('the meta group’s leader may change at any moment of a split', async t => {
  for (const wait of [1, 3, 5, 8, 12]) {
    const cluster = started()
    cluster.ask(cluster.nodes[0]!, put('a', '1'))
    const old = cluster.leaderOf(0)!
    const command = encodeMetaCommand({ kind: 'splitShard', at: utf8('m'), group: null })
    const id = old.request({ kind: 'meta', command })
    cluster.run(wait)
    old.up = false
    const others = cluster.nodes.filter(node => node !== old)
    cluster.until(() => others.includes(cluster.leaderOf(0)!) && others.includes(cluster.leaderOf(1)!))
    cluster.run(500)
    const pending = others[0]!.state.groups.get(groupId(0))!.machine.meta!.operations
    t.strictSame(pending, [], `${wait} ms after the request nothing is left undone`)
    for (const key of ['b', 'y']) t.ok(cluster.ask(others[0]!, put(key, '2')).ok)
    const [one, two] = others.map(node => pairs(cluster.ask(node, get(ALL))))
    t.strictSame(one, two)
    t.equal(one!.length, 3)
    t.equal(old.results.has(id) && !old.results.get(id)!.ok, false)
  }
})

t.test('who watches keys of the right half goes on to see all of them', async t => {
  const cluster = started()
  const [node] = cluster.nodes as [MiniNode]
  const watch = {
    noPut: false,
    noDelete: false,
    prevKv: false,
    watchId: 0,
    fragment: false,
    progressNotify: false,
  }
  node.watch(1, {
    kind: 'create',
    create: { ...watch, range: { start: utf8('x'), end: utf8('z') }, startRevision: 0 },
  })
  cluster.ask(node, put('x', '1'))
  split(cluster, 'm')
  cluster.ask(node, put('x', '2'))
  cluster.ask(node, put('a', 'not seen'))
  cluster.ask(node, put('y', '3'))
  const seen = (): string[] =>
    node.watched
      .flatMap(response => (response.kind === 'events' ? response.events : []))
      .map(({ kv }) => Buffer.from(kv.value).toString())
  cluster.until(() => seen().length === 3)
  t.strictSame(seen(), ['1', '2', '3'])
})
