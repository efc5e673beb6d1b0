import t from 'tap'
import { encodeReply, pointRange, utf8, type ClientResult, type RangeOp } from '@kvorum/model'
import { encodeMetaCommand } from '@kvorum/placement'
import { MiniCluster } from './miniCluster.js'
import { ALL, get, pairs, put } from './requests.js'
import { revisionOf, threeShards } from './threeShards.js'

void t.test('writes of several shards have one order, and reads see all of it at one revision', async t => {
  const cluster = threeShards()
  const given: number[] = []
  for (const [i, key] of ['a', 'z', 'k', 'b', 'y', 'l'].entries()) {
    given.push(revisionOf(cluster.ask(cluster.nodes[i % 3]!, put(key, `${i}`))))
    for (const node of cluster.nodes) {
      const read = cluster.ask(node, get(ALL))
      t.equal(revisionOf(read), given.at(-1), 'nothing was handed out since')
      t.equal(pairs(read).length, i + 1)
    }
  }
  t.strictSame(given, [2, 3, 4, 5, 6, 7])
})

void t.test('a range over several shards is answered as one shard would', async t => {
  const [many, one] = [threeShards(), new MiniCluster({ nodes: 1 })]
  one.until(() => one.leaderOf(1) !== undefined)
  for (const [i, key] of ['a', 'z', 'k', 'b', 'y', 'l', 'a', 'k'].entries())
    for (const cluster of [many, one]) cluster.ask(cluster.nodes[0]!, put(key, `${(i * 7) % 5}`))
  const read = get(ALL)
  const whole = (read as { readonly op: RangeOp }).op
  const orders = ['none', 'ascend', 'descend'] as const
  const targets = ['key', 'version', 'create', 'mod', 'value'] as const
  for (const order of orders)
    for (const target of targets)
      for (const limit of [0, 1, 2, 5])
        for (const more of [{}, { keysOnly: true }, { countOnly: true }, { minMod: 4 }, { revision: 5 }]) {
          const op = { ...whole, order, target, limit, ...more }
          const [ours, theirs] = [many, one].map(cluster =>
            cluster.ask(cluster.nodes[0]!, { kind: 'read', serializable: false, op }),
          )
          t.strictSame(bodyOf(ours!), bodyOf(theirs!), `${order} ${target} ${limit} ${Object.keys(more)[0]}`)
        }
})

const bodyOf = (result: ClientResult): string => {
  if (!result.ok) throw new Error(`refused: ${result.error.code}`)
  return Buffer.from(result.value.body).toString('hex')
}

void t.test('compaction is one revision over all shards', async t => {
  const cluster = threeShards()
  const [node] = cluster.nodes
  for (const key of ['a', 'k', 'z', 'a']) cluster.ask(node!, put(key, key))
  const compact = (revision: number): ClientResult =>
    cluster.ask(cluster.nodes[1]!, { kind: 'compact', revision, physical: false })
  t.match(compact(900), { ok: false, error: { code: 'futureRevision' } })
  t.match(compact(4), { ok: true })
  t.match(compact(3), { ok: false, error: { code: 'compacted', compactRevision: 4 } })
  const at = (key: string, revision: number): ClientResult => {
    const { op } = get(pointRange(utf8(key))) as { readonly op: RangeOp }
    return cluster.ask(node!, { kind: 'read', serializable: false, op: { ...op, revision } })
  }
  for (const key of ['a', 'k', 'z']) {
    t.match(at(key, 3), { ok: false, error: { code: 'compacted', compactRevision: 4 } }, key)
    t.equal(pairs(at(key, 4)).length, 1, key)
  }
  t.equal(bodyOf(compact(5)), Buffer.from(encodeReply({ kind: 'done' })).toString('hex'))
})

void t.test(
  'the only shard leaves dense mode while it is written: nothing is refused, the order goes on',
  async t => {
    const cluster = new MiniCluster()
    cluster.until(() => [0, 1].every(group => cluster.leaderOf(group) !== undefined))
    const sent: { readonly node: number; readonly id: number; readonly begun: number }[] = []
    let serial = 0
    const write = (): void => {
      const node = serial % 3
      sent.push({
        node,
        id: cluster.nodes[node]!.request(put(`k${serial++ % 7}`, `${serial}`)),
        begun: serial,
      })
    }
    const many = (): void => {
      for (let i = 0; i < 40; i++) {
        write()
        cluster.run(1)
      }
    }
    many()
    const split = {
      kind: 'meta',
      command: encodeMetaCommand({ kind: 'splitShard', group: null, at: utf8('k3') }),
    } as const
    cluster.nodes[0]!.request(split)
    many()
    const isSwitched = (): boolean =>
      cluster.nodes.every(
        ({ state }) => state.groups.get(1 as never)!.machine.revisions.mode.kind === 'oracle',
      )
    cluster.until(() => {
      write()
      return isSwitched() && cluster.nodes.every(({ state }) => state.shards.shards.length === 2)
    })
    many()
    const results = sent.map(({ node, id }) => {
      cluster.until(() => cluster.nodes[node]!.results.has(id))
      return cluster.nodes[node]!.results.get(id)!
    })
    t.ok(results.every(({ ok }) => ok))
    const revisions = results.map(revisionOf)
    t.equal(new Set(revisions).size, sent.length, 'no revision twice')
    for (const { state } of cluster.nodes) t.ok(state.groups.size >= 3)
    const read = cluster.ask(cluster.nodes[2]!, get(ALL))
    t.equal(pairs(read).length, 7)
    t.ok(revisionOf(read) >= Math.max(...revisions))
  },
)
