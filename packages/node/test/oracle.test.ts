import t from 'tap'
import { utf8, type ClientResult } from '@kvorum/model'
import { MiniCluster } from './miniCluster.js'
import { ALL, get, pairs, put } from './requests.js'

const THREE = [
  { start: utf8(''), end: utf8('h') },
  { start: utf8('h'), end: utf8('p') },
  { start: utf8('p'), end: null },
]

function started(): MiniCluster {
  const cluster = new MiniCluster({ ranges: THREE, oracle: true })
  cluster.until(() => [0, 1, 2, 3].every(group => cluster.leaderOf(group) !== undefined))
  return cluster
}

const revisionOf = (result: ClientResult): number => {
  if (!result.ok) throw new Error(`refused: ${result.error.code}`)
  return result.value.header.revision
}

void t.test('writes of several shards have one order, and reads see all of it at one revision', async t => {
  const cluster = started()
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
