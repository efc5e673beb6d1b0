import t from 'tap'
import { groupId, leaseId, utf8, type ClientRequest, type Op } from '@kvorum/model'
import type { MiniCluster, MiniNode } from './miniCluster.js'
import { put } from './requests.js'
import { locks, revisionOf, threeShards, write } from './threeShards.js'

/** Who waits for the locks of transactions, and in which order it goes on. */

const HOME = groupId(1)

const putOp = (key: string): Op => ({
  kind: 'put',
  key: utf8(key),
  value: utf8('1'),
  lease: leaseId(0n),
  prevKv: false,
  ignoreValue: false,
  ignoreLease: false,
})
const puts = (...keys: string[]): ClientRequest =>
  write({ kind: 'txn', compares: [], success: keys.map(putOp), failure: [] })

/** All groups are led by the node. */
function ledBy(cluster: MiniCluster, node: MiniNode): void {
  for (const group of [0, 1, 2, 3]) {
    const leader = cluster.leaderOf(group)!
    if (leader !== node) cluster.ask(leader, { kind: 'moveLeader', group: groupId(group), to: node.id })
    cluster.until(() => cluster.leaderOf(group) === node)
  }
}

const appliedIn = (node: MiniNode, group: number): number =>
  node.state.groups.get(groupId(group))!.machine.applied

/** The nodes from the oldest coordinator to the youngest: they have seen the same revision. */
const byAge = ({ nodes }: MiniCluster): MiniNode[] =>
  [...nodes].sort((a, b) => (a.state.transactions.coordinator < b.state.transactions.coordinator ? -1 : 1))

void t.test('older transactions wait for the locks of a younger one without filling the log', async t => {
  const cluster = threeShards()
  const [oldest, , youngest] = byAge(cluster) as [MiniNode, MiniNode, MiniNode]
  ledBy(cluster, oldest)
  cluster.ask(oldest, put('a', '0'))
  cluster.run(200)
  youngest.request(puts('a', 'z'))
  cluster.until(() => locks(cluster) > 0)
  youngest.kill()
  const older = [1, 2, 3].map(i => oldest.request(puts('a', `k${i}`)))
  cluster.run(100)
  const before = appliedIn(oldest, HOME)
  cluster.run(500)
  t.ok(locks(cluster) > 0, 'it is still locked')
  const entries = appliedIn(oldest, HOME) - before
  t.ok(entries <= 5, `${entries} entries while nothing can happen`)
  cluster.until(() => older.every(id => oldest.results.has(id)))
  t.ok(older.every(id => oldest.results.get(id)!.ok))
})

void t.test('the end of a lease waits for who attaches to it without filling the log', async t => {
  const cluster = threeShards()
  const [oldest, , youngest] = byAge(cluster) as [MiniNode, MiniNode, MiniNode]
  ledBy(cluster, oldest)
  t.ok(cluster.ask(oldest, { kind: 'leaseGrant', id: leaseId(7n), ttl: 60 }).ok)
  youngest.request(put('z', '1', 7n))
  cluster.until(() => locks(cluster) > 0)
  youngest.kill()
  const ended = oldest.request({ kind: 'leaseRevoke', id: leaseId(7n) })
  cluster.run(100)
  const before = appliedIn(oldest, HOME)
  cluster.run(500)
  t.ok(locks(cluster) > 0, 'it is still locked')
  const entries = appliedIn(oldest, HOME) - before
  t.ok(entries <= 5, `${entries} entries while nothing can happen`)
  cluster.until(() => oldest.results.has(ended))
  t.ok(oldest.results.get(ended)!.ok)
})

void t.test('a put comes next, however many transactions come after it', async t => {
  const cluster = threeShards()
  const asked = new Map<MiniNode, number[]>(cluster.nodes.map(node => [node, []]))
  const revisions: number[] = []
  const goOn = (): void => {
    for (const [node, ids] of asked) {
      const over = ids.filter(id => node.results.has(id))
      for (const id of over) revisions.push(revisionOf(node.results.get(id)!))
      const open = ids.filter(id => !node.results.has(id))
      while (open.length < 2) open.push(node.request(puts('a', 'k')))
      asked.set(node, open)
    }
  }
  const run = (until: () => boolean): void => cluster.until(() => (goOn(), until()))
  run(() => revisions.length >= 10)
  const waited: number[] = []
  for (let i = 0; i < 6; i++) {
    const node = cluster.nodes[i % 3]!
    const before = revisions.length
    const id = node.request(put('a', `${i}`))
    run(() => node.results.has(id))
    t.ok(revisionOf(node.results.get(id)!) > 0)
    waited.push(revisions.length - before)
    run(() => revisions.length >= before + 5)
  }
  t.ok(Math.max(...waited) <= 2, `transactions that went before: ${waited.join(' ')}`)
})
