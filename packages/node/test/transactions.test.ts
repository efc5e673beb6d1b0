import t from 'tap'
import {
  leaseId,
  pointRange,
  utf8,
  type ClientResult,
  type Compare,
  type DeleteOp,
  type DeleteReply,
  type Op,
  type OpReply,
  type PutOp,
  type RangeOp,
  type RangeReply,
  type TxnOp,
  type TxnReply,
} from '@kvorum/model'
import { encodeMetaCommand } from '@kvorum/placement'
import { MiniCluster, type MiniNode } from './miniCluster.js'
import { ALL, get, pairs, put, reply } from './requests.js'
import { heldLocks, locks, revisionOf, threeShards, write } from './threeShards.js'

const putOp = (key: string, value: string, prevKv = false): PutOp => ({
  kind: 'put',
  key: utf8(key),
  value: utf8(value),
  lease: leaseId(0n),
  prevKv,
  ignoreValue: false,
  ignoreLease: false,
})
const deleteOp = (from: string, to: string, prevKv = false): DeleteOp => ({
  kind: 'delete',
  range: { start: utf8(from), end: utf8(to) },
  prevKv,
})
const txn = (compares: readonly Compare[], success: readonly Op[], failure: readonly Op[] = []): TxnOp => ({
  kind: 'txn',
  compares,
  success,
  failure,
})
const valueIs = (key: string, value: string): Compare => ({
  range: pointRange(utf8(key)),
  result: 'equal',
  target: 'value',
  operand: utf8(value),
})
const rangeAll = (get(ALL) as { op: RangeOp }).op

function opIn(result: ClientResult): OpReply {
  const answer = reply(result)
  if (answer.kind !== 'op') throw new Error('not an operation')
  return answer.op
}
const txnIn = (result: ClientResult): TxnReply => opIn(result) as TxnReply
const read = (cluster: MiniCluster, node: MiniNode): string[] => pairs(cluster.ask(node, get(ALL)))

void t.test('a transaction over three shards takes effect at one revision', async t => {
  const cluster = threeShards()
  const [node] = cluster.nodes
  const puts = ['a', 'k', 'z'].map(key => putOp(key, '1'))
  const first = cluster.ask(node!, write(txn([], puts)))
  const revision = revisionOf(first)
  t.match(txnIn(first), { succeeded: true, revision, before: revision - 1 })
  for (const each of cluster.nodes)
    t.strictSame(read(cluster, each), [`a=1@${revision}`, `k=1@${revision}`, `z=1@${revision}`])
  cluster.until(() => locks(cluster) === 0)

  const nested = txn([valueIs('z', '1')], [rangeAll, putOp('z', '3', true)], [putOp('k', '4')])
  const op = txn([valueIs('a', '1'), valueIs('k', '1')], [putOp('a', '2', true), nested], [putOp('z', 'no')])
  const second = txnIn(cluster.ask(cluster.nodes[1]!, write(op)))
  t.equal(second.succeeded, true)
  t.match(second.responses[0], { kind: 'put', prev: { mod: revision } })
  const inner = second.responses[1] as TxnReply
  t.equal(inner.succeeded, true)
  const values = (inner.responses[0] as RangeReply).kvs.map(kv => Buffer.from(kv.value).toString())
  t.strictSame(values, ['2', '1', '1'], 'it sees what it has written')
  const third = txnIn(cluster.ask(cluster.nodes[2]!, write(op)))
  t.equal(third.succeeded, false, 'the compares are of two shards')
  t.strictSame(
    read(cluster, node!).map(pair => pair.split('@')[0]),
    ['a=2', 'k=1', 'z=no'],
  )
})

void t.test('a range is deleted over shards', async t => {
  const cluster = threeShards()
  const [node] = cluster.nodes
  for (const key of ['a', 'b', 'i', 'q', 'z']) cluster.ask(node!, put(key, key))
  const deleted = opIn(cluster.ask(node!, write(deleteOp('b', 'r', true)))) as DeleteReply
  t.equal(deleted.deleted, 3)
  t.strictSame(
    deleted.prevs.map(({ key }) => Buffer.from(key).toString()),
    ['b', 'i', 'q'],
  )
  t.strictSame(
    read(cluster, cluster.nodes[2]!).map(pair => pair.split('=')[0]),
    ['a', 'z'],
  )
  const none = cluster.ask(node!, write(deleteOp('b', 'r')))
  t.match(opIn(none), { kind: 'delete', deleted: 0 })
})

void t.test('what refuses it in one shard refuses all of it', async t => {
  const cluster = threeShards()
  const [node] = cluster.nodes
  const missing = { ...putOp('z', ''), ignoreValue: true }
  t.match(cluster.ask(node!, write(txn([], [putOp('a', '1'), missing]))), {
    ok: false,
    error: { code: 'keyNotFound', outcome: 'notApplied' },
  })
  const future = { ...rangeAll, revision: 1_000_000 }
  t.match(cluster.ask(node!, write(txn([], [putOp('a', '1'), future]))), {
    error: { code: 'futureRevision' },
  })
  const leased = { ...putOp('z', '1'), lease: leaseId(5n) }
  t.match(cluster.ask(node!, write(txn([], [putOp('a', '1'), leased]))), { error: { code: 'leaseNotFound' } })
  t.strictSame(read(cluster, node!), [])
  cluster.until(() => locks(cluster) === 0)
  t.pass('no lock is left')
})

void t.test('transactions that meet do not wait for each other for ever, and none is lost', async t => {
  const cluster = threeShards()
  const keys = ['a', 'i', 'q']
  cluster.ask(
    cluster.nodes[0]!,
    write(
      txn(
        [],
        keys.map(key => putOp(key, '0')),
      ),
    ),
  )
  const asked: { node: MiniNode; id: number }[] = []
  for (let i = 0; i < 30; i++) {
    const node = cluster.nodes[i % 3]!
    const order = [keys[i % 3]!, keys[(i + 1) % 3]!]
    asked.push({
      node,
      id: node.request(
        write(
          txn(
            [],
            order.map(key => putOp(key, `${i}`)),
          ),
        ),
      ),
    })
    if (i % 3 === 0) asked.push({ node, id: node.request(put(keys[i % 2]!, `single ${i}`)) })
  }
  cluster.until(() => asked.every(({ node, id }) => node.results.has(id)))
  const revisions = asked.map(({ node, id }) => revisionOf(node.results.get(id)!))
  t.ok(
    revisions.every(revision => revision > 0),
    'all of them were carried out',
  )
  t.equal(new Set(revisions).size, revisions.length, 'each at a revision of its own')
  cluster.until(() => locks(cluster) === 0)
  const [one, ...others] = cluster.nodes.map(node => read(cluster, node).join())
  t.ok(others.every(other => other === one))
})

void t.test(
  'a shard is split while a transaction is under way: it answers for the keys of both halves',
  async t => {
    for (let wait = 4; wait < 12; wait++) {
      const cluster = threeShards()
      const [node, other] = cluster.nodes as [MiniNode, MiniNode]
      const keys = ['a', 'c', 'e', 'g', 'k', 'r', 'z']
      for (const key of keys) cluster.ask(node, put(key, 'old'))
      const op = txn([], [deleteOp('c', 'l', true), rangeAll])
      const split = encodeMetaCommand({ kind: 'splitShard', at: utf8('d'), group: null })
      const begun = other.request({ kind: 'meta', command: split })
      cluster.run(wait)
      const { responses } = txnIn(cluster.ask(node, write(op)))
      const gone = responses[0] as DeleteReply
      const seen = responses[1] as RangeReply
      const names = (kvs: RangeReply['kvs']): string[] => kvs.map(({ key }) => Buffer.from(key).toString())
      t.strictSame(names(gone.prevs), ['c', 'e', 'g', 'k'], `${wait} ms after the split was asked for`)
      t.strictSame(names(seen.kvs), ['a', 'r', 'z'])
      const puts = txnIn(
        cluster.ask(other, write(txn([], [putOp('a', '2', true), putOp('f', '2'), putOp('r', '2')]))),
      )
      t.match(puts.responses[0], { kind: 'put', prev: {} })
      cluster.until(() => other.results.has(begun) && locks(cluster) === 0)
      t.strictSame(
        read(cluster, node).map(pair => pair.split('@')[0]),
        ['a=2', 'f=2', 'r=2', 'z=old'],
      )
    }
  },
)

void t.test('a coordinator that dies leaves nothing locked for more than two seconds', async t => {
  for (let patience = 0; patience < 24; patience += 2) {
    const cluster = threeShards()
    const coordinator = cluster.nodes.find(node =>
      [0, 1, 2, 3].every(group => cluster.leaderOf(group) !== node),
    )
    if (coordinator === undefined) {
      t.comment(`${patience}: every node leads something`)
    }
    const dying = coordinator ?? cluster.nodes[2]!
    dying.request(
      write(
        txn(
          [],
          ['a', 'k', 'z'].map(key => putOp(key, '1')),
        ),
      ),
    )
    cluster.run(patience)
    dying.up = false
    cluster.until(() => [0, 1, 2, 3].every(group => cluster.leaderOf(group) !== undefined))
    cluster.until(() => heldLocks(cluster) === 0, 2_000)
    cluster.until(() => locks(cluster) === 0)
    const alive = cluster.nodes.find(({ up }) => up)!
    const after = read(cluster, alive)
    t.ok(after.length === 0 || after.length === 3, `after ${patience} ms: all or nothing (${after.length})`)
    const next = cluster.ask(
      alive,
      write(
        txn(
          [],
          ['a', 'z'].map(key => putOp(key, '2')),
        ),
      ),
    )
    t.ok(next.ok, 'the keys are free')
  }
})
