import t from 'tap'
import { encodeShardCommand, NO_LEASE, pointRange, utf8, type ClientRequest, type Op } from '@kvorum/model'
import { statusOf } from '@kvorum/node'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { ALL, get, leader, put } from './requests.js'

const putOf = (key: string, value: string): Op => ({
  kind: 'put',
  key: utf8(key),
  value: utf8(value),
  lease: NO_LEASE,
  prevKv: false,
  ignoreValue: false,
  ignoreLease: false,
})
const write = (op: Op): ClientRequest => ({
  kind: 'write',
  ranges: [ALL],
  command: encodeShardCommand({ kind: 'write', op }),
})
const remove: Op = { kind: 'delete', range: pointRange(utf8('a')), prevKv: false }

const countsOf = (node: MiniNode) => statusOf(node.state, () => 0).counters

t.test('what is done to keys is counted on every member, reads where they are served', async t => {
  const cluster = new MiniCluster()
  const first = leader(cluster)
  const other = cluster.nodes.find(node => node !== first)!
  const ask = (request: ClientRequest) => {
    const result = cluster.ask(first, request)
    if (!result.ok) throw new Error(result.error.code)
    return result.value.header.revision
  }
  ask(put('a', 'one'))
  ask(put('a', 'two'))
  const txn = {
    kind: 'txn',
    compares: [],
    success: [putOf('b', '1'), putOf('c', '2')],
    failure: [remove],
  } as const
  ask(write(txn))
  ask(write({ ...txn, success: [putOf('d', '3')] }))
  const revision = ask(write(remove))
  ask(get(ALL))
  ask(get(ALL, true))
  t.match(countsOf(first), { mvccPuts: 5, mvccPutBytes: 14, mvccTxns: 1, mvccDeletes: 1, mvccRanges: 2 })
  cluster.until(() => countsOf(other)['mvccDeletes'] === 1)
  t.match(countsOf(other), { mvccPuts: 5, mvccTxns: 1, mvccRanges: 0, mvccCompactedVersions: 0 })
  t.strictSame([countsOf(first)['mvccKeys'], countsOf(other)['mvccKeys']], [3, 3])
  ask({ kind: 'compact', revision, physical: true })
  t.equal(countsOf(first)['mvccCompactedVersions'], 2, 'what was overwritten, and what was deleted')
})

t.test('watchers are counted', async t => {
  const cluster = new MiniCluster({ nodes: 1 })
  const node = leader(cluster)
  const create = { progressNotify: false, noPut: false, noDelete: false, prevKv: false, fragment: false }
  for (const stream of [1, 1, 2]) {
    node.watch(stream, { kind: 'create', create: { ...create, range: ALL, startRevision: 0, watchId: 0 } })
    cluster.run(10)
  }
  t.match(countsOf(node), { watchStreams: 2, watchers: 3, slowWatchers: 0 })
})

t.test('a command that is slow to apply is told of, and counted', async t => {
  const cluster = new MiniCluster({ nodes: 1, slowApplyMs: 100 })
  const node = leader(cluster)
  t.ok(cluster.ask(node, put('a', 'one')).ok)
  t.equal(countsOf(node)['slowApplies'], 0)
  node.storeDelay = 150
  for (let i = 0; i < 3; i++) t.ok(cluster.ask(node, put('a', 'two')).ok)
  t.equal(countsOf(node)['slowApplies'], 3)
  t.equal(node.notes.filter(text => text === 'Applying a command took long').length, 1, 'one line a second')
})
